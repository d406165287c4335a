"""One network with the same weights in PyTorch, Keras on TensorFlow and on JAX, and ONNX Runtime.

Features of the four differ in their last bits, so some values beside a threshold get another
symbol: how many, and whether streams decode to the same floats. And what a codec inside a
MobileNet costs ``predict``. Needs the packages of tests/frameworks/requirements.txt::

    python benchmarks/runtimes.py symbols
    KERAS_BACKEND=tensorflow python benchmarks/runtimes.py predict
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "python"))

import numpy as np

import lwfc

WIDTHS = (3, 16, 32, 32)
SAMPLES, SIDE = 32, 32


def weights():
    """Kernels as (out, in, 3, 3) with He's variance, and biases."""
    rng = np.random.default_rng(0)
    return [
        (rng.normal(0, (2 / (9 * a)) ** 0.5, (b, a, 3, 3)).astype("f4"),
         rng.normal(0, 0.1, b).astype("f4"))
        for a, b in zip(WIDTHS, WIDTHS[1:], strict=False)
    ]  # fmt: skip


def images():
    """Smooth pictures, channels first."""
    rng = np.random.default_rng(1)
    x = rng.normal(0, 1, (SAMPLES, 3, SIDE, SIDE))
    for axis in (2, 3):
        x = sum(np.roll(x, k, axis) for k in range(4)) / 2
    return x.astype("f4")


def in_torch(x):
    import torch

    with torch.no_grad():
        x = torch.from_numpy(x)
        for kernel, bias in map(lambda p: map(torch.from_numpy, p), weights()):
            x = torch.relu(torch.nn.functional.conv2d(x, kernel, bias, padding=1))
        return x.numpy()


def in_keras(x):
    import keras

    inputs = keras.Input((SIDE, SIDE, 3))
    h = inputs
    for kernel, _ in weights():
        h = keras.layers.Conv2D(len(kernel), 3, padding="same", activation="relu")(h)
    model = keras.Model(inputs, h)
    model.set_weights([w for k, b in weights() for w in (k.transpose(2, 3, 1, 0), b)])
    y = model.predict(x.transpose(0, 2, 3, 1), batch_size=SAMPLES, verbose=0)
    return np.ascontiguousarray(y.transpose(0, 3, 1, 2))


def in_onnx(x, optimize=True):
    import onnx
    import onnxruntime
    from onnx import helper, numpy_helper

    nodes, constants, name = [], [], "x"
    for i, pair in enumerate(weights()):
        names = [f"w{i}", f"b{i}"]
        constants += [numpy_helper.from_array(w, n) for w, n in zip(pair, names, strict=True)]
        nodes.append(helper.make_node("Conv", [name, *names], [f"c{i}"], pads=[1, 1, 1, 1]))
        nodes.append(helper.make_node("Relu", [f"c{i}"], [f"r{i}"]))
        name = f"r{i}"
    info = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes, "net", [info("x", onnx.TensorProto.FLOAT, ["N", 3, SIDE, SIDE])],
        [info(name, onnx.TensorProto.FLOAT, None)], constants,
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    options = onnxruntime.SessionOptions()
    if not optimize:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    run = onnxruntime.InferenceSession(model.SerializeToString(), options,
                                       providers=["CPUExecutionProvider"])  # fmt: skip
    return run.run(None, {"x": x})[0]


RUNTIMES = {
    "PyTorch": ("", in_torch),
    "Keras on TensorFlow": ("tensorflow", in_keras),
    "Keras on JAX": ("jax", in_keras),
    "Keras on torch": ("torch", in_keras),
    "ONNX Runtime": ("", in_onnx),
    "ONNX Runtime, unoptimised": ("", lambda x: in_onnx(x, optimize=False)),
}


def symbols():
    """The table of RESULTS.md: each runtime in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        found = {}
        for name, (backend, _) in RUNTIMES.items():
            path = Path(folder) / f"{len(found)}.npy"
            command = [sys.executable, __file__, "one", name, str(path)]
            chosen = os.environ | {"KERAS_BACKEND": backend or "jax"}
            subprocess.run(command, check=True, env=chosen)
            found[name] = np.load(path)
    first = found["PyTorch"]
    codecs = {n: lwfc.calibrate(first, levels=n, channel_axis=1) for n in (2, 4, 16)}
    print("| runtime | largest difference / largest value | equal floats |"
          + "".join(f" other symbols, {n} levels |" for n in codecs)
          + " bits, 4 levels | decoded floats of equal symbols |")  # fmt: skip
    print("|---|---|---|" + "---|" * (len(codecs) + 2))
    for name, x in found.items():
        other = [np.count_nonzero(c.symbols(x) != c.symbols(first)) for c in codecs.values()]
        codec = codecs[4]
        data = codec.encode(x)
        same = codec.symbols(x) == codec.symbols(first)
        equal = np.array_equal(lwfc.decode(data)[same], codec.decode(codec.encode(first))[same])
        assert np.array_equal(lwfc.decode(data), codec.simulate(x))
        print(f"| {name} | {np.abs(x - first).max() / first.max():.1e} | "
              f"{(x == first).mean():.1%} | "
              + "".join(f"{n} of {x.size:,} | " for n in other)
              + f"{8 * len(data) / x.size:.3f} | {'equal' if equal else 'DIFFER'} |")  # fmt: skip


def one(name, path):
    np.save(path, RUNTIMES[name][1](images()))


def shortest(run, times=6):
    """Milliseconds of processor time, all threads, of the shortest run; the first compiles."""
    found = []
    for _ in range(times + 1):
        started = time.process_time()
        run()
        found.append((time.process_time() - started) * 1e3)
    return min(found[1:])


def predict():
    """MobileNet's size, random weights."""
    import keras

    import lwfc.keras as lk

    keras.utils.set_random_seed(0)
    model = keras.applications.MobileNetV2(weights=None, input_shape=(224, 224, 3))
    x = np.random.default_rng(0).normal(0, 1, (8, 224, 224, 3)).astype("f4")
    layer = "block_6_expand_relu"
    codec = lk.calibrate(model, layer, x, levels=4)

    def run():
        return model.predict(x, batch_size=8, verbose=0)

    before = run()
    times = {"without": shortest(run)}
    with lk.attach(model, {layer: codec}) as tap:
        times["with the codec"] = shortest(run)
    times["detached"] = shortest(run)
    assert np.array_equal(before, run())
    row = tap.report()[layer]
    coding = len(x) * (row["encode_ms_per_sample"] + row["decode_ms_per_sample"])
    print(f"Keras on {keras.backend.backend()}: MobileNetV2, 8 images, {layer}, 4 levels, rans: "
          f"{row['bits_per_element']:.3f} bits; " +
          ", ".join(f"{name} {found:.0f} ms" for name, found in times.items()) +
          f"; coding alone {coding:.1f} ms; detached: equal to the bit")  # fmt: skip


if __name__ == "__main__":
    {"symbols": symbols, "one": one, "predict": predict}[sys.argv[1]](*sys.argv[2:])
