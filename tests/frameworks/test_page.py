"""docs/frameworks.md: its Python runs as written, section by section."""

import os
import re
from pathlib import Path

import numpy as np
import pytest

import lwfc

PAGE = Path(__file__).parents[2] / "docs" / "frameworks.md"
X = np.maximum(np.random.default_rng(0).normal(size=(6, 8, 6, 6)), 0).astype(np.float32)


def blocks(title):
    section = PAGE.read_text().split(f"\n## {title}\n")[1].split("\n## ")[0]
    found = re.findall(r"^```python\n(.*?)^```", section, re.S | re.M)
    assert found
    return found


@pytest.mark.parametrize("store", ["zarr", "h5py", "blosc2"])
def test_stores(store, tmp_path, monkeypatch):
    pytest.importorskip(store)
    monkeypatch.chdir(tmp_path)
    if store == "zarr":  # which finds the entry point of an installed package only
        import zarr

        from lwfc.storage.zarr import LwfcCodec

        zarr.registry.register_codec("lwfc", LwfcCodec)
    codec = lwfc.calibrate(X, levels=8, channel_axis=1)
    scope = {"x": X, "codec": codec, "np": np, "lwfc": lwfc}
    (code,) = (block for block in blocks("Arrays at rest") if f"import {store}\n" in block)
    exec(code, scope)
    expected = codec.simulate(X)
    read = {"zarr": ("some", expected[2:5]), "h5py": ("third", expected[2]),
            "blosc2": ("first", expected[0])}  # fmt: skip
    name, values = read[store]
    np.testing.assert_array_equal(scope[name], values)


def test_keras(tmp_path, monkeypatch):
    keras = pytest.importorskip("keras")
    monkeypatch.chdir(tmp_path)
    layers = keras.layers
    model = keras.Sequential([keras.Input((12, 12, 3)), layers.Conv2D(8, 3, name="conv3"),
                              layers.Flatten(), layers.Dense(4)])  # fmt: skip
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    images = np.random.default_rng(0).normal(size=(8, 12, 12, 3)).astype(np.float32)
    scope = {"model": model, "images": images, "labels": np.arange(8) % 4}
    for code in blocks("Keras 3"):
        exec(code, scope)
    assert scope["logits"].shape == (8, 4) and os.path.exists("cloud")


def test_onnx(tmp_path, monkeypatch):
    pytest.importorskip("onnxruntime")
    from onnx import TensorProto, helper, numpy_helper, save

    monkeypatch.chdir(tmp_path)
    kernel = np.random.default_rng(1).normal(size=(8, 3, 3, 3)).astype(np.float32)
    info, node = helper.make_tensor_value_info, helper.make_node
    nodes = [node("Conv", ["x", "w"], ["c"]), node("Relu", ["c"], ["relu_7"]),
             node("GlobalAveragePool", ["relu_7"], ["y"])]  # fmt: skip
    graph = helper.make_graph(nodes, "net", [info("x", TensorProto.FLOAT, ["N", 3, 12, 12])],
                              [info("y", TensorProto.FLOAT, None)],
                              [numpy_helper.from_array(kernel, "w")])  # fmt: skip
    opset = [helper.make_opsetid("", 17)]
    save(helper.make_model(graph, opset_imports=opset, ir_version=9), "net.onnx")
    images = np.random.default_rng(0).normal(size=(8, 3, 12, 12)).astype(np.float32)
    scope = {"images": images}
    for code in blocks("ONNX"):
        exec(code, scope)
    assert scope["cloud"](scope["edge"](images)).shape == (8, 8, 1, 1)


IMAGES = np.random.default_rng(0).normal(size=(8, 12, 12, 3)).astype(np.float32)
KERNEL = np.random.default_rng(1).normal(size=(3, 8)).astype(np.float32)


def test_jax():
    jax = pytest.importorskip("jax")
    scope = {"jax": jax, "images": IMAGES, "second_half": lambda x: x.mean((1, 2)),
             "first_half": lambda x: jax.nn.relu(x @ KERNEL)}  # fmt: skip
    for code in blocks("JAX"):
        exec(code, scope)
    np.testing.assert_allclose(scope["server"](scope["device"](IMAGES)), scope["logits"], atol=1e-5)


def test_tensorflow_and_litert(tmp_path, monkeypatch):
    tf = pytest.importorskip("tensorflow")
    pytest.importorskip("ai_edge_litert")
    monkeypatch.chdir(tmp_path)

    def first_half(x):
        return tf.nn.relu(tf.linalg.matmul(x, KERNEL))

    def second_half(x):
        return tf.reduce_mean(x, (1, 2))

    @tf.function(input_signature=[tf.TensorSpec((1, 12, 12, 3))])
    def network(x):
        return second_half(first_half(x))

    scope = {"images": IMAGES, "first_half": first_half, "second_half": second_half}
    for code in blocks("TensorFlow"):
        exec(code, scope)
    assert scope["logits"].shape == (8, 8)
    functions = [network.get_concrete_function()]
    converter = tf.lite.TFLiteConverter.from_concrete_functions(functions, network)
    Path("net.tflite").write_bytes(converter.convert())
    for code in blocks("LiteRT"):
        exec(code, scope)
    assert scope["logits"].shape == (8, 8)
