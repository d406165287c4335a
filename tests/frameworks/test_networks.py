"""benchmarks/networks: studies of networks that packages ship, on a handful of samples."""

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnxruntime")
sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
import networks  # noqa: E402
from networks import coco, common, files, music, reading, speech  # noqa: E402

from lwfc.evaluation.families import PROFILES  # noqa: E402
from lwfc.evaluation.measure import measure  # noqa: E402


@pytest.mark.parametrize("module", [files, music, reading, speech])
def test_a_study_is_coded_and_judged(module, tmp_path, monkeypatch):
    if module is speech and shutil.which("espeak-ng") is None:
        pytest.skip("espeak-ng is not installed")
    try:
        common.package_file(module.PACKAGE, "")
    except ImportError as error:
        pytest.skip(str(error))
    monkeypatch.setattr(module, "QUICK", (3, 4, 4))
    name = next(n for n, place in networks.NETWORKS.items()
                if place.startswith(module.__name__.rpartition(".")[2] + ":"))  # fmt: skip
    study = networks.load(name, True, tmp_path)
    inputs = [study.x(split) for split in ("calibration", "tune", "test")]
    assert len({x.tobytes() for split in inputs for x in split}) == 3 + 4 + 4
    assert study.reference("tune").metric() > 70
    whole = study.judge("tune", study.whole(study.images["tune"])).metric()
    assert whole == pytest.approx(study.reference("tune").metric(), abs=0.5)
    record = measure(study, PROFILES["rans"], {"levels": 16, "clip_scale": 2.2}, "tune", 2)
    assert 0 < record["bits"] < 4 and record["loss"] < 20


def test_a_missing_package_is_named():
    with pytest.raises(ImportError, match="pip install --no-deps no-such-package==1.2"):
        common.package_file("no-such-package==1.2", "file")


def test_files_are_as_they_say_and_texts_apart():
    found = {split: files.made(split, len(files.MAKERS)) for split in ("calibration", "test")}
    made = dict(zip(found["test"][1], found["test"][0], strict=True))
    assert set(made) == set(files.MAKERS)
    assert made["zip"][:2] == b"PK" and made["npy"][1:6] == b"NUMPY" and made["wav"][:4] == b"RIFF"
    assert not set(found["calibration"][0]) & set(found["test"][0])
    tokens = files.tokens(b"  abc ")
    assert tokens[:4].tolist() == [97, 98, 99, 32] and tokens[4] == files.PADDING
    assert tokens[-4:].tolist() == [32, 97, 98, 99]


def test_what_sounds_is_where_the_labels_say():
    x, sounding = music.music(np.random.default_rng(0))
    assert x.shape == (music.LENGTH, 1) and sounding.any()
    assert music.frames_right(sounding[None], sounding[None]) == 100
    assert music.frames_right(~sounding[None], sounding[None]) == 0


def test_characters_are_read_without_repetitions_and_blanks():
    outputs = np.eye(4)[[0, 1, 1, 0, 1, 2, 3, 0]][None]
    assert reading.read(outputs, ["a", "b", " "]) == ["aab"]


