"""lwfc.tensorflow: codes inside tf.function, tf.data calibration, halves."""

import subprocess
import sys

import numpy as np
import pytest

tf = pytest.importorskip("tensorflow")

import lwfc  # noqa: E402
import lwfc.tensorflow as lf  # noqa: E402

X = np.maximum(np.random.default_rng(0).normal(size=(6, 9, 9, 8)), 0).astype(np.float32)
CODEC = lwfc.calibrate(X, levels=4, activation="relu", channel_axis=-1)


def test_code_is_the_codecs_own_result():
    expected = CODEC.simulate(X)
    np.testing.assert_array_equal(lf.code(X, CODEC), expected)
    compiled = tf.function(lambda x: lf.code(x, CODEC))
    found = compiled(tf.constant(X))
    np.testing.assert_array_equal(found, expected)
    graph = compiled.get_concrete_function(tf.TensorSpec([None, 9, 9, 8]))
    assert graph.output_shapes[1:] == X.shape[1:]


@pytest.mark.parametrize("dtype", [tf.float16, tf.bfloat16])
def test_half_types(dtype):
    x = tf.cast(X, dtype)
    y = tf.function(lambda x: lf.code(x, CODEC))(x)
    assert y.dtype == dtype
    expected = tf.cast(CODEC.simulate(x.numpy()), tf.float32)
    np.testing.assert_array_equal(tf.cast(y, tf.float32), expected)


def test_gradients_pass_inside_the_range():
    top = float(CODEC.values.max())
    x = tf.Variable([[[[-1.0, 0.5 * top, 2 * top]]]])
    with tf.GradientTape() as tape:
        y = tf.reduce_sum(3 * lf.code(x, CODEC))
    np.testing.assert_array_equal(tape.gradient(y, x), [[[[0.0, 3.0, 0.0]]]])


def test_xla_and_saved_models_name_split(tmp_path):
    with pytest.raises(Exception, match="use_lwfc_tensorflow_split"):
        tf.function(lambda x: lf.code(x, CODEC), jit_compile=True)(tf.constant(X))
    module = tf.Module()
    module.run = tf.function(lambda x: lf.code(x, CODEC), input_signature=[tf.TensorSpec(X.shape)])
    tf.saved_model.save(module, str(tmp_path))
    code = f"""import tensorflow as tf
tf.saved_model.load({str(tmp_path)!r}).run(tf.zeros({X.shape}))"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert ran.returncode != 0 and "use_lwfc_tensorflow_split" in ran.stderr


def edge(x):
    return tf.nn.relu(x * 0.5 - 0.1)


def cloud(x):
    return tf.reduce_mean(x, (1, 2))


def test_halves_and_datasets():
    dataset = tf.data.Dataset.from_tensor_slices((X, np.arange(6))).batch(2)
    codec = lf.calibrate(tf.function(edge), dataset, levels=8, channel_axis=-1)
    assert codec == lwfc.calibrate(edge(X).numpy(), levels=8, channel_axis=-1)
    device, server = lf.split(edge, cloud, codec, example=X)
    np.testing.assert_allclose(server(device(X)), cloud(codec.simulate(edge(X).numpy())), atol=1e-6)


def test_attach_a_module():
    class Net(tf.Module):
        def encoder(self, x):
            return edge(x)

        def __call__(self, x):
            return cloud(self.encoder(x))

    net = Net()
    plain = net(X).numpy()
    with lf.attach(net, {"encoder": CODEC}) as tap:
        coded = net(X).numpy()
    np.testing.assert_allclose(coded, cloud(CODEC.simulate(edge(X).numpy())), atol=1e-6)
    assert tap.report()["encoder"]["samples"] == len(X)
    np.testing.assert_array_equal(net(X), plain)
    wrong = lf.attach(net, {"enc": CODEC})
    with pytest.raises(lwfc.ParameterError, match="nothing to call"), wrong:
        pass


def test_codecs_of_integers_are_refused_before_anything_runs():
    codec = lwfc.calibrate((20 * X).astype(np.int8), levels=4, scale=0.05)
    for x in (X, (20 * X).astype(np.int8)):
        with pytest.raises(lwfc.ParameterError, match="only floats"):
            lf.code(x, codec)
