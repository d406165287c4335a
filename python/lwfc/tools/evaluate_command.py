"""lwfc evaluate: bits against what a task loses, from a study that a function of yours gives."""

import argparse
import json
from collections.abc import Mapping
from typing import Any

from ..base.errors import ParameterError
from ..base.files import replace_file
from ..base.progress import Bar
from ..evaluation.evaluate import evaluate
from ..evaluation.families import PROFILES
from ..evaluation.measure import BATCH
from ..evaluation.study import Study
from .called import called, check_arguments
from .files import check_place

__all__ = ["add_evaluate", "run_evaluate"]


def add_evaluate(commands: Any, common: argparse.ArgumentParser) -> None:
    """Add it to the subcommands."""
    sub = commands.add_parser(
        "evaluate", parents=[common], help="bits against what your task loses, codec by codec",
        description="Measures codecs on a study: settings are chosen on its tune split, points "
        "measured once on its test split, with 95 % intervals. SOURCE is module:function or "
        "file.py:function; the function takes no arguments and returns an lwfc Study, or a dict of "
        "lwfc.evaluate's arguments with rivals among its codecs. It runs as your own code.",
    )  # fmt: skip
    add = sub.add_argument
    add("source", metavar="SOURCE")
    add("--codecs", nargs="+", metavar="NAME", help=f"of {', '.join(PROFILES)} (default: all)")
    add("--max-loss", nargs="+", type=float, metavar="L", help="bounds in points (0.5 1 2)")
    add("--points", type=int, metavar="N", help="settings of a codec that meet the test split (8)")
    add("--batch", type=int, metavar="N", help=f"samples a stream (default {BATCH})")
    add("--log", metavar="FILE", help="JSON lines to go on from after an interruption")
    add("--html", metavar="FILE", help="write the page: curves, tables, settings on a click")
    add("--plot", metavar="PNG", help="draw the curves")
    add("-o", "--output", metavar="FILE", help="write every point as JSON")


def _arguments(text: str) -> dict[str, Any]:
    given = called(text)
    if isinstance(given, Study):
        return {"study": given}
    if isinstance(given, Mapping) and "study" in given:
        return dict(given)
    raise ParameterError(f"{text!r} returns a {type(given).__name__}: must be a Study, or a dict "
                         "with one as \"study\"")  # fmt: skip


def run_evaluate(args: argparse.Namespace) -> None:
    """lwfc evaluate"""
    for name in filter(None, (args.html, args.plot, args.output, args.log)):
        check_place(name)
    options = _arguments(args.source)
    check_arguments(args.source, evaluate, options)
    for name in ("codecs", "max_loss", "points", "batch", "log"):
        if getattr(args, name) is not None:
            options[name] = getattr(args, name)
    with Bar(not (args.quiet or args.no_progress)) as bar:
        result = evaluate(progress=bar, **options)
    if args.output:
        replace_file(args.output, result.to_json().encode())
    if args.html:
        result.to_html(args.html)
    if args.plot:
        result.plot(args.plot)
    if args.json:
        print(json.dumps(result.rows))
    elif not args.quiet:
        print(result)
