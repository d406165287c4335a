"""lwfc.onnx: cuts, halves, taps and exploration of ONNX models, against the reference evaluator."""

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402
from onnx.reference import ReferenceEvaluator  # noqa: E402

import lwfc  # noqa: E402
import lwfc.onnx as lo  # noqa: E402
from lwfc.split import Link  # noqa: E402


def noise(*shape, seed=0, scale=1.0):
    return np.random.default_rng(seed).normal(0, scale, shape).astype(np.float32)


def weight(name, *shape):
    return numpy_helper.from_array(noise(*shape, seed=len(name) + sum(shape), scale=0.3), name)


def network(branch=False):
    """Convolutions with a residual path, pooled to logits; with a branch in an If node."""
    node = helper.make_node
    nodes = [
        node("Conv", ["x", "w1"], ["c1"], "conv1", pads=[1, 1, 1, 1]),
        node("Relu", ["c1"], ["r1"], "relu1"),
        node("Conv", ["r1", "w2"], ["c2"], "conv2", pads=[1, 1, 1, 1]),
        node("Add", ["c2", "r1"], ["a2"], "add"),
        node("Relu", ["a2"], ["r2"], "relu2"),
        node("Shape", ["shared"], ["s"], "constant_shape"),
        node("Conv", ["r2", "w2"], ["c3"], "conv3", pads=[1, 1, 1, 1]),
        node("GlobalAveragePool", ["c3"], ["p"], "pool"),
        node("Flatten", ["p"], ["f"], "flatten"),
        node("MatMul", ["f", "w3"], ["y"], "head"),
    ]
    if branch:
        inner = [node("Mul", ["r1", "two"], ["m"], "inside")]
        other = [node("Identity", ["r1"], ["i"])]
        info = [helper.make_tensor_value_info("m", TensorProto.FLOAT, None)]
        otherwise = [helper.make_tensor_value_info("i", TensorProto.FLOAT, None)]
        nodes[2] = node("If", ["yes"], ["t"], "choice",
                        then_branch=helper.make_graph(inner, "then", [], info),
                        else_branch=helper.make_graph(other, "else", [], otherwise))  # fmt: skip
        nodes.insert(3, node("Conv", ["t", "w2"], ["c2"], "conv2", pads=[1, 1, 1, 1]))
    weights = [weight("w1", 8, 3, 3, 3), weight("w2", 8, 8, 3, 3), weight("w3", 8, 5),
               numpy_helper.from_array(np.float32(2), "two"),
               numpy_helper.from_array(np.bool_(True), "yes"), weight("shared", 4)]  # fmt: skip
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3, 12, 12])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 5])],
        weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    return model


X = noise(12, 3, 12, 12)


def whole(model, x):
    return ReferenceEvaluator(model).run(None, {"x": x})[0]


def test_features_are_those_of_the_unfused_graph():
    model = network()
    wide = network()
    wide.graph.output.append(helper.make_tensor_value_info("r2", TensorProto.FLOAT, None))
    found = np.concatenate(list(lo.features(model, "relu2", X)))
    expected = ReferenceEvaluator(wide).run(["r2"], {"x": X})[0]
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_cuts_name_every_tensor_that_crosses():
    found = {cut.name: [t.name for t in cut.tensors] for cut in lo.cuts(network(), X)}
    assert found["r1"] == ["r1"]
    assert found["c2"] == ["r1", "c2"]  # the residual path runs beside conv2
    assert found["r2"] == ["r2"] and "x" not in found


@pytest.mark.parametrize("at", ["relu1", "conv2", ["conv2"], "r2", "pool"])
def test_halves_equal_the_whole(at, tmp_path):
    model = network()
    edge, cloud = lo.split(model, at)
    np.testing.assert_allclose(cloud(edge(X)), whole(model, X), atol=1e-5)
    edge.save(tmp_path / "edge")
    cloud.save(tmp_path / "cloud")
    again = lo.load(tmp_path / "cloud")(lo.load(tmp_path / "edge")(X))
    np.testing.assert_array_equal(again, cloud(edge(X)))


def test_halves_with_codecs_pass_bytes(tmp_path):
    model = network()
    codecs = {name: lo.calibrate(model, name, X, levels=8) for name in ("r1", "c2")}
    edge, cloud = lo.split(model, "conv2", codecs)
    data = edge(X)
    assert isinstance(data, bytes) and len(data) < X[:, :1].nbytes * 8
    arrives = {name: codecs[name].simulate(x) for name, x in edge.tensors(X).items()}
    np.testing.assert_array_equal(cloud(data), cloud(arrives))
    with pytest.raises(lwfc.FormatError):
        cloud(data[:-1])
    edge.save(tmp_path)
    assert lo.load(tmp_path)(X) == data


