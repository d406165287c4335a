"""benchmarks/networks/imagenet.py on a tiny folder of ImageNet's layout and a tiny network."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
Image = pytest.importorskip("PIL.Image")
BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))
import networks  # noqa: E402
from networks import imagenet  # noqa: E402

from lwfc.evaluation.families import PROFILES  # noqa: E402
from lwfc.evaluation.measure import measure  # noqa: E402

SIZES = (4, 5, 6)


class Tiny(torch.nn.Module):
    """The colour there is most of."""

    def __init__(self):
        super().__init__()
        self.pool = torch.nn.AvgPool2d(32)
        self.stage = torch.nn.Sequential(torch.nn.Conv2d(3, 3, 1), torch.nn.ReLU())

    def forward(self, x):
        return self.stage(self.pool(x)).mean((2, 3))


@pytest.fixture
def given(tmp_path):
    rng = np.random.default_rng(0)
    for colour, name in enumerate(("n01", "n02", "n03")):
        folder = tmp_path / "data" / "val" / name
        folder.mkdir(parents=True)
        for i in range(6):
            picture = rng.integers(0, 100, (*rng.integers(200, 400, 2), 3), np.uint8)
            picture[..., colour] += 120
            Image.fromarray(picture).save(folder / f"{i}.JPEG")
    network = Tiny()
    network.stage[0].weight.data = torch.eye(3)[..., None, None]
    network.stage[0].bias.data = torch.ones(3)
    torch.save(network.state_dict(), tmp_path / "weights.pth")
    return {"weights": tmp_path / "weights.pth", "data": tmp_path / "data", "at": "stage",
            "sizes": SIZES, "build": lambda name: Tiny()}  # fmt: skip


def test_a_folder_is_dealt_coded_and_judged(given, tmp_path):
    study = networks.load("resnet50", True, tmp_path, **given)
    inputs = [study.x(split) for split in ("calibration", "tune", "test")]
    assert [len(x) for x in inputs] == list(SIZES) and inputs[0].shape[1:] == (3, 7, 7)
    assert len({x.tobytes() for split in inputs for x in split}) == sum(SIZES)
    study.check()
    assert study.reference("tune").metric() == study.reference("test").metric() == 100
    images = study.images["test"]
    assert images.shape == (6, 224, 224, 3) and images.dtype == np.uint8
    assert study.judge("test", study.whole(images)).metric() == 100
    codec = study.transform(step=0.1)
    assert codec.metadata["metric"] == "gradients"
    assert np.abs(codec.decode(codec.encode(inputs[2])) - inputs[2]).max() < 0.5
    record = measure(study, PROFILES["rans"], {"levels": 16, "clip_scale": 2.2}, "tune", 2)
    assert 0 < record["bits"] < 4.5 and record["loss"] == 0


def test_kept_features_are_of_these_weights(given, tmp_path):
    before = networks.load("resnet50", True, tmp_path, **given).x("tune")
    assert np.array_equal(networks.load("resnet50", True, tmp_path, **given).x("tune"), before)
    state = torch.load(given["weights"], weights_only=True)
    torch.save(state | {"stage.0.bias": torch.zeros(3)}, given["weights"])
    after = networks.load("resnet50", True, tmp_path, **given).x("tune")
    assert not np.array_equal(after, before)


def test_pictures_are_read_as_torchvision_does(tmp_path):
    ramp = np.tile(np.arange(512, dtype=np.uint8)[None] // 2, (300, 1))
    Image.fromarray(ramp).save(tmp_path / "grey.png")
    read = imagenet.read(tmp_path / "grey.png")
    assert read.shape == (224, 224, 3) and np.array_equal(read[..., 0], read[..., 2])
    # 512 columns of 300 rows become 436 of 256; the crop starts at column 106, of 124.5 before.
    assert abs(int(read[100, 0, 0]) - 124.5 / 2) <= 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"data": Path("nowhere")}, r"nowhere/val/<class>/\*.JPEG.*take 15"),
        ({"sizes": (10, 10, 10)}, r"18 files .*take 30; --sizes"),
        ({"weights": Path("nowhere.pth")}, "weights.*nowhere.pth"),
        ({"build": lambda name: Four()}, "3 classes, resnet50 4 outputs"),
        ({"at": "stge"}, "--at stge: .* no such layer; near it: 'stage'"),
    ],
)
def test_what_is_missing_is_named(given, tmp_path, change, message):
    with pytest.raises((FileNotFoundError, ValueError), match=message):
        networks.load("resnet50", True, tmp_path, **given | change)


def test_a_cut_that_several_tensors_cross_is_refused(given, tmp_path):
    class Residual(Tiny):
        def forward(self, x):
            x = self.pool(x)
            return (x + self.stage(x)).mean((2, 3))

    with pytest.raises(ValueError, match="--at stage: .* cross there"):
        networks.load("resnet50", True, tmp_path, **given | {"build": lambda name: Residual()})


class Four(Tiny):
    def forward(self, x):
        return torch.nn.functional.pad(super().forward(x), (0, 1))


def test_torchvision_is_named(given, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torchvision", None)
    del given["build"]
    with pytest.raises(ImportError, match="pip install torchvision"):
        networks.load("alexnet", True, tmp_path, **given)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--networks", "vgg16"], "vgg16: one of these at a time, with --weights"),
        (["--at", "layer2"], "--at: name the network, --networks resnet50|vgg16"),
    ],
)
def test_the_command_asks_for_what_it_needs(options, message):
    command = [sys.executable, str(BENCHMARKS / "evaluate.py"), *options]
    run = subprocess.run(command, capture_output=True, text=True)
    assert run.returncode == 2 and message in run.stderr
