"""The layer rules of csrc/README.md, as greps. Exits 1 and names each breach."""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CSRC = ROOT / "csrc"

# folder -> folders whose headers it may include, besides its own and csrc/include's statuses
MAY_USE = {
    "base": {"cpu"},
    "cpu": {"base"},
    "kernels": {"base", "cpu"},
    "model": {"base"},
    "par": {"base"},
    "entropy": {"base", "cpu", "kernels"},
    "container": {"base"},
    "codec": {"base", "cpu", "kernels", "par", "entropy", "container"},
    "include": {"codec", "cpu", "kernels", "par", "entropy"},  # lwfc_stages.h only
    "pyext": set(),
}
ONLY_IN = {
    r"#include <Python\.h>|#include <numpy/": "pyext",
    r"#include <omp\.h>|#pragma omp": "par",
    r"#include <(imm|emm|xmm|smm|nmm|tmm|avx)\w*intrin\.h>|#include <arm_neon\.h>": "kernels",
    r"\b(malloc|calloc|realloc|free)\(": "base",
}
LINE_LIMIT = {".c": 500, ".h": 520, ".py": 300}
TEST_LIMIT = 500


def code_of(path: Path) -> str:
    """The file without comments, so that prose may name what code may not."""
    return re.sub(r"/\*.*?\*/|//[^\n]*", "", path.read_text(), flags=re.S)


def layer_breaches():
    for path in sorted(CSRC.rglob("*.[ch]")):
        folder = path.relative_to(CSRC).parts[0]
        name = path.relative_to(ROOT)
        code = code_of(path)
        for used in re.findall(r'#include "(\w+)/', code):
            if used != folder and used not in MAY_USE[folder]:
                yield f"{name}: includes {used}/, which {folder}/ may not use"
        for pattern, home in ONLY_IN.items():
            if folder != home and re.search(pattern, code):
                yield f"{name}: only {home}/ may contain {re.search(pattern, code).group(0)!r}"
        if folder == "entropy" and re.search(r"\b(float|double)\b", code):
            yield f"{name}: floating point in the entropy coders"


def size_breaches():
    for folder in ("csrc", "python", "tests", "benchmarks"):
        for path in sorted((ROOT / folder).rglob("*")):
            limit = LINE_LIMIT.get(path.suffix)
            if limit is None or "build" in path.parts:
                continue
            if folder == "tests":
                limit = TEST_LIMIT
            lines = path.read_text().count("\n")
            if lines > limit:
                yield f"{path.relative_to(ROOT)}: {lines} lines, split at {limit}"


def name_breaches():
    seen = {}
    for path in sorted(CSRC.rglob("*.[ch]")):
        if path.name in seen:
            yield f"{path.relative_to(ROOT)}: the name is taken by {seen[path.name]}"
        seen[path.name] = path.relative_to(ROOT)


def main() -> int:
    breaches = [*layer_breaches(), *size_breaches(), *name_breaches()]
    print("\n".join(breaches) or "layers: all rules hold")
    return bool(breaches)


if __name__ == "__main__":
    sys.exit(main())
