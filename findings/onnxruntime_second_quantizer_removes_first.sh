#!/bin/sh
# onnxruntime 1.32.0 with onnx 1.23.2, Python 3.11, CPU: where one quantizer follows another (Quantize,
# Dequantize, Quantize, Dequantize), the session's basic optimizations, on by default and documented as
# preserving what a model means, keep one pair with the finer of the scales. A simulated quantizer of 4
# levels beside an 8-bit one is gone without a word, and the accuracy measured is that of 8 bits. ONNX's
# reference evaluator computes what was written, and so does onnxruntime with ORT_DISABLE_ALL or
# session.disable_double_qdq_remover. Fails if that changes.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q "numpy==2.4.6" "onnx==1.23.2" "onnxruntime==1.32.0"
"$folder/venv/bin/python" - <<'EOF'
import numpy as np
import onnxruntime as ort
from onnx import TensorProto, checker, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

x = np.maximum(np.random.default_rng(0).normal(size=(1, 256)), 0).astype("f4")
levels = ort.GraphOptimizationLevel


def two_quantizers(first, second):
    nodes, values, last = [], [], "x"
    for i, (scale, zero_point) in enumerate((first, second)):
        values += [numpy_helper.from_array(np.float32(scale), f"scale{i}"),
                   numpy_helper.from_array(zero_point, f"zero{i}")]
        more = [f"scale{i}", f"zero{i}"]
        nodes += [helper.make_node("QuantizeLinear", [last, *more], [f"q{i}"]),
                  helper.make_node("DequantizeLinear", [f"q{i}", *more], [f"y{i}"])]
        last = f"y{i}"
    info = [helper.make_tensor_value_info(name, TensorProto.FLOAT, x.shape) for name in ("x", last)]
    graph = helper.make_graph(nodes, "g", info[:1], info[1:], values)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    checker.check_model(model, full_check=True)
    return model


def run(model, level, keep_both="0"):
    options = ort.SessionOptions()
    options.graph_optimization_level = level
    options.add_session_config_entry("session.disable_double_qdq_remover", keep_both)
    session = ort.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])
    return session.run(None, {"x": x})[0]


coarse, fine = (1.0, np.uint8(0)), (1 / 64, np.uint8(0))  # x is below 4: levels 0, 1, 2, 3
for order, model in (("coarse, fine", two_quantizers(coarse, fine)),
                     ("fine, coarse", two_quantizers(fine, coarse))):
    wanted = ReferenceEvaluator(model).run(None, {"x": x})[0]
    assert set(np.unique(wanted)) <= {0, 1, 2, 3}
    assert np.array_equal(run(model, levels.ORT_DISABLE_ALL), wanted)
    assert np.array_equal(run(model, levels.ORT_ENABLE_ALL, keep_both="1"), wanted)
    for level in (levels.ORT_ENABLE_BASIC, levels.ORT_ENABLE_ALL):
        seen = run(model, level)
        print(f"{order}, {level.name}: {len(np.unique(seen))} values, {len(np.unique(wanted))} wanted;",
              f"error to x at most {np.abs(seen - x).max():.4f}, wanted {np.abs(wanted - x).max():.4f}")
        assert len(np.unique(seen)) > 50 and np.abs(seen - x).max() < 1 / 64
EOF
