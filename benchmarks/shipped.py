"""Networks that packages ship, each in its own runtime: notes and faces.

Usage: python benchmarks/shipped.py notes | faces

``notes``: basic-pitch is shipped as an ONNX file, a .tflite file and a SavedModel. All three are
cut at one place; streams made in one runtime are finished in every other. ``faces``: mtcnn's
second network in Keras, with a codec behind three of its layers. Needs the packages of
tests/frameworks/requirements.txt and benchmarks/evaluation_files.txt; faces: scikit-image, joblib,
lz4 too.
"""

import os
import shutil
import sys
import tempfile
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "python"))

import numpy as np
from networks import music
from networks.common import halves, package_file
from studies.text import table

import lwfc

CLIPS = {"calibration": 24, "test": 100}
# The same tensor in the SavedModel.
IN_TENSORFLOW = ("StatefulPartitionedCall/StatefulPartitionedCall/model_1/batch_normalization/"
                 "FusedBatchNormV3:0")  # fmt: skip


def in_onnx(folder, example):
    """(clips -> features, features -> notes)."""
    edge, cloud = halves(folder / "nmp.onnx", music.AT, example)
    return lambda x: edge.tensors(x)[music.AT], lambda f: cloud({music.AT: f})[music.NOTES]


def in_litert(folder, example):
    import lwfc.litert

    edge, cloud = lwfc.litert.split(folder / "nmp.tflite", music.AT, example=example)
    return lambda x: edge.tensors(x)[music.AT], lambda f: cloud({music.AT: f})[music.NOTES]


def in_tensorflow(folder, example):
    import tensorflow as tf
    from tensorflow.core.protobuf.saved_model_pb2 import SavedModel
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    with tempfile.TemporaryDirectory() as copied:
        # Without its Keras 2 objects, which newer releases cannot load.
        path = Path(shutil.copytree(folder / "nmp", copied, dirs_exist_ok=True)) / "saved_model.pb"
        saved = SavedModel.FromString(path.read_bytes())
        saved.meta_graphs[0].ClearField("object_graph_def")
        path.write_bytes(saved.SerializeToString())
        whole = tf.saved_model.load(copied).signatures["serving_default"]
        frozen = convert_variables_to_constants_v2(whole)
    edge = frozen.prune(frozen.inputs[0].name, IN_TENSORFLOW)
    cloud = frozen.prune(IN_TENSORFLOW, music.NOTES)
    return (lambda x: edge(tf.constant(x)).numpy()), (lambda f: cloud(tf.constant(f)).numpy())


RUNTIMES = {"ONNX Runtime": in_onnx, "LiteRT": in_litert, "TensorFlow": in_tensorflow}


def notes():
    """Two tables: features and symbols in each runtime; F-measure for each device and server."""
    folder = package_file(music.PACKAGE, music.MODELS)
    clips = {split: music.clips(split, count) for split, count in CLIPS.items()}
    made = {name: make(folder, clips["test"][0][:1]) for name, make in RUNTIMES.items()}
    sounding = clips["test"][1]
    features = {name: edge(clips["test"][0]) for name, (edge, _) in made.items()}
    first_name = next(iter(made))
    first = features[first_name]
    samples = made[first_name][0](clips["calibration"][0])
    codecs = {n: lwfc.calibrate(samples, levels=n, channel_axis=-1, coder="context",
                                restore="linear") for n in (3, 6)}  # fmt: skip

    def f_measure(name, x):
        return music.frames_right(made[name][1](x), sounding).mean()

    rows = []
    for name, x in features.items():
        apart = np.abs(x - first).max() / np.abs(first).max()
        row = [name, f"{apart:.1e}", f"{f_measure(name, x):.2f}"]
        for codec in codecs.values():
            other = np.count_nonzero(codec.symbols(x) != codec.symbols(first))
            row += [f"{8 * len(codec.encode(x)) / x.size:.4f}", f"{other} of {x.size:,}"]
        rows.append(row)
    head = [part for n in codecs for part in (f"{n} levels: bits", f"{n} levels: other symbols")]
    print(table(("runtime", "difference / largest", "F-measure, uncoded", *head), rows))
    for n, codec in codecs.items():
        rows = []
        for device, x in features.items():
            arrived = codec.decode(codec.encode(x))
            rows.append([device, *(f"{f_measure(server, arrived):.2f}" for server in made)])
        print(table((f"{n} levels, device", *made), rows))


def faces():
    """A table: bits behind a layer, and the share of pictures rightly told to be faces or none."""
    import skimage
    from mtcnn.stages import StageRNet

    import lwfc.keras as lk

    model = StageRNet().model
    pictures = np.load(Path(skimage.__file__).parent / "data" / "lfw_subset.npy")[:, :24, :24, None]
    x = np.repeat((255 * pictures - 127.5) / 128, 3, axis=-1).astype(np.float32)
    is_face = np.arange(len(x)) < len(x) // 2
    unlabelled, test, truth = x[::2], x[1::2], is_face[1::2]

    def right():
        found = model.predict(test, verbose=0)[1][:, 1] > 0.5
        return 100 * np.mean(found == truth)

    ways = {"paper's": {"coder": "cabac"}, "context, linear": {"coder": "context",
                                                                "restore": "linear"}}  # fmt: skip
    rows = [["-", "-", "-", f"{right():.0f}", "-", "-"]]
    for layer in ("prelu1", "maxpooling1", "prelu2"):
        for levels in (2, 3, 4, 8):
            row = [layer, levels]
            for options in ways.values():
                codec = lk.calibrate(model, layer, unlabelled, levels=levels, bound=True, **options)
                with lk.attach(model, {layer: codec}) as tap:
                    accuracy = right()
                row += [f"{tap.report()[layer]['bits_per_element']:.3f}", f"{accuracy:.0f}"]
            rows.append(row)
    head = [part for way in ways for part in (f"{way}: bits", "% right")]
    print(table(("layer", "levels", *head), rows))


if __name__ == "__main__":
    {"notes": notes, "faces": faces}[sys.argv[1]]()
