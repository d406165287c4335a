"""lwfc explore and lwfc serve, as processes and as calls."""

import json
import subprocess
import sys

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import split_networks as nets  # noqa: E402

import lwfc  # noqa: E402
import lwfc.torch as lt  # noqa: E402
from lwfc.serve import Client  # noqa: E402
from lwfc.tools.cli import main  # noqa: E402
from lwfc.torch.halves import named_outputs  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore:.*LeafSpec")
SOURCE = """
import torch
from torch import nn

def network():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 3), nn.Flatten())
    return model, torch.rand(8, 3, 12, 12)

def wrong():
    return 3
"""


def test_explore_writes_every_report(tmp_path, capsys):
    (tmp_path / "mine.py").write_text(SOURCE)
    outputs = {name: str(tmp_path / name) for name in ("page.html", "nodes.json", "all.json")}
    status = main([
        "explore", f"{tmp_path / 'mine.py'}:network", "--mbit-s", "5", "--rtt-ms", "10",
        "--edge-speed", "0.1", "--few", "2", "--shortlist", "1", "--profiles", "rans", "paper",
        "--html", outputs["page.html"], "--model-explorer", outputs["nodes.json"],
        "-o", outputs["all.json"], "--json",
    ])  # fmt: skip
    rows = json.loads(capsys.readouterr().out)
    assert status == 0 and {row["cut"] for row in rows} >= {"0", "1", "2", "output", "input"}
    assert all(row["rtt_ms"] == (0 if row["kind"] == "device" else 10) for row in rows)
    assert lwfc.split.Exploration.from_json((tmp_path / "all.json").read_text()).rows == rows
    assert "main" in json.loads((tmp_path / "nodes.json").read_text())
    assert (tmp_path / "page.html").read_text().startswith("<!doctype html>")


@pytest.mark.parametrize("source", ["mine", "mine:wrong", "mine:none", "nowhere.py:x", "no.mod:x"])
def test_sources_that_give_no_network(tmp_path, monkeypatch, capsys, source):
    (tmp_path / "mine.py").write_text(SOURCE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    assert main(["explore", source]) == 2
    assert source in capsys.readouterr().err


def test_a_saved_half_serves_another_process(tmp_path):
    """Two processes: the edge here, the cloud there; the same answers as in one."""
    torch.manual_seed(0)
    model, x = nets.Residual().eval(), nets.images()
    codec = lt.calibrate(model, "layer1", x, levels=8, bound=True)
    edge, cloud = lt.split(model, "layer1", codec, example=x)
    lt.save_split(tmp_path / "half.pt2split", cloud)
    command = [sys.executable, "-m", "lwfc", "serve", str(tmp_path / "half.pt2split"), "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            where = json.loads(server.stdout.readline())
            with Client(where["host"], where["port"]) as client:
                for n in (1, 2):
                    answer = client(edge(x[:n]))
                    assert list(answer) == ["output"]
                    assert np.array_equal(answer["output"], cloud(edge(x[:n])).numpy())
                with pytest.raises(lwfc.FormatError, match="refuses"):
                    client(b"nothing")
        finally:
            server.terminate()


def test_without_pytorch_the_extra_is_named():
    code = "import sys; sys.modules['torch'] = None; from lwfc.tools.cli import main; "
    code += "sys.exit(main(['serve', 'x']))"
    ended = subprocess.run([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True)
    assert ended.returncode == 1 and "lwfc[torch]" in ended.stderr


def test_outputs_are_named():
    one, two = torch.zeros(1), torch.ones(2)
    assert list(named_outputs(one)) == ["output"]
    assert list(named_outputs({"mask": one, "more": [two, None]})) == ["mask", "more.0"]
    assert list(named_outputs((one, two))) == ["0", "1"]


def test_serve_refuses_what_is_no_half(tmp_path, capsys):
    path = tmp_path / "x"
    path.write_bytes(b"no half")
    assert main(["serve", str(path)]) == 1
    assert "split file" in capsys.readouterr().err
