"""The command line: lwfc encode, decode, inspect, calibrate, explore, serve, demo.

Option letters are zstd's. Exit status: 0 success, 1 bad data or files, 2 wrong usage.
"""

import argparse
import json
import os
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from .. import calibrate, decode, encode, inspect
from ..base.arrays import as_tensor
from ..base.errors import FormatError, LwfcError, ParameterError
from ..base.kinds import CODEC_FILE, kind_of
from ..codec.codec import Codec
from .cli_parser import build_parser
from .files import PIPE, read_bytes, read_tensors, write_bytes, write_tensor
from .progress import Bar
from .split_commands import run_explore, run_serve

__all__ = ["main"]

SUFFIX = ".lwfc"


class Usage(Exception):
    """Options that do not go together."""


def _design_options(args: argparse.Namespace) -> dict[str, Any]:
    names = ("levels", "activation", "slope", "clip", "clip_scale", "clip_lo", "quantizer")
    names += ("rate_weight", "coder", "channel_axis", "nan")
    return {name: getattr(args, name) for name in names}


def _targets(args: argparse.Namespace, count: int) -> str | None:
    """The one output given, or None: named after the inputs."""
    target = PIPE if args.stdout else args.output
    if target is None and args.input == [PIPE]:
        target = PIPE
    if target is not None and count > 1:
        raise Usage(f"{count} results do not fit one output; name outputs by leaving -o and -c out")
    if target == PIPE and args.json:
        raise Usage("standard output cannot take both the result and --json; use -o")
    return target


def _say(args: argparse.Namespace, rows: list[dict[str, Any]], texts: list[str]) -> None:
    if args.json:
        print(json.dumps(rows))
    elif not args.quiet:
        for text in texts:
            print(text, file=sys.stderr)


def _tensors(args: argparse.Namespace) -> Iterator[tuple[str, str, Any]]:
    for name in args.input:
        tensors = read_tensors(name)
        if args.key is not None:
            if args.key not in tensors:
                listed = ", ".join(map(repr, tensors))
                raise FormatError(f"{name} has no tensor {args.key!r}; it has {listed}")
            tensors = {args.key: tensors[args.key]}
        for key, tensor in tensors.items():
            try:
                as_tensor(tensor)
            except ParameterError as error:
                raise FormatError(f"{name} {key}: {error}") from error
            yield name, key if len(tensors) > 1 else "", tensor


def run_encode(args: argparse.Namespace) -> None:
    """lwfc encode"""
    codec = Codec.load(args.codec) if args.codec else None
    found = list(_tensors(args))
    target = _targets(args, len(found))
    rows, texts = [], []
    for name, key, tensor in found:
        if codec is not None:
            data = codec.encode(tensor, num_threads=args.threads)
        else:
            data = encode(tensor, num_threads=args.threads, **_design_options(args))
        output = target or f"{name}{'.' + key if key else ''}{SUFFIX}"
        write_bytes(output, data, force=args.force)
        info = inspect(data, codec)
        rows.append({"input": name, "key": key, "output": output, **info})
        texts.append(
            f"{name}{':' + key if key else ''} -> {output}: {info.nbytes} bytes, "
            f"{info.bits_per_element:.4f} bits per element"
        )
    _say(args, rows, texts if target != PIPE or args.verbose else [])


def run_decode(args: argparse.Namespace) -> None:
    """lwfc decode"""
    if args.list:
        return run_inspect(args)
    codec = Codec.load(args.codec) if args.codec else None
    target = None if args.test else _targets(args, len(args.input))
    rows, texts = [], []
    for name in args.input:
        data = read_bytes(name)
        try:
            array = decode(data, codec, max_nbytes=args.max_nbytes, num_threads=args.threads)
        except FormatError as error:
            raise FormatError(f"{name}: {error}") from error
        output = target
        if output is None and not args.test:
            output = name.removesuffix(SUFFIX)
            output += "" if output.endswith(".npy") and output != name else ".npy"
        if output is not None:
            write_tensor(output, array, force=args.force)
        rows.append(
            {"input": name, "output": output, "shape": array.shape, "dtype": array.dtype.name}
        )
        what = "good" if args.test else f"-> {output}"
        texts.append(f"{name} {what}: {array.dtype.name} {array.shape}")
    _say(args, rows, texts if target != PIPE or args.verbose else [])
    return None


def run_inspect(args: argparse.Namespace) -> None:
    """lwfc inspect"""
    codec = Codec.load(args.codec) if args.codec else None
    rows = []
    for name in args.input:
        data = read_bytes(name)
        try:
            rows.append({"input": name, "kind": "stream", **inspect(data, codec)})
        except FormatError as stream_error:
            is_codec = kind_of(data) == CODEC_FILE
            try:
                known = Codec.from_bytes(data)
            except FormatError as codec_error:
                error = codec_error if is_codec else stream_error
                raise FormatError(f"{name}: {error}") from None
            rows.append({"input": name, "kind": "codec", "nbytes": len(data), **known.summary()})
    if args.json:
        print(json.dumps(rows))
        return
    for row in rows:
        print(row.pop("input"))
        for field, value in row.items():
            print(f"  {field}: {value}")


def run_calibrate(args: argparse.Namespace) -> None:
    """lwfc calibrate"""
    target = _targets(args, 1) or (None if args.output is None else args.output)
    if target is None:
        raise Usage("where should the codec go? name the file with -o")
    options = _design_options(args) | {
        "restore": args.restore,
        "restore_strength": args.restore_strength,
        "granularity": args.granularity,
    }
    with Bar(not (args.quiet or args.no_progress)) as bar:
        batches = (tensor for _, _, tensor in _tensors(args))
        codec = calibrate(batches, progress=bar, num_threads=args.threads, **options)
    data = codec.to_bytes()
    write_bytes(target, data, force=args.force)
    row = {"output": target, "nbytes": len(data), **codec.summary()}
    _say(args, [row], [f"{target}: {len(data)} bytes", repr(codec)][: 1 + args.verbose])


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
    "explore": run_explore,
    "serve": run_serve,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line; returns the exit status."""
    parser = build_parser()
    try:
        args = parser.parse_args(arguments)
    except SystemExit as stop:
        return int(stop.code or 0)
    try:
        COMMANDS[args.command](args)
        sys.stdout.flush()
    except (Usage, ParameterError) as error:
        print(f"lwfc {args.command}: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (LwfcError, OSError, MemoryError) as error:
        print(f"lwfc {args.command}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0
