"""lwfc.litert: cuts, halves and taps of .tflite files, float and int8."""

import numpy as np
import pytest

pytest.importorskip("ai_edge_litert")
tf = pytest.importorskip("tensorflow")

from ai_edge_litert.interpreter import Interpreter, OpResolverType  # noqa: E402

import lwfc  # noqa: E402
import lwfc.litert as ll  # noqa: E402
from lwfc.split import Link  # noqa: E402

X = np.random.default_rng(0).normal(size=(6, 12, 12, 3)).astype(np.float32)


@pytest.fixture(scope="module")
def converter():
    weights = [tf.random.stateless_normal((3, 3, 3 if i == 0 else 8, 8), [i, 1]) * 0.3
               for i in range(3)]  # fmt: skip

    @tf.function(input_signature=[tf.TensorSpec((1, 12, 12, 3))])
    def network(x):
        first = tf.nn.relu(tf.nn.conv2d(x, weights[0], 1, "SAME"))
        second = tf.nn.relu(tf.nn.conv2d(first, weights[1], 1, "SAME") + first)
        third = tf.nn.relu(tf.nn.conv2d(second, weights[2], 1, "SAME"))
        return tf.reduce_mean(third, (1, 2))

    return lambda: tf.lite.TFLiteConverter.from_concrete_functions(
        [network.get_concrete_function()]
    )


@pytest.fixture(scope="module")
def floats(converter):
    return converter().convert()


@pytest.fixture(scope="module")
def integers(converter):
    make = converter()
    make.optimizations = [tf.lite.Optimize.DEFAULT]
    make.representative_dataset = lambda: ([x[None]] for x in X)
    make.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    return make.convert()


def whole(model, x):
    interpreter = Interpreter(
        model_content=model,
        experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    )
    interpreter.allocate_tensors()
    found = []
    for one in x:
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], one[None])
        interpreter.invoke()
        found.append(interpreter.get_tensor(interpreter.get_output_details()[0]["index"]))
    return np.concatenate(found)


def test_every_cut_is_exact(floats):
    expected = whole(floats, X)
    found = ll.cuts(floats, X)
    assert max(len(cut.tensors) for cut in found) == 2  # the residual path crosses one of them
    for cut in found:
        edge, cloud = ll.split(floats, list(cut.at), example=X)
        np.testing.assert_array_equal(cloud(edge(X)), expected)


def test_features_are_valid_memory(floats):
    keeping = Interpreter(
        model_content=floats,
        experimental_preserve_all_tensors=True,
        experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    )
    keeping.allocate_tensors()
    keeping.set_tensor(keeping.get_input_details()[0]["index"], X[:1])
    keeping.invoke()
    places = {entry["name"]: entry["index"] for entry in keeping.get_tensor_details()}
    for cut in ll.cuts(floats, X):
        for tensor in cut.tensors:
            found = next(ll.features(floats, tensor.name, X[:1]))
            np.testing.assert_array_equal(found, keeping.get_tensor(places[tensor.name]))


def test_halves_pass_bytes_and_are_saved(floats, tmp_path):
    (cut, *_) = [cut for cut in ll.cuts(floats, X) if len(cut.tensors) == 1]
    codec = ll.calibrate(floats, cut.name, X, levels=8)
    edge, cloud = ll.split(floats, cut.name, codec, example=X)
    data = edge(X)
    assert isinstance(data, bytes)
    with ll.attach(floats, {cut.name: codec}) as tap:
        np.testing.assert_array_equal(tap.run(None, X)[0], cloud(data))
    assert tap.report()[cut.name]["samples"] == len(X)
    edge.save(tmp_path / "edge")
    cloud.save(tmp_path / "cloud")
    np.testing.assert_array_equal(
        ll.load(tmp_path / "cloud")(ll.load(tmp_path / "edge")(X)), cloud(data)
    )


def test_integer_tensors_cross_to_the_bit(integers):
    expected = whole(integers, X)
    names = [step.outputs[0] for step in ll.halves.Graph(integers).flow.steps[1:-2]]
    edge, cloud = ll.split(integers, names[1], {}, example=X)
    assert {t.dtype for t in edge.cut.tensors} == {"int8"}
    data = edge(X)
    np.testing.assert_array_equal(cloud(data), expected)
    assert len(data) < sum(t.nbytes for t in edge.cut.tensors) * len(X)