def test_attach_reports_and_simulates():
    model = network()
    codec = lo.calibrate(model, "relu2", X, levels=4)
    tap = lo.attach(model, {"relu2": codec})
    quick = lo.attach(model, {"relu2": codec}, mode="simulate")
    np.testing.assert_array_equal(tap.run(["y"], X)[0], quick.run(None, X)[0])
    row = tap.report()["r2"]
    assert row["samples"] == len(X) and row["bytes_out"] < row["bytes_in"] / 8


def test_external_weights_and_files(tmp_path):
    model = network()
    onnx.save(model, tmp_path / "net.onnx", save_as_external_data=True, size_threshold=0,
              location="weights.bin")  # fmt: skip
    edge, cloud = lo.split(tmp_path / "net.onnx", "relu2")
    np.testing.assert_allclose(cloud(edge(X)), whole(network_like(tmp_path), X), atol=1e-5)
    cloud.save(tmp_path / "cloud")
    np.testing.assert_array_equal(lo.load(tmp_path / "cloud")(edge(X)), cloud(edge(X)))


def network_like(folder):
    return onnx.load(folder / "net.onnx")


def test_branches_keep_what_they_capture_and_cannot_be_cut():
    model = network(branch=True)
    edge, cloud = lo.split(model, "relu1")
    np.testing.assert_allclose(cloud(edge(X)), whole(model, X), atol=1e-5)
    with pytest.raises(lwfc.ParameterError, match="inside the branch or loop"):
        lo.split(model, "inside")


def test_integers_of_a_quantized_network_are_coded():
    model = network()
    node, affine = helper.make_node, ["step", "zero"]
    steps = [node("QuantizeLinear", ["r1", *affine], ["q"], "quantize"),
             node("DequantizeLinear", ["q", *affine], ["d"], "back")]  # fmt: skip
    nodes = list(model.graph.node)
    for node in nodes[2:]:
        for i, name in enumerate(node.input):
            node.input[i] = "d" if name == "r1" else name
    del model.graph.node[:]
    model.graph.node.extend([*nodes[:2], *steps, *nodes[2:]])
    model.opset_import[0].version = 19  # the reference evaluator's first with these operators
    model.graph.initializer.extend([numpy_helper.from_array(np.float32(0.02), "step"),
                                    numpy_helper.from_array(np.int8(-120), "zero")])  # fmt: skip
    onnx.checker.check_model(model)
    codec = lo.calibrate(model, "q", X, levels=8)
    assert (codec.integer_type, codec.zero_point) == ("int8", -120)
    assert codec.scale == pytest.approx(0.02)
    edge, cloud = lo.split(model, "q", codec)
    data = edge(X)
    arrives = cloud.tensors(data)["q"]
    np.testing.assert_array_equal(arrives, codec.simulate(edge.tensors(X)["q"]))
    assert arrives.dtype == np.int8 and len(data) < arrives.size / 2
    error = np.abs(cloud(data) - whole(model, X)).max()
    assert error < 0.3 * np.ptp(whole(model, X))


def test_mistakes_are_named():
    model = network()
    with pytest.raises(lwfc.ParameterError, match="near it: .*relu2"):
        lo.split(model, "relu_2")
    with pytest.raises(lwfc.FormatError, match=r"no \.onnx file"):
        lo.split(b"nothing", "relu2")
    with pytest.raises(lwfc.ParameterError, match="nothing of the network lies behind"):
        lo.split(model, "head")
    with pytest.raises(lwfc.ParameterError, match="an input of the network"):
        lo.split(model, "x")
    with pytest.raises(lwfc.ParameterError, match="no ONNX model"):
        list(lo.features(7, "relu1", X))


def test_explore_lists_every_cut():
    result = lo.explore(network(), X, link=Link(mbit_s=1, rtt_ms=1), shortlist=1)
    names = {row["cut"] for row in result.rows}
    assert {"r1", "r2"} <= names
    exact = {row["profile"]: row for row in result.rows if row["settings"].get("step")}
    assert exact["transform"]["loss"] <= 0.02 and exact["transform"]["pass"] == "exact"


def test_session_options_are_the_users():
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    x = noise(2, 3, 12, 12)
    edge, cloud = lo.split(network(), "r1", sess_options=options)
    with_options = cloud(edge(x))
    edge, cloud = lo.split(network(), "r1")
    assert np.allclose(with_options, cloud(edge(x)), atol=1e-5)


