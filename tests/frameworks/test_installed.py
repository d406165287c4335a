"""The installed package: array stores find lwfc by entry points, without importing it first.

The wheel is built of a copy of the sources with the extension that is in place, and installed into
a folder.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("setuptools")
numcodecs = pytest.importorskip("numcodecs")
zarr = pytest.importorskip("zarr")

import lwfc  # noqa: E402
from lwfc.storage.numcodecs import Lwfc  # noqa: E402
from lwfc.storage.zarr import LwfcCodec  # noqa: E402

ROOT = Path(__file__).parents[2]
X = np.maximum(np.random.default_rng(0).normal(size=(10, 8, 6, 6)), 0).astype(np.float32)
CODEC = lwfc.calibrate(X, levels=8, channel_axis=1)


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("installed")
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    shutil.copytree(ROOT / "csrc", source / "csrc")
    shutil.copytree(ROOT / "python" / "lwfc", source / "python" / "lwfc",
                    ignore=shutil.ignore_patterns("_core*.so", "__pycache__"))  # fmt: skip
    # A finished extension newer than its sources is not compiled again.
    (source / "setup.cfg").write_text("[build]\nbuild_lib = prebuilt\n")
    (source / "prebuilt" / "lwfc").mkdir(parents=True)
    shutil.copy(lwfc._core.__file__, source / "prebuilt" / "lwfc")
    options = ["-q", "--no-deps", "--no-index", "--no-build-isolation", "--target", str(target)]
    subprocess.run([sys.executable, "-m", "pip", "install", *options, str(source)], check=True)
    return target


def run(code, installed, folder):
    """Run a script that sees the installed package and not the sources."""
    environment = os.environ | {"PYTHONPATH": str(installed)}
    before = "import sys; import numpy as np\n"
    after = f"""
assert np.array_equal(x, np.load("y.npy"))
assert sys.modules["lwfc"].__file__.startswith({str(installed)!r})
"""
    subprocess.run([sys.executable, "-c", before + code + after], check=True, cwd=folder,
                   env=environment)  # fmt: skip


def test_zarr_finds_the_codec(installed, tmp_path):
    zarr.registry.register_codec("lwfc", LwfcCodec)
    how = {"chunks": (4, 8, 6, 6), "serializer": LwfcCodec(CODEC), "compressors": None}
    zarr.create_array(tmp_path / "x.zarr", shape=X.shape, dtype="float32", **how)[:] = X
    np.save(tmp_path / "y.npy", CODEC.simulate(X))
    run('import zarr; x = zarr.open_array("x.zarr")[:]', installed, tmp_path)


def test_numcodecs_finds_the_codec(installed, tmp_path):
    codec = Lwfc(CODEC)
    (tmp_path / "x.lwfc").write_bytes(codec.encode(X))
    np.save(tmp_path / "y.npy", CODEC.simulate(X))
    config = codec.get_config()
    code = f"""
import numcodecs
x = numcodecs.get_codec({config!r}).decode(open("x.lwfc", "rb").read())
"""
    run(code, installed, tmp_path)


def test_the_command_is_installed(installed, tmp_path):
    np.save(tmp_path / "x.npy", X)
    environment = os.environ | {"PYTHONPATH": str(installed)}
    program = installed / "bin" / "lwfc"
    subprocess.run([sys.executable, program, "encode", "x.npy"], check=True,
                   cwd=tmp_path, env=environment)  # fmt: skip
    assert lwfc.decode((tmp_path / "x.npy.lwfc").read_bytes()).shape == X.shape