@pytest.fixture(scope="module")
def bytes_only(converter):
    make = converter()
    make.optimizations = [tf.lite.Optimize.DEFAULT]
    make.representative_dataset = lambda: ([x[None]] for x in X)
    make.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    make.inference_input_type = make.inference_output_type = tf.int8
    return make.convert()


@pytest.mark.parametrize("kind", ["integers", "bytes_only"])
def test_integers_of_a_quantized_network_are_coded(kind, request, tmp_path):
    model = request.getfixturevalue(kind)
    x = X if kind == "integers" else np.clip(np.rint(40 * X), -128, 127).astype(np.int8)
    expected = whole(model, x)
    (cut, *_) = [cut for cut in ll.cuts(model, x) if len(cut.tensors) == 1]
    scale, zero = cut.tensors[0].affine
    codec = ll.calibrate(model, cut.name, x, levels=16)
    assert (codec.integer_type, codec.scale, codec.zero_point) == ("int8", scale, zero)
    edge, cloud = ll.split(model, cut.name, codec, example=x)
    data = edge(x)
    crossing = edge.tensors(x)[cut.name]
    arrives = cloud.tensors(data)[cut.name]
    assert arrives.dtype == np.int8 and np.array_equal(arrives, codec.simulate(crossing))
    assert len(data) < crossing.nbytes / 2
    moved = cloud(data).astype(float) - expected
    assert np.abs(moved).max() < 0.1 * np.ptp(expected.astype(float))
    with ll.attach(model, {cut.name: codec}) as tap:
        np.testing.assert_array_equal(tap.run(None, x)[0], cloud(data))
    assert tap.report()[cut.name]["bytes_in"] == crossing.nbytes
    edge.save(tmp_path / "edge")
    cloud.save(tmp_path / "cloud")
    again = ll.load(tmp_path / "cloud")
    np.testing.assert_array_equal(again(ll.load(tmp_path / "edge")(x)), cloud(data))
    assert again.cut == edge.cut
    found = ll.explore(model, x, profiles=["rans"], link=Link(mbit_s=1), shortlist=1)
    coded = [row for row in found.rows if row["cut"] == cut.name]
    assert coded and coded[0]["coded_bytes"] < coded[0]["raw_bytes"]


def test_mistakes_are_named(floats):
    with pytest.raises(lwfc.FormatError, match="no .tflite file"):
        ll.cuts(b"12345678901234567890", X)
    with pytest.raises(lwfc.ParameterError, match="no tensor or step"):
        ll.split(floats, "nothing", example=X)


def test_explore(floats):
    result = ll.explore(floats, X, profiles=["rans"], link=Link(mbit_s=1), shortlist=1)
    assert any(row["pass"] == "exact" for row in result.rows)


def test_scalars_cross(tmp_path):
    """A network normalized by its own largest value, which crosses as well, and has no samples."""
    weights = tf.random.stateless_normal((3, 3, 3, 8), [7, 1]) * 0.3

    @tf.function(input_signature=[tf.TensorSpec((1, 12, 12, 3))])
    def network(x):
        x = tf.nn.relu(tf.nn.conv2d(x, weights, 1, "SAME"))
        return tf.reduce_mean(x / tf.reduce_max(x), (0, 1, 2))

    model = tf.lite.TFLiteConverter.from_concrete_functions(
        [network.get_concrete_function()], network
    ).convert()
    expected = np.stack([network(x[None]) for x in X])
    found = ll.cuts(model, X)
    assert any(tensor.shape == (None,) for cut in found for tensor in cut.tensors)
    for cut in found:
        edge, cloud = ll.split(model, list(cut.at), example=X)
        np.testing.assert_allclose(cloud(edge(X)), expected, atol=1e-6)
        edge.save(tmp_path / "edge")
        cloud.save(tmp_path / "cloud")
        again = ll.load(tmp_path / "cloud")(ll.load(tmp_path / "edge")(X))
        np.testing.assert_array_equal(again, cloud(edge(X)))
