"""The pages' Python runs as written, block after block, on a small network and its images."""

import os
import re
import socket
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402

import lwfc  # noqa: E402
import lwfc.torch as lt  # noqa: E402

DOCS = Path(__file__).parents[2] / "docs"
PAGES = ("evaluation.md", "first_hour.md", "howto.md", "splitting.md")


def blocks(page):
    return re.findall(r"^```python\n(.*?)^```", (DOCS / page).read_text(), re.S | re.M)


def servers(page):
    """By the number of Python blocks before it: the command line of a server to start there."""
    text = (DOCS / page).read_text()
    return {
        text[: found.start()].count("```python"): found[1].split()
        for found in re.finditer(r"^```sh\nlwfc (serve .*)\n```", text, re.M)
    }


@pytest.fixture
def reader(tmp_path, monkeypatch):
    """What the pages take for granted: a model, images, and ways to measure it."""
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    model = nn.Sequential()
    for name, module in (
        ("layer1", nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.ReLU())),
        ("layer2", nn.Sequential(nn.Conv2d(8, 8, 3, 1, 1), nn.ReLU())),
        ("layer3", nn.Sequential(nn.Conv2d(8, 8, 3, 2, 1), nn.ReLU())),
        ("head", nn.Sequential(nn.Flatten(), nn.Linear(128, 4))),
    ):
        model.add_module(name, module)
    images = torch.rand(24, 3, 16, 16)
    labels = model.eval()(images).argmax(1)

    def evaluate(network):
        with torch.no_grad():
            return (network(images).argmax(1) == labels).float().mean().item()

    return {
        "model": model,
        "images": images,
        "loader": [images[:12], images[12:]],
        "evaluate": evaluate,
        "top1": evaluate,
        "lt": lt,
        "lwfc": lwfc,
        "np": np,
        "a": lt.calibrate(model, "layer1", images, levels=4),
        "b": lt.calibrate(model, "layer3", images, levels=4),
    }


@pytest.mark.filterwarnings("ignore::lwfc.CalibrationWarning")
@pytest.mark.parametrize("page", PAGES)
def test_a_page_runs_as_written(page, reader):
    found, serving = blocks(page), servers(page)
    assert found and (len(serving) == 1) == (page == "first_hour.md")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    with ExitStack() as stack:
        for number, block in enumerate(found):
            if number in serving:
                words = [port if word == "7000" else word for word in serving[number]]
                command = [sys.executable, "-m", "lwfc", *words]
                server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
                stack.enter_context(server)
                stack.callback(server.terminate)
                assert "listening" in server.stdout.readline() + server.stdout.readline()
                block = block.replace("7000", port)
            exec(compile(block, f"{page}, block {number + 1}", "exec"), reader)
    if page == "first_hour.md":
        assert os.path.getsize("halves.pt2s")
        there = reader["outputs"]["output"]
        assert np.array_equal(there, reader["cloud"](reader["edge"](reader["images"])).numpy())


def test_pages_with_python_are_tested():
    """frameworks.md has other frameworks' Python, which tests/frameworks runs."""
    assert {p.name for p in DOCS.glob("*.md") if blocks(p.name)} == {*PAGES, "frameworks.md"}
