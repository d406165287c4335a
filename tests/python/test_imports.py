"""Importing lwfc is light: NumPy and nothing else, in a fresh interpreter."""

import subprocess
import sys

import pytest

HEAVY = ("torch", "tensorflow", "keras", "jax", "onnx", "scipy", "matplotlib", "pandas", "tqdm")


def run(code):
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout


def test_import_brings_numpy_only():
    code = f"import sys, lwfc, lwfc.tools.cli; print([n for n in {HEAVY} if n in sys.modules])"
    assert run(code).strip() == "[]"


def test_coding_brings_nothing_either():
    code = (
        "import sys, numpy, lwfc; x = numpy.ones((2, 3, 4, 5), 'f4'); lwfc.decode(lwfc.encode(x));"
        f"lwfc.quantize(x, 0, 1, 4); print([n for n in {HEAVY} if n in sys.modules])"
    )
    assert run(code).strip() == "[]"


def test_torch_part_imports_torch():
    pytest.importorskip("torch")
    assert run("import sys, lwfc.torch; print('torch' in sys.modules)").strip() == "True"


def test_public_names_exist():
    import lwfc

    assert all(hasattr(lwfc, name) for name in lwfc.__all__)
    assert lwfc.__version__.count(".") == 2


def test_public_things_are_documented():
    import lwfc

    for name in lwfc.__all__:
        assert getattr(lwfc, name).__doc__, name


@pytest.mark.parametrize(
    ("module", "needs", "extra"),
    [
        ("keras", "keras", "keras"),
        ("tensorflow", "tensorflow", "tensorflow"),
        ("jax", "jax", "jax"),
        ("onnx", "onnx", "onnx"),
        ("litert", "ai_edge_litert", "litert"),
        ("storage.numcodecs", "numcodecs", "storage"),
        ("storage.zarr", "zarr", "storage"),
    ],
)
def test_a_missing_framework_names_its_extra(module, needs, extra):
    code = f"""
import sys
sys.modules[{needs!r}] = None  # as if it were not installed
try:
    import lwfc.{module}
except ImportError as error:
    print(error)
"""
    assert f"lwfc[{extra}]" in run(code)
