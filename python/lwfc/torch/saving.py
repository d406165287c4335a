"""Halves in one file, as data: a graph of PyTorch's own operators, tensors, codec files.

``torch.export.load`` may unpickle what its archive says (PyTorch 2.13 reads weights marked so with
``weights_only=False``), so halves have a format of their own, a zip file of

``split.json``
    ``{"format": "lwfc split", "version": 1, "halves": {"edge": ..., "cloud": ...}}``, either half
    or both; each with its cut, the structure of its arguments or results, its nodes and codecs.
``tensors.pt``
    A list of tensors, read with ``weights_only=True``; nodes name them by number. Parameters stay
    parameters: PyTorch's GRU gives other last bits for weights that take no gradient (2.13).
``codecs/N.lwfc``
    Codec files.

A node is ``[kind, target, args, kwargs]``. Only operators of ``aten`` and ``prims`` and Python's
arithmetic on sizes are run; nothing in a file can name other code.
"""

import copyreg
import io
import json
import math
import operator
import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.utils import _pytree as pytree

from ..base.errors import FormatError, LwfcError, ParameterError
from ..base.files import replace_file
from ..codec.codec import Codec
from ..split.cuts import Cut
from ..split.wire import Wire
from .halves import Cloud, Edge, Half

__all__ = ["dumps", "load_split", "loads", "save_split"]

VERSION = 1
NAMESPACES = ("aten", "prims")
REFUSED = ("from_file",)  # operators that reach outside
PYTHON = {f.__name__: f for f in (operator.getitem, operator.add, operator.sub, operator.mul,
          operator.floordiv, operator.truediv, operator.mod, operator.neg, operator.pow,
          math.floor, math.ceil, math.trunc, torch.sym_max, torch.sym_min, torch.sym_int,
          torch.sym_float, torch.sym_not, operator.eq, operator.ne, operator.lt, operator.le,
          operator.gt, operator.ge)}  # fmt: skip
WORDS = {"dtype": torch.dtype, "memory_format": torch.memory_format, "layout": torch.layout}


def save_split(path: str | os.PathLike, *halves: Half) -> None:
    """Write one half or both to a file, codecs and weights included.

    ``lwfc.torch.load_split`` runs them in a process that knows neither the model's code nor a
    pickle. Replaces an older file only when complete. Errors: ParameterError for halves that were
    not made by torch.export (pickle these, or split in both processes), and for operators that are
    not PyTorch's own.
    """
    replace_file(path, dumps(*halves))


def load_split(path: str | os.PathLike, half: str | None = None) -> Any:
    """The halves in a file: (edge, cloud), or the one that ``half`` names, "edge" or "cloud".

    Runs no code of the file's; device: CPU, from where ``.to`` moves them. Errors: OSError,
    FormatError for damaged files, ParameterError for a half that is not in it.
    """
    try:
        found = loads(Path(path).read_bytes())
    except FormatError as error:
        raise FormatError(f"{os.fspath(path)}: {error}") from None
    wanted = ("edge", "cloud") if half is None else (half,)
    for name in wanted:
        if name not in found:
            raise ParameterError(
                f"{os.fspath(path)!r} holds {list(found)}: pass half=, one of them"
            )
    return tuple(found[name] for name in wanted) if half is None else found[half]


def dumps(*halves: Half) -> bytes:
    """The bytes of a file."""
    tensors: list[Tensor] = []
    codecs: list[bytes] = []
    made = {}
    for half in halves:
        if not isinstance(half, (Edge, Cloud)):
            raise ParameterError(f"a {type(half).__name__} is no half of lwfc.torch.split")
        if half.way != "export":
            raise ParameterError(
                f"this half was made by {half.way}, not by torch.export, and calls the model's own "
                "code, which such a file never holds: pickle the half, or call lwfc.torch.split "
                "where the model's code is, in both processes, with the codec's file"
            )
        made["edge" if isinstance(half, Edge) else "cloud"] = _half(half, tensors, codecs)
    if len(made) != len(halves) or not made:
        raise ParameterError("pass an edge, a cloud, or one of each")
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        note = {"format": "lwfc split", "version": VERSION, "halves": made}
        archive.writestr("split.json", json.dumps(note, allow_nan=False), zipfile.ZIP_DEFLATED)
        buffer = io.BytesIO()
        torch.save(list(map(_on_cpu, tensors)), buffer)
        archive.writestr("tensors.pt", buffer.getvalue())
        for i, codec in enumerate(codecs):
            archive.writestr(f"codecs/{i}.lwfc", codec)
    return file.getvalue()


