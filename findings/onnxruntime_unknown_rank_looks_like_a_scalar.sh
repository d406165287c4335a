#!/bin/sh
# onnxruntime 1.32.0 with onnx 1.23.2: an output whose rank is known at run time only is described
# by the shape [], exactly as a scalar is. Whoever writes what get_outputs() says into a model that
# continues there declares a scalar, and the model is refused. Fails if that changes.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q "numpy==2.4.6" "onnx==1.23.2" "onnxruntime==1.32.0"
"$folder/venv/bin/python" - <<'EOF'
import numpy as np
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper

info, node = helper.make_tensor_value_info, helper.make_node
nodes = [node("Shape", ["x"], ["s"]), node("Compress", ["s", "yes"], ["c"]),
         node("Reshape", ["x", "c"], ["unknown"]), node("ReduceMax", ["x"], ["scalar"], keepdims=0)]
graph = helper.make_graph(nodes, "net", [info("x", TensorProto.FLOAT, ["N", 3, 12, 12])],
                          [info(name, TensorProto.FLOAT, None) for name in ("unknown", "scalar")],
                          [numpy_helper.from_array(np.ones(4, bool), "yes")])
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
ready = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
described = {output.name: output.shape for output in ready.get_outputs()}
found = ready.run(None, {"x": np.zeros((2, 3, 12, 12), np.float32)})
print(described, "are", [x.shape for x in found])
assert described == {"unknown": [], "scalar": []} and [x.ndim for x in found] == [4, 0]
EOF
