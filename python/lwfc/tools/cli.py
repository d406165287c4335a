"""The command line: lwfc encode, decode, inspect, calibrate, explore, evaluate, serve, demo.

Option letters are zstd's. Exit status: 0 success, 1 bad data or files, 2 wrong usage.
"""

import argparse
import contextlib
import fnmatch
import json
import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

from .. import calibrate, encode, inspect
from ..base.errors import FormatError, LwfcError, ParameterError
from ..base.kinds import CODEC_FILE, kind_of
from ..base.progress import Bar
from ..base.show import text_fields
from ..codec.codec import Codec
from ..codec.names import INTEGERS
from ..codec.stream import decode_tensor
from .cli_parser import CALIBRATION, DESIGN, TRANSFORM, build_parser
from .evaluate_command import run_evaluate
from .files import PIPE, SUFFIX, Outputs, check_free, file_part, read_bytes, said, write_bytes
from .split_commands import run_explore, run_serve
from .tensor_files import read_array, read_tensors, typed, write_tensor

__all__ = ["main"]


def _given(args: argparse.Namespace, names: Sequence[str]) -> dict[str, Any]:
    """The options that were given; the others keep the defaults of the call they go to."""
    return {name: getattr(args, name) for name in names if getattr(args, name) is not None}


def _outputs(args: argparse.Namespace) -> Outputs:
    given = PIPE if args.stdout or args.output == PIPE else args.output
    if given is None and args.input == [PIPE]:
        given = PIPE
    if args.input.count(PIPE) > 1:
        raise ParameterError("standard input (-) can be read once only")
    if given == PIPE and args.json:
        raise ParameterError("standard output cannot take both the result and --json; use -o")
    others = (getattr(args, name, None) for name in ("codec", "metric"))
    return Outputs(given, args.input, [name for name in others if name is not None])


class _Results:
    """Says each result once it is written, so that an error later hides none."""

    def __init__(self, args: argparse.Namespace, verb: str) -> None:
        self._args = args
        self._rows: list[dict[str, Any]] = []
        self._bar = Bar(not (args.quiet or args.no_progress))
        self._verb = verb

    def begin(self, done: int, total: int) -> None:
        self._bar(done, total, self._verb)

    def add(self, row: dict[str, Any], text: str) -> None:
        self._rows.append(row)
        piped = row["output"] == PIPE and not self._args.verbose
        if not (self._args.json or self._args.quiet or piped):
            self._bar.close()
            print(text, file=sys.stderr)

    def __enter__(self) -> "_Results":
        return self

    def __exit__(self, kind: Any, *rest: object) -> None:
        self._bar.close()
        if kind is None and self._args.json:
            print(json.dumps(self._rows))


def _tensors(
    args: argparse.Namespace, name: str, integers: Sequence[str] = ()
) -> dict[str, Any]:
    """The tensors wanted of one file, all of them good for coding; ``integers`` taken as such."""
    tensors, left_out = read_tensors(name)
    if args.key is not None:
        wanted = [args.key] if args.key in tensors else fnmatch.filter(tensors, args.key)
        if not wanted:
            listed = ", ".join(map(repr, tensors)) if tensors.keys() != {""} else "one, unnamed"
            raise FormatError(f"{name} has no tensor {args.key!r}; it has {listed}")
        tensors = {key: tensors[key] for key in wanted}
    elif left_out and not args.quiet:
        print(f"{name}: left out, no tensors: {', '.join(left_out)}", file=sys.stderr)
    found = {}
    for key, tensor in tensors.items():
        kind = str(getattr(tensor, "dtype", "")).removeprefix("torch.")
        known = kind if args.dtype is None and kind in integers else args.dtype
        found[key] = typed(tensor, known, f"{name} {key}".rstrip())
    return found


def run_encode(args: argparse.Namespace) -> None:
    """lwfc encode"""
    options = _given(args, DESIGN)
    if args.codec and options:
        names = ", ".join("--" + name.replace("_", "-") for name in options)
        raise ParameterError(f"--codec brings its own design: leave out {names}, or --codec")
    codec = Codec.load(args.codec) if args.codec else None
    outputs = _outputs(args)
    outputs.one_file(args.input)
    with _Results(args, "encode") as results:
        for done, name in enumerate(args.input):
            results.begin(done, len(args.input))
            tensors = _tensors(args, name, [codec.integer_type] if codec else [])
            outputs.one_file(tensors)
            named = len(tensors) > 1
            targets = {key: outputs.name(f"{name} {key}".rstrip(), f"{name}{'.' * named}"
                                         f"{file_part(key) if named else ''}{SUFFIX}")
                       for key in tensors}  # fmt: skip
            for key, tensor in tensors.items():
                try:
                    if codec is not None:
                        data = codec.encode(tensor, num_threads=args.threads)
                    else:
                        data = encode(tensor, num_threads=args.threads, **options)
                except ParameterError as error:
                    raise ParameterError(f"{name}{':' if key else ''}{key}: {error}") from error
                write_bytes(targets[key], data, force=args.force)
                info = inspect(data, codec)
                results.add(
                    {"input": name, "key": key, "output": targets[key], **info},
                    f"{name}{':' if key else ''}{key} -> {targets[key]}: {info.nbytes} bytes, "
                    f"{info.bits_per_element:.4f} bits per element",
                )


