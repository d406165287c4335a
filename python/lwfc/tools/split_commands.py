"""lwfc explore and lwfc serve: where to cut a network, and the cloud's half behind a socket."""

import argparse
import importlib
import json
import logging
import sys
from collections.abc import Mapping
from typing import Any

from ..base.errors import LwfcError, ParameterError
from ..base.files import replace_file
from ..base.progress import Bar
from .called import called, check_arguments
from .files import check_place

__all__ = ["add_commands", "run_explore", "run_serve"]


def add_commands(commands: Any, common: argparse.ArgumentParser) -> None:
    """Add both to the subcommands."""
    sub = commands.add_parser(
        "explore", parents=[common], help="where to cut a network (PyTorch)",
        description="Lists every legal cut of a network with its coded bytes, multiply-adds and "
        "latency. SOURCE is module:function or file.py:function; the function takes no arguments "
        "and returns (model, loader), (model, loader, metric), or a dict of lwfc.torch.explore's "
        "arguments. It runs as your own code.",
    )  # fmt: skip
    add = sub.add_argument
    add("source", metavar="SOURCE")
    add("--mbit-s", type=float, metavar="R", help="the link's megabits a second")
    add("--rtt-ms", type=float, default=0.0, metavar="T", help="its round trip (default 0)")
    add("--edge-speed", type=float, metavar="X", help="times this machine's speed (default 1)")
    add("--cloud-speed", type=float, metavar="X", help="times this machine's speed (default 1)")
    add(
        "--max-loss", type=float, metavar="L", help="outputs' squared error / spread (default 0.02)"
    )
    add("--layers", nargs="+", metavar="NAME", help="layers or globs (default: every legal cut)")
    add("--profiles", nargs="+", metavar="NAME", help="paper rans context transform (all)")
    add("--samples", type=int, metavar="N", help="inputs taken from the loader (default 64)")
    add("--few", type=int, metavar="N", help="samples behind the estimates (default 16)")
    add("--shortlist", type=int, metavar="N", help="cuts measured exactly (default 4)")
    add("--log", metavar="FILE", help="JSON lines to go on from after an interruption")
    add("--html", metavar="FILE", help="write the report as one static page")
    add("--model-explorer", metavar="FILE", help="write node data for Google's Model Explorer")
    add("-o", "--output", metavar="FILE", help="write everything as JSON")

    sub = commands.add_parser(
        "serve", parents=[common], help="run a saved half behind a socket (PyTorch)",
        description="Answers length-prefixed streams with the outputs of a cloud half that "
        "lwfc.torch.save_split wrote; lwfc.serve.Client asks. No authentication, no encryption.",
    )  # fmt: skip
    add = sub.add_argument
    add("file", metavar="FILE")
    add("--host", default="127.0.0.1", help="address to listen on (default: the loopback)")
    add("--port", type=int, default=0, help="0: a free one, which is printed")
    add("--device", default="cpu", help="where the half runs (default cpu)")
    add("--max-nbytes", type=int, default=1 << 26, metavar="N", help="longest stream (2^26)")
    add("--timeout", type=float, default=60.0, metavar="S", help="seconds of silence allowed (60)")
    add("--connections", type=int, default=16, metavar="N", help="at once (default 16)")


def _source(text: str) -> dict[str, Any]:
    """The arguments that module:function gives."""
    given = called(text)
    if isinstance(given, Mapping):
        return dict(given)
    if isinstance(given, tuple) and len(given) in (2, 3):
        return dict(zip(("model", "loader", "metric"), given, strict=False))
    raise ParameterError(f"{text!r} returns a {type(given).__name__}: must be (model, loader), "
                         "(model, loader, metric) or a dict")  # fmt: skip


def _torch() -> Any:
    """lwfc.torch, where PyTorch is installed."""
    try:
        return importlib.import_module("lwfc.torch")
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise LwfcError("this needs PyTorch: pip install 'lwfc[torch]'") from error


def run_explore(args: argparse.Namespace) -> None:
    """lwfc explore"""
    from ..split.link import Link

    explore = _torch().explore
    for name in filter(None, (args.html, args.model_explorer, args.output, args.log)):
        check_place(name)
    options = _source(args.source)
    check_arguments(args.source, explore, options)
    names = ("layers", "profiles", "edge_speed", "cloud_speed", "max_loss", "samples", "few")
    for name in (*names, "shortlist", "log"):
        if getattr(args, name) is not None:
            options[name] = getattr(args, name)
    if args.mbit_s is not None:
        options["link"] = Link(args.mbit_s, args.rtt_ms)
    with Bar(not (args.quiet or args.no_progress)) as bar:
        result = explore(progress=bar, **options)
    if args.output:
        replace_file(args.output, result.to_json().encode())
    if args.html:
        result.to_html(args.html)
    if args.model_explorer:
        nodes = json.dumps(result.to_model_explorer(), allow_nan=False)
        replace_file(args.model_explorer, nodes.encode())
    if args.json:
        print(json.dumps(result.rows))
    elif not args.quiet:
        print(result)


def run_serve(args: argparse.Namespace) -> None:
    """lwfc serve"""
    from ..serve import Server

    load_split = _torch().load_split
    cloud = load_split(args.file, "cloud").to(args.device)
    logging.basicConfig(format="%(message)s", level="INFO" if args.verbose else "WARNING")
    with Server(cloud.answer, args.host, args.port, max_nbytes=args.max_nbytes,
                timeout=args.timeout, connections=args.connections) as server:  # fmt: skip
        where = {"host": args.host, "port": server.port}
        if args.json:
            print(json.dumps(where), flush=True)
        elif not args.quiet:
            print(f"{cloud!r}\nlistening on {args.host} port {server.port}", flush=True)
        if args.host not in ("127.0.0.1", "localhost", "::1") and not args.quiet:
            print("anybody who reaches this port can use it", file=sys.stderr)
        server.serve_forever()
