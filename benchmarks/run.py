"""Speed: runs the suites, prints markdown, writes build/bench/<suite>.json.

Usage: python benchmarks/run.py [--seconds 6] [--features FOLDER] [--plot FILE] [suite ...]

Needs lwfc and a C compiler; peers come with ``pip install lwfc[bench]`` and are left out where
missing. All tasks of a table take turns and the best thread CPU time of each counts, so ratios
within a table hold on a busy machine too; thread scaling is wall time.
"""

import argparse
import json
from pathlib import Path

from bench.picture import draw_peers
from bench.report import describe, table
from bench.suites import SUITES
from bench.timing import machine

ROOT = Path(__file__).parents[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("suites", nargs="*", help=f"of {', '.join(SUITES)}; default: all")
    parser.add_argument("--seconds", type=float, default=6.0, help="for each table (default 6)")
    parser.add_argument("--features", type=Path, default=ROOT / "build" / "features",
                        help="folder written by photo_features.py")  # fmt: skip
    parser.add_argument("--plot", type=Path, help="of the suite symbols: speed against bits")
    arguments = parser.parse_args()
    unknown = set(arguments.suites) - set(SUITES)
    if unknown:
        parser.error(f"no such suite: {', '.join(sorted(unknown))}")
    folder = ROOT / "build" / "bench"
    folder.mkdir(parents=True, exist_ok=True)
    for name in arguments.suites or SUITES:
        suite = SUITES[name]
        where = machine()
        result = suite(arguments.seconds, arguments.features)
        document = {"suite": name, "what": suite.__doc__, "machine": where, **result}
        (folder / f"{name}.json").write_text(json.dumps(document, indent=1))
        if name == "symbols" and arguments.plot:
            draw_peers(result["rows"], "B", arguments.plot)
        print(f"\n### {suite.__doc__}\n\n{describe(where)}\n{table(name, result)}", flush=True)


if __name__ == "__main__":
    main()
