#!/bin/sh
# onnxruntime 1.32.0 and onnx 1.23.2, Python 3.11, CPU: Cast to float 8 with saturate=0. The specification's table
# says that what rounds beyond the largest number becomes NaN in E4M3FN and infinity in E5M2. ONNX Runtime's E4M3FN
# makes NaN of 465 to 479, then 448 again of 480 to 495, then NaN for good; its E5M2 makes NaN of numbers from
# 61,440 to 65,535, and infinity only above: a feature a little too large looks like a broken one.
# The reference evaluator keeps to the table. Fails if that changes.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q "onnxruntime==1.32.0" "onnx==1.23.2" "numpy==2.4.6"
"$folder/venv/bin/python" - <<'EOF'
import numpy as np
import onnxruntime
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator


def there_and_back(x, to):
    nodes = [
        helper.make_node("Cast", ["x"], ["q"], to=to, saturate=0),
        helper.make_node("Cast", ["q"], ["y"], to=TensorProto.FLOAT),
    ]
    x_info, y_info = (
        helper.make_tensor_value_info(n, TensorProto.FLOAT, [None]) for n in "xy"
    )
    graph = helper.make_graph(nodes, "cast", [x_info], [y_info])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return session.run(None, {"x": x})[0], ReferenceEvaluator(model).run(None, {"x": x})[0]


def runs(x, y):
    """First number of each run of equal results."""
    same = (y[1:] == y[:-1]) | (np.isnan(y[1:]) & np.isnan(y[:-1]))
    first = np.concatenate([[True], ~same])
    return [(float(a), str(b)) for a, b in zip(x[first], y[first])]


for name, low, high, expected, table in (
    ("FLOAT8E4M3FN", 440, 520, [("448.0", 440), ("nan", 465), ("448.0", 480), ("nan", 496)],
     [("448.0", 440), ("nan", 465)]),
    ("FLOAT8E5M2", 57344, 66000, [("57344.0", 57344), ("nan", 61440), ("inf", 65536)],
     [("57344.0", 57344), ("inf", 61440)]),
):
    x = np.arange(low, high, dtype="f4")
    ours, reference = there_and_back(x, getattr(TensorProto, name))
    print(name, "ONNX Runtime:", runs(x, ours), "reference:", runs(x, reference))
    assert [(b, a) for a, b in runs(x, ours)] == expected
    assert [(b, a) for a, b in runs(x, reference)][: len(table)] == table
EOF
