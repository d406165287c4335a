"""README's Python runs as written, from a checkout, and gives what README says."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import lwfc

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"^```python\n(.*?)^```", TEXT, re.S | re.M)
QUICK = BLOCKS[:2]  # the others take minutes: they are compiled only


@pytest.fixture(scope="module")
def output(tmp_path_factory):
    pytest.importorskip("torch")
    folder = tmp_path_factory.mktemp("readme")
    (folder / "benchmarks").symlink_to(ROOT / "benchmarks")
    (folder / "quick.py").write_text("\n".join(QUICK))
    done = subprocess.run(
        [sys.executable, "-W", "error", "quick.py"],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(Path(lwfc.__file__).parents[1])},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert lwfc.load(folder / "stage2.lwfc").metadata["transform"] == "dct"
    return done.stdout


def test_quick_start_gives_what_readme_says(output):
    bits, right, *report = output.splitlines()
    assert 1.3 < float(bits) < 1.6
    assert float(right.split()[0]) == pytest.approx(94.2, abs=0.6)
    row = dict(zip(report[0].split(), report[1].split(), strict=True))
    assert float(row["bits_per_element"]) == pytest.approx(0.0358, abs=0.002)
    assert "0.036 bits a value" in TEXT and right.split()[0] in TEXT


@pytest.mark.parametrize("number", range(len(BLOCKS)))
def test_every_block_is_python(number):
    compile(BLOCKS[number], f"README block {number}", "exec")


def test_extras_are_those_of_the_package():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    listed = TEXT.split("| extra | for |")[1].split("\n\n")[0]
    first_cells = [line.split("|")[1] for line in listed.splitlines()[2:]]
    named = set(re.findall(r"`(\w+)`", " ".join(first_cells)))
    assert named == set(project["optional-dependencies"])
