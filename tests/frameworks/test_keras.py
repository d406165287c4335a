"""lwfc.keras on the back-end that KERAS_BACKEND names: layers, taps, halves."""

import json
import subprocess
import sys

import numpy as np
import pytest

keras = pytest.importorskip("keras")

from keras import layers, ops  # noqa: E402

import lwfc  # noqa: E402
import lwfc.keras as lk  # noqa: E402
from lwfc.keras.features import to_array  # noqa: E402
from lwfc.split import Link  # noqa: E402

BACKEND = keras.backend.backend()
X = np.random.default_rng(0).normal(size=(8, 12, 12, 3)).astype(np.float32)
Y = np.arange(8) % 4


def functional():
    """A residual network with a nested model, and one layer that is called twice."""
    keras.utils.set_random_seed(0)
    inner_in = keras.Input((12, 12, 8))
    inner_out = layers.Conv2D(8, 3, padding="same", activation="relu", name="deep")(inner_in)
    inner = keras.Model(inner_in, inner_out, name="inner")
    shared = layers.Conv2D(8, 3, padding="same", name="shared")
    x = keras.Input((12, 12, 3), name="image")
    first = layers.Conv2D(8, 3, padding="same", activation="relu", name="first")(x)
    h = layers.Add(name="skip")([shared(first), first])
    h = inner(layers.Dropout(0.5, name="drop")(h))
    h = layers.BatchNormalization(name="norm")(shared(h))
    h = layers.GlobalAveragePooling2D(name="pool")(h)
    return keras.Model(x, layers.Dense(4, name="head")(h))


def sequential():
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [layers.Conv2D(8, 3, activation="relu", name="first"), layers.Flatten(),
         layers.Dense(4, name="head")]  # fmt: skip
    )


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.first = layers.Conv2D(8, 3, activation="relu", name="first")
        self.head = layers.Dense(4, name="head")

    def call(self, x):
        return self.head(ops.mean(self.first(x), (1, 2)))


def codec_for(model, layer="first", **options):
    return lk.calibrate(model, layer, X, levels=3, **options)


def value(x):
    return np.asarray(ops.convert_to_numpy(x))


@pytest.mark.parametrize("make", [functional, sequential, Subclassed])
@pytest.mark.parametrize("used_before", [False, True])
def test_every_way_of_running_passes_the_codec_and_comes_back(make, used_before):
    model = make()
    model(X)
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    codec = codec_for(model)
    plain = value(model(X))
    if used_before:
        assert np.allclose(model.predict(X, verbose=0), plain, atol=1e-5)
        model.evaluate(X, Y, verbose=0)
    with lk.attach(model, {"first": codec}) as tap:
        called = value(model(X))
        predicted = model.predict(X, verbose=0)
        loss = model.evaluate(X, Y, verbose=0)
        on_batch = model.predict_on_batch(X)
    assert not np.allclose(called, plain, atol=1e-4)
    np.testing.assert_allclose(predicted, called, atol=1e-4)
    np.testing.assert_allclose(on_batch, called, atol=1e-4)
    np.testing.assert_array_equal(value(model(X)), plain)
    np.testing.assert_allclose(model.predict(X, verbose=0), plain, atol=1e-5)
    assert model.evaluate(X, Y, verbose=0) != loss
    assert tap.report()["first"]["bytes_out"] > 0


def test_coded_values_are_the_codecs():
    model = functional()
    codec = codec_for(model)
    hidden = next(lk.features(model, "first", X))
    cloud = lk.split(model, "first")[1]
    with lk.attach(model, {"first": codec}):
        coded = value(model(X))
    np.testing.assert_allclose(coded, cloud({"first": codec.simulate(hidden)}), atol=1e-5)


def test_training_through_a_codec():
    model = functional()
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(0.1), loss)
    before = [to_array(w.value) for w in model.get_layer("first").weights]
    with lk.attach(model, {"first": codec_for(model)}):
        history = model.fit(X, Y, epochs=12, verbose=0).history["loss"]
    assert history[-1] < history[0]
    after = [to_array(w.value) for w in model.get_layer("first").weights]
    assert not np.array_equal(before[0], after[0])  # gradients came through


