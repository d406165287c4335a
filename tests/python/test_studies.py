"""The studies' harness on a handful of samples."""

import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
import hevc  # noqa: E402
from common import features  # noqa: E402
from studies import matching, measuring, operating, photographs, tasks, text  # noqa: E402


class Toy(tasks.Classification):
    """Which channel has the largest mean."""

    def head(self, features):
        return features.mean((2, 3))

    def outcome(self, split, output):
        return output.argmax(1) == self.truth[split][: len(output)]


@pytest.fixture(scope="module")
def toy():
    x = features((12, 8, 6, 7))
    truth = {"tune": x.mean((2, 3)).argmax(1)}
    return Toy("toy", None, "relu", x, {"tune": x}, {}, truth)


def test_measure(toy):
    row = measuring.measure(toy, "tune", True, levels=4, coder="rans")
    assert 0 < row["bits"] <= row["bits_single"]
    assert row["error"] < 0.5 and row["final_levels"] == 4
    low, high = row["interval"]
    assert low <= row["loss"] <= high
    assert measuring.screen(toy, "tune", levels=4, coder="rans")["bits"] == row["bits"]


def test_order0():
    symbols = np.array([[0, 0, 1, 1], [2, 2, 2, 2]], np.uint8)
    assert measuring.order0(symbols, 3) == pytest.approx(0.5)


def test_rows_go_on(tmp_path):
    path = tmp_path / "rows.jsonl"
    assert measuring.Rows(path).get(lambda: {"a": 1}, key=1) == {"a": 1}
    path.write_text(path.read_text() + '["cut o')
    assert measuring.Rows(path).get(lambda: {"a": 2}, key=1) == {"a": 1}


def test_choice():
    rows = [{"bits": b, "loss": loss} for b, loss in ((0.2, 3.0), (0.4, 0.3), (0.6, 0.3))]
    assert operating.choose(rows, 0.5)["bits"] == 0.4
    assert operating.choose(rows[:1], 0.5)["bits"] == 0.2
    assert [r["bits"] for r in operating.frontier(rows)] == [0.2, 0.4]


def test_equal_error():
    points = (("paper", 1.0, 0.1), ("paper", 0.5, 0.4), ("ours", 0.25, 0.2))
    names = ("family", "bits", "error")
    extra = {"levels": 2, "bits_single": 0, "order0": 0, "agreement": 0}
    rows = [dict(zip(names, p, strict=True)) | extra for p in points]
    [line] = photographs.compare(rows)
    assert line[-1] == pytest.approx(0.25 / 0.75)


def test_matching():
    torch = pytest.importorskip("torch")
    truth = [{"boxes": torch.tensor([[0.0, 0, 10, 10]]), "labels": torch.tensor([k])}
             for k in (0, 1, 0)]  # fmt: skip
    found = [t | {"scores": torch.tensor([0.9])} for t in truth]
    assert matching.MatchedScenes(found, truth).precision() == 100
    found[1] = found[1] | {"boxes": torch.tensor([[5.0, 5, 15, 15]])}
    scenes = matching.MatchedScenes(found, truth)
    assert scenes.precision() == 50
    assert scenes.precision(np.array([0, 0, 2])) == 100


def test_tiles():
    x = np.random.default_rng(0).integers(0, 255, (3, 13, 6, 5), np.uint8)
    pictures = hevc.tile(x)
    assert np.array_equal(hevc.untile(pictures, x.shape[1:]), x)
    if shutil.which("x265") and shutil.which("ffmpeg"):
        pictures = hevc.tile(np.repeat(np.repeat(x, 3, 2), 3, 3))
        nbytes, decoded = hevc.code(pictures, 4, "ultrafast")
        assert nbytes > 0 and decoded.shape == pictures.shape
        assert np.abs(decoded.astype(int) - pictures).mean() < 8


def test_table():
    assert text.table(("a", "b"), [["x", 0.12345]]).splitlines()[2] == "| x | 0.123 |"


def test_crops_of_which_the_network_is_sure(tmp_path, monkeypatch):
    torch = pytest.importorskip("torch")
    import photo_features
    from networks import photographs as network

    def crops_of(names, count, seed):  # levels 0 to 19 everywhere
        levels = np.arange(count, dtype=np.float32)[:, None, None, None]
        return levels / 128 * np.ones((3, 4, 4), np.float32)

    def model(x):  # sure of even levels
        even = (128 * x[:, 0, 0, 0]).round() % 2 == 0
        return torch.stack([even * 5.0, torch.zeros(len(x)), torch.zeros(len(x))], 1)

    monkeypatch.setattr(photo_features, "crops_of", crops_of)
    every = network.crops(model, "calibration", 6, tmp_path)
    sure = network.crops(model, "test", 12, tmp_path)
    assert (128 * every[:, 0, 0, 0]).tolist() == [0, 1, 2, 3, 4, 5]
    assert (128 * sure[:, 0, 0, 0]).tolist() == [*range(0, 20, 2), 0, 2]
    assert np.array_equal(network.inputs(network.pixels(sure)), sure.numpy())
    names = [set(photos) for photos in network.PHOTOGRAPHS.values()]
    assert not (names[0] & names[1] or names[0] & names[2] or names[1] & names[2])


def test_lossless_rivals_give_symbols_back():
    from rivals import symbols

    rng = np.random.default_rng(0)
    calibration, x = (rng.choice(4, size=(n, 5, 7, 8), p=(0.7, 0.2, 0.07, 0.03)).astype(np.uint8)
                      for n in (20, 6))  # fmt: skip
    for name, (packer, _) in symbols.PACKERS.items():
        try:
            pack, unpack = packer(calibration)
        except (ImportError, FileNotFoundError, RuntimeError):
            continue  # not installed here
        parts = [x, x[:2]]
        found = unpack(list(map(bytes, pack(parts))), list(map(len, parts)))
        for given, symbols_back in zip(parts, found, strict=True):
            flat = np.asarray(symbols_back, np.uint8).reshape(-1)[: given.size]
            assert np.array_equal(flat, given.reshape(-1)), name
