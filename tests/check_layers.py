"""The layer rules of csrc/README.md and CONTRIBUTING.md. Exits 1 and names each breach."""

import ast
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CSRC = ROOT / "csrc"
PACKAGE = ROOT / "python" / "lwfc"

# folder -> folders whose headers it may include, besides its own and csrc/include
MAY_USE = {
    "base": {"cpu"},
    "cpu": {"base"},
    "kernels": {"base", "cpu"},
    "model": {"base"},
    "par": {"base"},
    "entropy": {"base", "cpu", "kernels"},
    "container": {"base"},
    "transform": {"base", "kernels", "entropy"},
    "codec": {"base", "cpu", "kernels", "par", "entropy", "container", "transform"},
    "fit": {"base", "cpu", "kernels", "par"},
    "include": set(),
    "pyext": {"codec", "fit"},  # of codec stages.h only
}
# Room of the package -> rooms it may import, besides its own and the extension. The package's own
# names (``from .. import calibrate``) count as the room "lwfc".
ROOMS = {
    "base": set(),
    "model": {"base"},
    "codec": {"base"},
    "context": {"base"},
    "restoration": {"base"},
    "transform": {"base"},
    "calibration": {"base", "model", "codec", "context", "restoration", "transform"},
    "taps": {"base", "codec"},
    "split": {"base", "codec", "calibration", "taps", "transform"},
    "evaluation": {"base", "codec", "calibration", "split"},
    "storage": {"base", "codec", "calibration"},
    "serve": {"base", "split"},
    "tools": {"base", "model", "codec", "calibration", "split", "evaluation", "serve", "torch",
              "lwfc"},
    "torch": {"base", "codec", "calibration", "restoration", "split", "taps", "transform"},
    "keras": {"base", "codec", "calibration", "split", "taps"},
    "tensorflow": {"base", "codec", "calibration", "split", "taps"},
    "jax": {"base", "codec", "calibration", "split", "taps"},
    "onnx": {"base", "codec", "calibration", "split", "taps"},
    "litert": {"base", "codec", "calibration", "split", "taps"},
}
# Packages of the frameworks' world: only their own rooms and the tools may import them.
FRAMEWORKS = {
    "torch": {"torch", "torchvision"},
    "keras": {"keras", "tensorflow", "jax", "torch"},
    "tensorflow": {"tensorflow"},
    "jax": {"jax", "flax"},
    "onnx": {"onnx", "onnxruntime"},
    "litert": {"ai_edge_litert"},
    "storage": {"zarr", "numcodecs"},
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
        for used, header in re.findall(r'#include "(\w+)/([^"]+)"', code):
            if used != folder and used not in MAY_USE[folder]:
                yield f"{name}: includes {used}/, which {folder}/ may not use"
            if folder == "pyext" and used == "codec" and header != "stages.h":
                yield f"{name}: includes codec/{header}; the binding takes stages.h alone"
        for pattern, home in ONLY_IN.items():
            if folder != home and re.search(pattern, code):
                yield f"{name}: only {home}/ may contain {re.search(pattern, code).group(0)!r}"
        if folder == "entropy" and re.search(r"\b(float|double)\b", code):
            yield f"{name}: floating point in the entropy coders"


def imports_of(path: Path):
    """(absolute dotted name, line) of every import in a file, also of those inside functions."""
    package = ("lwfc", *path.relative_to(PACKAGE).parts[:-1])
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((name.name, node.lineno) for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = [*package[: len(package) - node.level + 1]] if node.level else []
            base += node.module.split(".") if node.module else []
            for name in node.names:
                yield ".".join([*base, name.name]), node.lineno


def room_breaches():
    """One-way rooms, no framework outside its own, no circles between files."""
    files = {path: ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts)
             for path in sorted(PACKAGE.rglob("*.py"))}  # fmt: skip
    modules = set(files.values())
    graph = {}
    for path, module in files.items():
        name, room = path.relative_to(ROOT), module.split(".")[1]
        graph[module] = set()
        for used, line in imports_of(path):
            top, *rest = used.split(".")
            homes = [home for home, packages in FRAMEWORKS.items() if top in packages]
            if homes and room not in (*homes, "tools"):
                yield f"{name}:{line}: imports {top}, which only {homes[0]}/ may"
            if top != "lwfc":
                continue
            target = next((m for m in (used, used.rpartition(".")[0]) if m in modules), None)
            if target is not None and target != module:
                graph[module].add(target)
            other = rest[0] if rest and (PACKAGE / rest[0]).is_dir() else "lwfc"
            if room in ROOMS and other not in (room, *ROOMS[room]) and used != "lwfc._core":
                yield f"{name}:{line}: imports {used}, which {room}/ may not use"
            if other != room and any(part.startswith("_") for part in rest[1:]):
                yield f"{name}:{line}: imports {used}, a private part of another room"
        if path.parent != PACKAGE and room not in ROOMS:
            yield f"{name}: {room}/ has no rule in ROOMS"
    yield from circles(graph)


def circles(graph):
    """Every strongly connected group of files, found by walking back to where a walk began."""
    for start in sorted(graph):
        ahead, seen = [start], set()
        while ahead:
            for module in graph.get(ahead.pop(), ()):
                if module not in seen:
                    seen.add(module)
                    ahead.append(module)
        if start in seen:
            yield f"{start}: imports itself in a circle"


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
    breaches = [*layer_breaches(), *room_breaches(), *size_breaches(), *name_breaches()]
    print("\n".join(breaches) or "layers: all rules hold")
    return bool(breaches)


if __name__ == "__main__":
    sys.exit(main())
