"""The options of the command line; letters are zstd's."""

import argparse
from typing import Any

from .. import __version__
from ..calibration.calibrate import GRANULARITIES, QUANTIZERS, RESTORATIONS
from ..codec.names import CODERS
from ..model.ranges import ACTIVATIONS, CLIPS
from .split_commands import add_commands

__all__ = ["build_parser"]


def _clip(text: str) -> Any:
    if text in CLIPS:
        return text
    try:
        lo, hi = map(float, text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r}: one of {', '.join(CLIPS)}, or two numbers LO,HI"
        ) from None
    return lo, hi


def _lower(text: str) -> Any:
    try:
        return "free" if text == "free" else float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r}: a number, or free") from None


def _common() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("-q", "--quiet", action="store_true", help="say nothing but errors")
    parser.add_argument("-v", "--verbose", action="store_true", help="say more")
    parser.add_argument("-T", "--threads", type=int, default=1, metavar="N", help="0: all cores")
    parser.add_argument("--no-progress", action="store_true", help="no progress bar")
    parser.add_argument("--json", action="store_true", help="results as JSON on standard output")
    return parser


def _output() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("-o", "--output", metavar="FILE", help="where the result goes; -: stdout")
    parser.add_argument("-c", "--stdout", action="store_true", help="write to standard output")
    parser.add_argument("-f", "--force", action="store_true", help="overwrite")
    parser.add_argument("-k", "--keep", action="store_true", help="keep the input (always done)")
    return parser


def _design() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(add_help=False)
    add = parser.add_argument
    add("-n", "--levels", type=int, default=4, metavar="N", help="2 to 256 (default 4)")
    add("--activation", choices=ACTIVATIONS, default="auto")
    add("--slope", type=float, default=0.1, help="of leaky_relu (default 0.1)")
    add("--clip", type=_clip, default="model", help=f"{', '.join(CLIPS)}, or LO,HI")
    add("--clip-scale", type=float, default=1.0, metavar="S", help="widen the range")
    add("--clip-lo", type=_lower, metavar="LO", help="the lower end, or free (default 0)")
    add("--quantizer", choices=QUANTIZERS, default="uniform")
    add(
        "--rate-weight",
        type=float,
        default=0.0,
        metavar="W",
        help="squared error / variance per bit",
    )
    add("--coder", choices=CODERS, default="rans")
    add("--channel-axis", type=int, metavar="AXIS")
    add("--nan", choices=("zero", "raise"), default="zero")
    return parser


def build_parser() -> argparse.ArgumentParser:
    """The parser of the whole command line."""
    parser = argparse.ArgumentParser(
        prog="lwfc", description="Codes float feature tensors in a few tenths of a bit per element."
    )
    parser.add_argument("-V", "--version", action="version", version=f"lwfc {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    common, output, design = _common(), _output(), _design()

    sub = commands.add_parser(
        "encode", parents=[common, output, design], help="tensors to streams",
        description="Codes .npy, .npz and .pt files, or an .npy from standard input (-).",
    )  # fmt: skip
    sub.add_argument("input", nargs="+")
    sub.add_argument("--codec", metavar="FILE", help="a calibrated codec; replaces design options")
    sub.add_argument("--key", help="which tensor of an .npz or .pt file")

    sub = commands.add_parser("decode", parents=[common, output], help="streams to tensors")
    sub.add_argument("input", nargs="+")
    sub.add_argument("--codec", metavar="FILE", help="for bound streams")
    sub.add_argument("-t", "--test", action="store_true", help="decode, but write nothing")
    sub.add_argument("-l", "--list", action="store_true", help="as lwfc inspect")
    sub.add_argument("--max-nbytes", type=int, default=2**30, metavar="N",
                     help="refuse larger tensors (default 2^30)")  # fmt: skip

    sub = commands.add_parser("inspect", parents=[common], help="describe streams and codec files")
    sub.add_argument("input", nargs="+")
    sub.add_argument("-l", "--list", action="store_true", help="(what inspect does anyway)")
    sub.add_argument("--codec", metavar="FILE", help="to show more of bound streams")

    sub = commands.add_parser(
        "calibrate", parents=[common, output, design], help="sample tensors to a codec file",
        description="Each file is a batch of samples, counted by axis 0.",
    )  # fmt: skip
    sub.add_argument("input", nargs="+")
    sub.add_argument("--key", help="which tensor of .npz and .pt files")
    sub.add_argument("--restore", choices=RESTORATIONS, default="none")
    sub.add_argument("--restore-strength", type=float, default=1.0, metavar="S", help="0 to 1")
    sub.add_argument("--granularity", choices=GRANULARITIES, default="tensor")

    add_commands(commands, common)

    sub = commands.add_parser(
        "demo", parents=[common], help="the main job on two trained networks",
        description="Runs from a source checkout: calibrates, codes, and measures accuracy.",
    )  # fmt: skip
    sub.add_argument("--data", metavar="DIR", help="the checkout's benchmarks folder")
    sub.add_argument("--plot", metavar="PNG", help="draw the rate-accuracy curves")
    sub.add_argument("--quick", action="store_true", help="fewer samples and level counts")
    return parser