def _on_cpu(tensor: Tensor) -> Tensor:
    plain = tensor.detach().cpu()
    return nn.Parameter(plain, tensor.requires_grad) if isinstance(tensor, nn.Parameter) else plain


def _half(half: Half, tensors: list[Tensor], codecs: list[bytes]) -> dict[str, Any]:
    known = {id(tensor): i for i, tensor in enumerate(tensors)}
    numbers: dict[fx.Node, int] = {}
    nodes = []
    for node in half.body.graph.nodes:
        target: Any = None
        if node.op == "get_attr":
            tensor = operator.attrgetter(node.target)(half.body)
            if not isinstance(tensor, Tensor):
                raise ParameterError(f"the graph holds a {type(tensor).__name__}: cannot be saved")
            if id(tensor) not in known:
                known[id(tensor)] = len(tensors)
                tensors.append(tensor)
            target = known[id(tensor)]
        elif node.op == "call_function":
            target = _name(node.target)
        elif node.op not in ("placeholder", "output"):
            raise ParameterError(f"the graph has a node of kind {node.op!r}: cannot be saved")
        args = () if node.op == "placeholder" else node.args
        nodes.append([node.op, target, _write(args, numbers), _write(node.kwargs, numbers)])
        numbers[node] = len(numbers)
    kept = None
    if half.wire is not None:
        kept = {}
        for name, codec in half.wire.codecs.items():
            kept[name] = len(codecs)
            codecs.append(codec.to_bytes())
    try:
        spec = pytree.treespec_dumps(half.spec)
    except NotImplementedError as error:
        raise ParameterError(
            f"arguments or results of this type cannot be saved: {error}"
        ) from None
    return {"cut": half.cut.to_dict(), "spec": spec, "nodes": nodes, "codecs": kept}


def _name(target: Any) -> str:
    if isinstance(target, torch._ops.OpOverload) and target.namespace in NAMESPACES:
        return str(target)
    name = getattr(target, "__name__", str(target))
    if PYTHON.get(name) is not target:
        raise ParameterError(
            f"the graph runs {target}, which is not PyTorch's own: cannot be saved"
        )
    return name


def _write(value: Any, numbers: dict[fx.Node, int]) -> Any:
    """An argument as JSON: lists and plain values as they are, the rest as {kind: value}."""
    if isinstance(value, fx.Node):
        return {"node": numbers[value]}
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return {"float": value.hex()}
    if isinstance(value, tuple):
        return {"tuple": [_write(one, numbers) for one in value]}
    if isinstance(value, list):
        return [_write(one, numbers) for one in value]
    if isinstance(value, dict):
        return {"dict": [[key, _write(one, numbers)] for key, one in value.items()]}
    if isinstance(value, slice):
        ends = (value.start, value.stop, value.step)
        return {"slice": [_write(one, numbers) for one in ends]}
    if isinstance(value, torch.device):
        return {"device": str(value)}
    for word, kind in WORDS.items():
        if isinstance(value, kind):
            return {word: str(value).removeprefix("torch.")}
    raise ParameterError(f"the graph holds a {type(value).__name__}: cannot be saved")


