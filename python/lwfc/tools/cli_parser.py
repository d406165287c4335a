"""The options of the command line; letters are zstd's."""

import argparse
from typing import Any

from .. import __version__
from ..calibration.options import GRANULARITIES, RESTORATIONS
from ..calibration.quantizers import QUANTIZERS
from ..calibration.transforming import TRANSFORMS
from ..codec.names import CODERS, NAN_POLICIES
from ..model.ranges import ACTIVATIONS, CLIPS
from .evaluate_command import add_evaluate
from .split_commands import add_commands
from .tensor_files import DTYPES

__all__ = ["CALIBRATION", "DESIGN", "TRANSFORM", "build_parser"]

DESIGN = ("levels", "activation", "slope", "clip", "clip_scale", "clip_lo", "quantizer",
          "rate_weight", "coder", "channel_axis", "nan")  # fmt: skip
CALIBRATION = ("restore", "restore_strength", "granularity", "scale", "zero_point", "batched")
TRANSFORM = ("transform", "block", "step", "distortion", "target_bits")


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


def _json() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--json", action="store_true", help="results as JSON on standard output")
    return parser


def _common() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(add_help=False, parents=[_json()])
    loudness = parser.add_mutually_exclusive_group()
    loudness.add_argument("-q", "--quiet", action="store_true", help="say nothing but errors")
    loudness.add_argument("-v", "--verbose", action="store_true", help="say more")
    parser.add_argument("-T", "--threads", type=int, default=1, metavar="N", help="0: all cores")
    parser.add_argument("--no-progress", action="store_true", help="no progress bar or lines")
    return parser


def _output() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(add_help=False)
    target = parser.add_mutually_exclusive_group()
    target.add_argument(
        "-o", "--output", metavar="FILE", help="where the result goes; a folder/; -: stdout"
    )
    target.add_argument("-c", "--stdout", action="store_true", help="write to standard output")
    parser.add_argument("-f", "--force", action="store_true", help="overwrite")
    parser.add_argument("-k", "--keep", action="store_true", help="keep the input (always done)")
    return parser


def _input() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(add_help=False)
    add = parser.add_argument
    add("input", nargs="+", metavar="FILE", help=".npy, .npz, .pt, .safetensors; -: an .npy")
    add("--key", metavar="NAME", help="which tensor of a file that holds several; * and ? work")
    add(
        "--dtype",
        choices=DTYPES,
        metavar="TYPE",
        help=f"what raw bytes (|V2 in an .npy) or integers are: {', '.join(DTYPES)}",
    )
    return parser


def _design() -> argparse.ArgumentParser:
    """No defaults here: what is not given keeps the default of the call it goes to."""
    parser = argparse.ArgumentParser(add_help=False)
    add = parser.add_argument
    add("-n", "--levels", type=int, metavar="N", help="2 to 256 (default 4)")
    add("--activation", choices=ACTIVATIONS, help="default auto: decided from the values")
    add("--slope", type=float, help="of leaky_relu (default 0.1)")
    add("--clip", type=_clip, help=f"{', '.join(CLIPS)}, or LO,HI (default model)")
    add("--clip-scale", type=float, metavar="S", help="stretch the range (default 1)")
    add("--clip-lo", type=_lower, metavar="LO",
        help="the lower end, or free (default: 0 after a named ReLU, else chosen)")  # fmt: skip
    add("--quantizer", choices=QUANTIZERS, help="default uniform")
    add("--rate-weight", type=float, metavar="W", help="squared error / variance per bit")
    add("--coder", choices=CODERS, help="default rans")
    add("--channel-axis", type=int, metavar="AXIS", help="default: measured")
    add("--nan", choices=NAN_POLICIES, help="default zero")
    return parser


def _block(text: str) -> Any:
    if text == "map":
        return text
    try:
        sides = tuple(map(int, text.split(",")))
    except ValueError:
        sides = ()
    if len(sides) not in (1, 2):
        raise argparse.ArgumentTypeError(f"{text!r}: map, a side, or HEIGHT,WIDTH")
    return sides[0] if len(sides) == 1 else sides