@pytest.fixture
def scenes(tmp_path):
    """A COCO folder of coloured squares on a grid, and a network of them cut at "cells"."""
    from onnx import TensorProto, helper, numpy_helper, save
    from PIL import Image

    rng = np.random.default_rng(0)
    (tmp_path / "val2017").mkdir()
    (tmp_path / "annotations").mkdir()
    told = {"images": [], "annotations": [], "categories": [{"id": 7}, {"id": 3}]}
    for i in range(13):
        picture, name = np.zeros((96, 128, 3), np.uint8), f"{i:012}.jpg"
        for kind, cell in enumerate(rng.choice(48, 2, replace=False)):
            y, x = 16 * (cell // 8), 16 * (cell % 8)
            picture[y : y + 16, x : x + 16, 2 * kind] = rng.integers(150, 255)
            place = {"category_id": (3, 7)[kind], "bbox": [int(x), int(y), 16, 16]}
            told["annotations"].append({"image_id": 100 + i, "iscrowd": 0} | place)
        crowd = {"image_id": 100 + i, "category_id": 3, "bbox": [0, 0, 90, 90], "iscrowd": 1}
        told["annotations"].append(crowd)
        told["images"].append({"id": 100 + i, "file_name": name})
        Image.fromarray(picture).save(tmp_path / "val2017" / name, quality=95)
    (tmp_path / "annotations" / "instances_val2017.json").write_text(json.dumps(told))

    y, x = np.divmod(np.arange(64), 8)
    constants = {
        "colours": np.array([[1, -1, 0], [0, -1, 1]], np.float32)[..., None, None],
        "shape": np.array([1, 2, 64]),
        "boxes": np.stack([8 * x + 4, 8 * y + 4, 8 + 0 * x, 8 + 0 * x]).astype(np.float32)[None],
    }
    nodes = [
        helper.make_node("AveragePool", ["x"], ["a"], kernel_shape=[8, 8], strides=[8, 8]),
        helper.make_node("Conv", ["a", "colours"], ["b"]),
        helper.make_node("Relu", ["b"], ["cells"]),
        helper.make_node("Reshape", ["cells", "shape"], ["scores"]),
        helper.make_node("Concat", ["boxes", "scores"], ["y"], axis=1),
    ]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
            for name, shape in (("x", [1, 3, 64, 64]), ("y", [1, 6, 64]))]  # fmt: skip
    stored = [numpy_helper.from_array(v, k) for k, v in constants.items()]
    graph = helper.make_graph(nodes, "tiny", ends[:1], ends[1:], stored)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    save(model, tmp_path / "yolo.onnx")
    return {"weights": tmp_path / "yolo.onnx", "data": tmp_path, "at": "cells", "sizes": (3, 5, 5)}


def test_a_yolo_on_a_folder_of_coco(scenes, tmp_path):
    study = networks.load("yolo", True, tmp_path / "cache", **scenes)
    study.check()
    assert study.x("test").shape == (5, 2, 8, 8) and len(study.labels["tune"][0]["boxes"]) == 2
    assert study.reference("tune").metric() == study.reference("test").metric() == 100
    assert study.judge("test", study.whole(study.images["test"])).metric() == 100
    assert study.judge("test", study.tail(0 * study.x("test"))).metric() == 0
    record = measure(study, PROFILES["rans"], {"levels": 16, "clip_scale": 2.2}, "tune", 2)
    assert 0 < record["bits"] < 4.5 and record["loss"] < 20


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"data": Path("nowhere")}, FileNotFoundError, "instances_val2017.json.*val2017"),
        ({"sizes": (9, 9, 9)}, FileNotFoundError, r"13 files .*val2017/\*.jpg"),
        ({"weights": Path("nowhere.onnx")}, FileNotFoundError, "nowhere.onnx"),
        ({"at": None}, ValueError, "--at TENSOR"),
        ({"at": "cell"}, ValueError, "--at cell: no tensor .* near it: .*cells"),
        ({"at": "x"}, ValueError, "--at x: .* an input"),
        ({"at": "y"}, ValueError, "--at y: nothing .* behind"),
    ],
)
def test_what_a_yolo_lacks_is_named(scenes, tmp_path, change, error, message):
    with pytest.raises(error, match=message):
        networks.load("yolo", True, tmp_path / "cache", **scenes | change)


def test_a_picture_lies_in_the_middle_of_the_input():
    from PIL import Image

    picture = Image.new("RGB", (20, 10), (200, 0, 0))
    boxed, scale, offset = coco.letterbox(picture, 64, 32)
    assert boxed.shape == (64, 32, 3) and scale == 1.6 and offset.tolist() == [0, 24]
    assert (boxed[24:40] == (200, 0, 0)).all() and (boxed[:24] == coco.GREY).all()
    found = coco.truth([{"bbox": [5, 0, 10, 10], "class": 2}], scale, offset)
    assert found["boxes"].tolist() == [[8, 24, 24, 40]] and found["labels"].tolist() == [2]