def run_decode(args: argparse.Namespace) -> None:
    """lwfc decode"""
    if (args.test or args.list) and (args.output or args.stdout):
        raise ParameterError("-t and -l write no result: leave -o and -c out")
    if args.list:
        return run_inspect(args)
    codec = Codec.load(args.codec) if args.codec else None
    outputs = None if args.test else _outputs(args)
    if outputs is not None:
        outputs.one_file(args.input)
    with _Results(args, "decode") as results:
        for done, name in enumerate(args.input):
            results.begin(done, len(args.input))
            data = read_bytes(name)
            try:
                tensor = decode_tensor(
                    data, codec, max_nbytes=args.max_nbytes, num_threads=args.threads
                )
            except FormatError as error:
                missing = codec is None and str(error).startswith("digest")
                hint = ": --codec FILE" if missing else ""
                raise FormatError(f"{name}: {error}{hint}") from error
            output = None
            if outputs is not None:
                own = name.removesuffix(SUFFIX)
                own += "" if own.endswith(".npy") and own != name else ".npy"
                output = outputs.name(name, own)
                write_tensor(output, tensor, force=args.force)
            shape, dtype = tensor.array.shape, tensor.dtype_name
            results.add(
                {"input": name, "output": output, "shape": shape, "dtype": dtype},
                f"{name} {'good' if args.test else f'-> {output}'}: {dtype} {shape}",
            )
    return None


def run_inspect(args: argparse.Namespace) -> None:
    """lwfc inspect"""
    codec = Codec.load(args.codec) if args.codec else None
    rows = []
    for name in args.input:
        data = read_bytes(name)
        try:
            if kind_of(data) == CODEC_FILE:
                summary = Codec.from_bytes(data).summary()
                rows.append({"input": name, "kind": "codec", **summary})
            else:
                rows.append({"input": name, "kind": "stream", **inspect(data, codec)})
        except FormatError as error:
            raise FormatError(f"{name}: {error}") from None
    if args.json:
        print(json.dumps(rows))
        return
    for row in rows:
        print(text_fields(row.pop("input"), row))


class _Samples:
    """The inputs' arrays, each a batch of samples, read again at every walk."""

    def __init__(self, args: argparse.Namespace) -> None:
        self._args = args

    def __len__(self) -> int:
        return len(self._args.input)

    def __iter__(self) -> Iterator[Any]:
        for name in self._args.input:
            tensors = _tensors(self._args, name, INTEGERS if self._args.scale is not None else ())
            if len(tensors) > 1 and self._args.key is None:
                listed = ", ".join(f"{key!r} {tuple(getattr(tensor, 'array', tensor).shape)}"
                                   for key, tensor in tensors.items())  # fmt: skip
                raise FormatError(
                    f"{name} holds {len(tensors)} arrays: {listed}; --key names the features "
                    "(--key '*' takes all)"
                )
            yield from tensors.values()


def run_calibrate(args: argparse.Namespace) -> None:
    """lwfc calibrate"""
    outputs = _outputs(args)
    if args.output is None and not args.stdout:
        raise ParameterError("where should the codec go? name its file with -o, as in -o x.lwfc")
    if outputs.folder and len(args.input) > 1:
        raise ParameterError(
            f"{len(args.input)} inputs make one codec, which has no name of its own in a folder: "
            f"name its file, as in -o {os.path.join(args.output, 'codec' + SUFFIX)}"
        )
    target = outputs.name(args.input[0], os.path.splitext(args.input[0])[0] + SUFFIX)
    check_free(target, args.force)  # before the work
    names = (*DESIGN, *TRANSFORM, *CALIBRATION)
    options = _given(args, names)
    if args.metric is not None:
        options["metric"] = read_array(args.metric)
    samples = iter(_Samples(args)) if PIPE in args.input else _Samples(args)
    with Bar(not (args.quiet or args.no_progress)) as bar:
        bar(0, len(args.input), "statistics")
        codec = calibrate(samples, progress=bar, num_threads=args.threads, **options)
    data = codec.to_bytes()
    write_bytes(target, data, force=args.force)
    with _Results(args, "calibrate") as results:
        text = f"{target}: {len(data)} bytes" + (f"\n{codec!r}" if args.verbose else "")
        results.add({"output": target, **codec.summary()}, text)


def run_demo(args: argparse.Namespace) -> None:
    """lwfc demo"""
    from .demo import run

    run(
        data=args.data,
        plot=args.plot,
        quick=args.quick,
        as_json=args.json,
        show_progress=not (args.quiet or args.no_progress),
        num_threads=args.threads,
    )


COMMANDS = {
    "encode": run_encode,
    "decode": run_decode,
    "inspect": run_inspect,
    "calibrate": run_calibrate,
    "demo": run_demo,
    "evaluate": run_evaluate,
    "explore": run_explore,
    "serve": run_serve,
}


@contextlib.contextmanager
def _plain_warnings(command: str) -> Iterator[None]:
    """Warnings as lines like the errors', each of them once."""
    with warnings.catch_warnings():
        warnings.showwarning = lambda message, *rest, **more: print(
            f"lwfc {command}: warning: {message}", file=sys.stderr
        )
        yield


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line; returns the exit status."""
    parser = build_parser()
    try:
        args = parser.parse_args(arguments)
    except SystemExit as stop:
        return int(stop.code or 0)
    try:
        with _plain_warnings(args.command):
            COMMANDS[args.command](args)
        sys.stdout.flush()
    except ParameterError as error:
        print(f"lwfc {args.command}: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (LwfcError, ImportError, OSError, MemoryError) as error:
        print(f"lwfc {args.command}: {said(error)}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"lwfc {args.command}: interrupted; results already named are whole, others were "
              "not written", file=sys.stderr)  # fmt: skip
        return 130
    return 0
