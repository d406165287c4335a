#!/bin/sh
# onnx 1.23.2 (x86-64), onnxruntime 1.32.0, Python 3.11: the reference evaluator, by which others check their
# QuantizeLinear, rounds to int32 before it saturates. Where a feature over its scale passes 2^31, as an outlier
# or an infinity does, the largest value becomes the *least* level: 0 in uint8, -128 in int8, the same in four
# and sixteen bits. The specification says saturate; ONNX Runtime gives the greatest level. Fails if that
# changes.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q "onnxruntime==1.32.0" "onnx==1.23.2" "numpy==2.4.6"
"$folder/venv/bin/python" -W ignore - <<'EOF'
import numpy as np
import onnxruntime
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

x = np.array([100.0, 1e6, 1e7, 1e12, np.inf], "f4")
for name, greatest, least in (
    ("UINT8", 255, 0), ("INT8", 127, -128), ("UINT4", 15, 0), ("INT4", 7, -8), ("INT16", 32767, -32768),
):
    kind = getattr(TensorProto, name)
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "scale", "zero"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "one", "zero"], ["y"]),
    ]
    constants = [
        helper.make_tensor("scale", TensorProto.FLOAT, [], [0.002]),
        helper.make_tensor("one", TensorProto.FLOAT, [], [1.0]),
        helper.make_tensor("zero", kind, [], [0]),
    ]
    x_info, y_info = (
        helper.make_tensor_value_info(n, TensorProto.FLOAT, [None]) for n in "xy"
    )
    graph = helper.make_graph(nodes, "quantize", [x_info], [y_info], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    runtime = session.run(None, {"x": x})[0]
    reference = ReferenceEvaluator(model).run(None, {"x": x})[0]
    print(f"{name}: {x.tolist()}: ONNX Runtime {runtime.tolist()}, reference {reference.tolist()}")
    assert (runtime == greatest).all()
    assert (reference[:2] == greatest).all() and (reference[2:] == least).all()
EOF