def test_an_error_of_the_codec_leaves_the_model_whole(monkeypatch):
    import lwfc.keras.operation as operation

    model = functional()
    plain = model.predict(X, verbose=0)

    def damaged(x, codec, recorder, bitstream):
        data = bytearray(codec.encode(x))
        data[len(data) // 2] ^= 1
        return codec.decode(bytes(data))

    codec = codec_for(model)
    monkeypatch.setattr(operation, "pass_through", damaged)
    with pytest.raises(Exception, match="checksum"), lk.attach(model, {"first": codec}):
        model.predict(X, verbose=0)
    np.testing.assert_array_equal(model.predict(X, verbose=0), plain)
    assert all(np.isfinite(to_array(w.value)).all() for w in model.weights)


def test_layer_is_saved_with_its_codec(tmp_path):
    model = sequential()
    model(X)
    codec = codec_for(model)
    x = keras.Input((12, 12, 3))
    h = lk.FeatureCodec(codec, name="codec")(model.layers[0](x))
    coded = keras.Model(x, layers.Flatten()(h))
    expected = coded.predict(X, verbose=0)
    hidden = next(lk.features(model, "first", X))
    np.testing.assert_array_equal(expected, codec.simulate(hidden).reshape(8, -1))
    assert coded.get_layer("codec").report()[0]["bytes_out"] > 0
    coded.save(tmp_path / "coded.keras")
    np.save(tmp_path / "x.npy", X)
    np.save(tmp_path / "y.npy", expected)
    code = f"""
import numpy as np, keras, lwfc.keras
model = keras.saving.load_model({str(tmp_path / "coded.keras")!r})
x, y = np.load({str(tmp_path / "x.npy")!r}), np.load({str(tmp_path / "y.npy")!r})
assert model.get_layer("codec").codec.digest == {codec.digest}
assert np.array_equal(model.predict(x, verbose=0), y)
"""
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("at", ["first", "shared", "skip", "inner/deep", "norm", "shared#1"])
def test_halves_equal_the_whole(at, tmp_path):
    model = functional()
    edge, cloud = lk.split(model, at)
    np.testing.assert_array_equal(cloud(edge(X)), value(model(X, training=False)))
    edge.save(tmp_path / "edge")
    cloud.save(tmp_path / "cloud")
    again = lk.load(tmp_path / "cloud")(lk.load(tmp_path / "edge")(X))
    np.testing.assert_array_equal(again, cloud(edge(X)))


def test_halves_with_codecs_pass_bytes(tmp_path):
    model = functional()
    edge, cloud = lk.split(model, "shared")
    assert [t.name for t in edge.cut.tensors] == ["first", "shared"]  # the skip crosses too
    codecs = {name: codec_for(model, name) for name in ("first", "skip")}
    with pytest.raises(lwfc.ParameterError, match="'shared'"):
        lk.split(model, "shared", codecs)
    edge, cloud = lk.split(model, "skip", codecs["skip"])
    data = edge(X)
    arrives = codecs["skip"].simulate(edge.tensors(X)["skip"])
    np.testing.assert_array_equal(cloud(data), cloud({"skip": arrives}))
    cloud.save(tmp_path)
    np.testing.assert_array_equal(lk.load(tmp_path)(data), cloud(data))
    with pytest.raises(lwfc.FormatError):
        cloud(data[:-2])


def test_mixed_precision():
    model = functional()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        half = functional()
    finally:
        keras.config.set_dtype_policy("float32")
    half.set_weights(model.get_weights())
    codec = codec_for(half)
    with lk.attach(half, {"first": codec}) as tap:
        assert np.isfinite(half.predict(X, verbose=0).astype(np.float32)).all()
    assert tap.report()["first"]["calls"] == 1


@pytest.mark.skipif(BACKEND != "torch", reason="other back-ends have bfloat16 in NumPy")
def test_bfloat16_crosses_as_itself_on_torch():
    torch = pytest.importorskip("torch")
    codec = codec_for(functional())
    x = torch.rand(2, 12, 12, 8).bfloat16()
    layer = lk.FeatureCodec(codec, dtype="bfloat16")
    y = layer(x)
    assert y.dtype == x.dtype and torch.equal(y, codec.simulate(x))
    assert layer.report()[layer.name]["bytes_in"] == 2 * x.numel()


@pytest.mark.skipif(BACKEND != "torch", reason="torch.compile, which would trace the codec")
def test_compiled_models_on_torch():
    model = functional()
    codec = lk.calibrate(model, "first", X, transform="dct", step=0.1)
    with lk.attach(model, {"first": codec}):
        expected = model.predict(X, verbose=0)
    model.compile(jit_compile=True)
    for coded in (codec, codec_for(model)):
        with lk.attach(model, {"first": coded}) as tap:
            found = model.predict(X, verbose=0)
        assert tap.report()["first"]["calls"] == 1
        if coded is codec:
            np.testing.assert_allclose(found, expected, atol=0.05 * np.abs(expected).max())


def test_mistakes_are_named():
    model = functional()
    codec = codec_for(model)
    wrong, first, second = (lk.attach(model, {n: codec}) for n in ("frist", "first", "first"))
    with pytest.raises(lwfc.ParameterError, match="near it: 'first'"), wrong:
        pass
    told = {
        "data is a dict": lambda: lk.calibrate(model, "first", {"x": X}),
        "at names no layer": lambda: lk.split(model, ()),
        "data is a str": lambda: lk.calibrate(model, "first", "images"),
        "must be its name, 'first'": lambda: lk.calibrate(model, model.get_layer("first"), X),
        "layer=<a ndarray of shape": lambda: lk.calibrate(model, X, "first"),
        "at=<a Codec>": lambda: lk.split(model, codec, "first"),
        r"lwfc\.load\(path\)": lambda: lk.FeatureCodec("first.lwfc"),
    }
    for message, call in told.items():
        with pytest.raises(lwfc.ParameterError, match=message):
            call()
    with first:
        with pytest.raises(lwfc.ParameterError, match="already"), second:
            pass
        model(X)
    with pytest.raises(lwfc.ParameterError, match="subclassed"):
        lk.split(Subclassed(), "first")
    alike = keras.Sequential([keras.Input((3,)), keras.layers.Dense(3, name="a")])
    layers = (keras.layers.Dense(3, name=name) for name in "ab")
    alike = keras.Sequential([keras.Input((3,)), alike, *layers])
    with pytest.raises(lwfc.ParameterError, match="names that no other layer has"):
        lk.split(alike, "a")
    with pytest.raises(lwfc.ParameterError, match="not built"):
        lk.split(sequential(), "first")
    with pytest.raises(lwfc.ParameterError, match="nothing of the network"):
        lk.split(model, "head")
    if BACKEND == "tensorflow":
        model.compile("sgd", "mse", jit_compile=True)
        with pytest.raises(lwfc.ParameterError, match="XLA"), lk.attach(model, {"first": codec}):
            pass


def test_a_layer_that_never_ran_is_named():
    model = functional()
    codec = codec_for(model)
    with pytest.warns(lwfc.UncodedWarning, match="'first'"), lk.attach(model, {"first": codec}):
        pass


def test_explore_lists_every_cut():
    profiles = ["rans", "transform"]
    result = lk.explore(functional(), X, profiles=profiles, link=Link(mbit_s=1), shortlist=1)
    names = {row["cut"] for row in result.rows}
    assert {"first", "skip", "inner/deep", "norm"} <= names
    json.dumps(result.rows)


def test_nested_and_shared_layers_are_coded():
    model = functional()
    codecs = {name: codec_for(model, name) for name in ("inner/deep", "shared")}
    model.predict(X, verbose=0)
    with lk.attach(model, codecs) as tap:
        model.predict(X, verbose=0)
    report = tap.report()
    assert report["inner/deep"]["samples"] == len(X)
    assert report["shared"]["samples"] == 2 * len(X)  # it is called twice