def loads(data: bytes) -> dict[str, Half]:
    """The halves in a file's bytes, by name. Errors: FormatError."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            note = json.loads(archive.read("split.json"))
            if note["format"] != "lwfc split" or note["version"] != VERSION:
                raise FormatError(f"split file: version {note['version']!r} is unknown")
            tensors = torch.load(io.BytesIO(archive.read("tensors.pt")), weights_only=True)
            if not all(isinstance(tensor, Tensor) for tensor in tensors):
                raise FormatError("split file: something among the tensors is none")

            def codec(number: int) -> Codec:
                return Codec.from_bytes(archive.read(f"codecs/{int(number)}.lwfc"))

            return {name: _read_half(name, half, tensors, codec)
                    for name, half in note["halves"].items()}  # fmt: skip
    except LwfcError:
        raise
    except Exception as error:  # whatever the parsers of zip, JSON and tensors say of foreign bytes
        raise FormatError(
            f"split file: damaged, or not one of lwfc.torch.save_split ({error})"
        ) from error


def _read_half(
    name: str, note: dict[str, Any], tensors: list[Tensor], codec: Callable[[int], Codec]
) -> Half:
    root, graph, made = nn.Module(), fx.Graph(), []
    for kind, target, args, kwargs in note["nodes"]:
        args, kwargs = _read(args, made), _read(kwargs, made)
        if any(not key.isidentifier() for key in kwargs):
            raise FormatError("split file: an argument's name is none")
        if kind == "placeholder":
            node = graph.placeholder(f"given_{len(made)}")
        elif kind == "get_attr":
            tensor = tensors[target]
            keep = root.register_parameter if isinstance(tensor, nn.Parameter) else (
                root.register_buffer)  # fmt: skip
            keep(f"tensor_{int(target)}", tensor)
            node = graph.get_attr(f"tensor_{int(target)}")
        elif kind == "call_function":
            node = graph.call_function(_function(target), args, kwargs)
        elif kind == "output":
            node = graph.output(args[0])
        else:
            raise FormatError(f"split file: a node of kind {kind!r}")
        made.append(node)
    graph.lint()
    cut = Cut.from_dict(note["cut"])
    wire = note["codecs"]
    if wire is not None:
        wire = {t.name: None for t in cut.tensors} | {n: codec(i) for n, i in wire.items()}
        wire = Wire(cut, wire)
    make = {"edge": Edge, "cloud": Cloud}[name]
    body = fx.GraphModule(root, graph, name.title())
    return make(body, cut, "export", wire, pytree.treespec_loads(note["spec"]))


def _function(name: str) -> Callable[..., Any]:
    if name in PYTHON:
        return PYTHON[name]
    namespace, operation, overload = name.split(".")
    if namespace not in NAMESPACES or operation in REFUSED:
        raise FormatError(f"split file: {name} is not run")
    found = getattr(getattr(getattr(torch.ops, namespace), operation), overload)
    if not isinstance(found, torch._ops.OpOverload):
        raise FormatError(f"split file: {name} is no operator")
    return found


def _read(value: Any, made: list[fx.Node]) -> Any:
    if isinstance(value, list):
        return [_read(one, made) for one in value]
    if not isinstance(value, dict):
        return value
    ((kind, inner),) = value.items()
    if kind == "node":
        return made[inner]
    if kind == "float":
        return float.fromhex(inner)
    if kind == "tuple":
        return tuple(_read(one, made) for one in inner)
    if kind == "dict":
        return {str(key): _read(one, made) for key, one in inner}
    if kind == "slice":
        return slice(*(_read(one, made) for one in inner))
    if kind == "device":
        return torch.device(inner)
    found = getattr(torch, inner)
    if not isinstance(found, WORDS[kind]):
        raise FormatError(f"split file: {inner!r} is no {kind}")
    return found


def _restore(data: bytes, device: torch.device) -> Half:
    """A pickled half."""
    (half,) = loads(data).values()
    return half.to(device)


def _reduce(half: Half) -> tuple:
    """How a half pickles: as its file's bytes, since PyTorch pickles graphs by tracing them again,
    which fails on sizes inside lists (2.13). Those of torch.fx and hooks pickle as modules do.
    """
    if half.way != "export":
        return half.__reduce_ex__(4)
    return _restore, (dumps(half), half.device)


for _kind in (Edge, Cloud):
    copyreg.pickle(_kind, _reduce)