def _transform(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--transform", choices=TRANSFORMS, help="dct: a transform in place of levels and coder")
    add("--block", type=_block, metavar="SIDES", help="of the transform: map, SIDE or H,W")
    add("--step", type=float, help="of the transform")
    add("--distortion", type=float, metavar="D", help="share of the power, in place of --step")
    add("--target-bits", type=float, metavar="B", help="per element, in place of --step")
    add("--metric", metavar="FILE", help=".npy of gradients, shaped like the samples")


def build_parser() -> argparse.ArgumentParser:
    """The parser of the whole command line."""
    parser = argparse.ArgumentParser(
        prog="lwfc",
        description="Codes float feature tensors in a few tenths of a bit per element.",
        epilog="First: lwfc encode features.npy, lwfc decode features.npy.lwfc -o decoded.npy. "
        "Then: lwfc calibrate features.npy -o layer.lwfc, lwfc encode new.npy --codec layer.lwfc. "
        "lwfc COMMAND --help has the options.",
    )
    parser.add_argument("-V", "--version", action="version", version=f"lwfc {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    common, output, source, design = _common(), _output(), _input(), _design()

    sub = commands.add_parser(
        "encode", parents=[source, common, output, design], help="tensors to streams",
        description="Codes the float tensors of .npy, .npz, .pt and .safetensors files, or of an "
        ".npy from standard input (-), each into a stream of its own.",
    )  # fmt: skip
    sub.add_argument("--codec", metavar="FILE", help="a calibrated codec, instead of the design")

    sub = commands.add_parser(
        "decode", parents=[common, output], help="streams to tensors",
        description="Each stream's tensor to an .npy file; bound streams need their --codec.",
    )  # fmt: skip
    sub.add_argument("input", nargs="+", metavar="FILE", help="a stream; -: standard input")
    sub.add_argument("--codec", metavar="FILE", help="for bound streams")
    only = sub.add_mutually_exclusive_group()
    only.add_argument("-t", "--test", action="store_true", help="decode, but write nothing")
    only.add_argument("-l", "--list", action="store_true", help="as lwfc inspect")
    sub.add_argument("--max-nbytes", type=int, default=2**30, metavar="N",
                     help="refuse larger tensors (default 2^30)")  # fmt: skip

    sub = commands.add_parser(
        "inspect", parents=[_json()], help="describe streams, codec files",
        description="What a stream's header says, or what a codec file holds, without decoding.",
    )  # fmt: skip
    sub.add_argument("input", nargs="+", metavar="FILE", help="a stream or a codec file")
    sub.add_argument("-l", "--list", action="store_true", help="(what inspect does anyway)")
    sub.add_argument("--codec", metavar="FILE", help="to show more of bound streams")

    sub = commands.add_parser(
        "calibrate", parents=[source, common, output, design], help="samples to a codec file",
        description="One codec, for -o, from samples of a layer's features. Each file is a batch "
        "of samples, counted by axis 0, or one sample.",
    )  # fmt: skip
    sub.add_argument("--batched", action=argparse.BooleanOptionalAction,
                     help="say which it is, where the shapes do not tell")  # fmt: skip
    sub.add_argument("--restore", choices=RESTORATIONS, help="default none")
    sub.add_argument("--restore-strength", type=float, metavar="S", help="0 to 1 (default 1)")
    sub.add_argument("--granularity", choices=GRANULARITIES, help="default tensor")
    sub.add_argument("--scale", type=float, metavar="S", help="of a quantized network's integers")
    sub.add_argument("--zero-point", type=int, metavar="Z", help="of these (default 0)")
    _transform(sub)

    add_commands(commands, common)
    add_evaluate(commands, common)

    sub = commands.add_parser(
        "demo", parents=[common], help="the main job on two trained networks",
        description="Runs from a source checkout: calibrates, codes, and measures accuracy.",
    )  # fmt: skip
    sub.add_argument("--data", metavar="DIR", help="the checkout's benchmarks folder")
    sub.add_argument("--plot", metavar="PNG", help="draw the rate-accuracy curves")
    sub.add_argument("--quick", action="store_true", help="fewer samples and level counts")
    return parser