def test_scalars_cross_with_a_fixed_batch(tmp_path):
    """A network of one sample at a time, normalized by its largest value, which crosses."""
    node, info = helper.make_node, helper.make_tensor_value_info
    nodes = [
        node("Conv", ["x", "w1"], ["c1"], pads=[1, 1, 1, 1]),
        node("ReduceMax", ["c1"], ["top"], "top", keepdims=0),
        node("Shape", ["c1"], ["shape"], "shape"),
        node("Div", ["c1", "top"], ["d"]),
        node("Reshape", ["d", "shape"], ["r"]),
        node("ReduceMean", ["r"], ["y"], axes=[0, 2, 3], keepdims=0),
    ]
    ends = [info("x", TensorProto.FLOAT, [1, 3, 12, 12])], [info("y", TensorProto.FLOAT, [8])]
    graph = helper.make_graph(nodes, "net", *ends, [weight("w1", 8, 3, 3, 3)])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    reference = ReferenceEvaluator(model)
    expected = np.stack([reference.run(None, {"x": x[None]})[0] for x in X])
    assert any(tensor.shape == (None,) for cut in lo.cuts(model, X) for tensor in cut.tensors)
    codec = lo.calibrate(model, "c1", X, levels=8, channel_axis=1)
    edge, cloud = lo.split(model, ["top", "shape"])
    np.testing.assert_allclose(cloud(edge(X)), expected, atol=1e-5)
    edge, cloud = lo.split(model, ["top", "shape"], {"c1": codec})
    data = edge(X)
    edge.save(tmp_path / "edge")
    cloud.save(tmp_path / "cloud")
    again = lo.load(tmp_path / "cloud")
    np.testing.assert_array_equal(again(lo.load(tmp_path / "edge")(X)), cloud(data))
    assert cloud(data).shape == expected.shape


@pytest.mark.parametrize("seed", range(3))
def test_half_precision_is_split_and_coded(seed):
    """ONNX Runtime runs it in 32 bits between casts, so halves move by some 16-bit steps."""
    rng = np.random.default_rng(seed)
    nodes, weights, name = [], [], "x"
    for i, inputs in enumerate((3, *[16] * 9)):
        kernel = rng.normal(0, (2 / (9 * inputs)) ** 0.5, (16, inputs, 3, 3)).astype(np.float16)
        weights.append(numpy_helper.from_array(kernel, f"w{i}"))
        nodes.append(helper.make_node("Conv", [name, f"w{i}"], [f"c{i}"], pads=[1, 1, 1, 1]))
        nodes.append(helper.make_node("Relu", [f"c{i}"], [f"r{i}"]))
        name = f"r{i}"
    nodes.append(helper.make_node("GlobalAveragePool", [name], ["y"]))
    info = helper.make_tensor_value_info
    ends = ([info("x", TensorProto.FLOAT16, ["N", 3, 12, 12])],
            [info("y", TensorProto.FLOAT16, None)])  # fmt: skip
    graph = helper.make_graph(nodes, "half", *ends, weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    x = X.astype(np.float16)
    for at in ("c0", "c3", "c8"):
        codec = lo.calibrate(model, at, x, levels=16, channel_axis=1)
        edge, cloud = lo.split(model, at, codec)
        crossing = edge.tensors(x)[at]
        assert crossing.dtype == np.float16
        arrives = cloud.tensors(edge(x))[at]
        assert arrives.dtype == np.float16 and np.array_equal(arrives, codec.simulate(crossing))


def test_tensors_of_unknown_rank_are_cut():
    """A Reshape whose shape's length is known at run time only, as converters write it."""
    node, info = helper.make_node, helper.make_tensor_value_info
    nodes = [
        node("Conv", ["x", "w1"], ["c1"], pads=[1, 1, 1, 1]),
        node("Shape", ["c1"], ["all"]),
        node("Compress", ["all", "yes"], ["shape"]),
        node("Reshape", ["c1", "shape"], ["r1"], "reshape"),
        node("Transpose", ["r1"], ["t1"], perm=[0, 2, 3, 1]),
        node("ReduceMean", ["t1"], ["y"], axes=[1, 2], keepdims=0),
    ]
    ends = [info("x", TensorProto.FLOAT, ["N", 3, 12, 12])], [info("y", TensorProto.FLOAT, None)]
    weights = [weight("w1", 8, 3, 3, 3), numpy_helper.from_array(np.ones(4, bool), "yes")]
    graph = helper.make_graph(nodes, "net", *ends, weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    expected = ReferenceEvaluator(model).run(None, {"x": X})[0]
    assert "r1" in {cut.name for cut in lo.cuts(model, X)}
    for at in ("c1", "r1", "t1"):
        edge, cloud = lo.split(model, at)
        np.testing.assert_allclose(cloud(edge(X)), expected, atol=1e-5)
