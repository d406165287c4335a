#!/bin/sh
# OpenVINO 2026.4.1's CPU plugin in float32, x86-64 with AVX2, Python 3.11: a NaN does not reach the output.
# ReLU and clamp make it 0, max pooling of nothing but NaN gives -3.4e38, exp gives infinity, fake
# quantization the lowest level, and maximum depends on the order of its arguments. A convolution keeps
# it, the ReLU behind takes it away: a broken device half looks healthy. PyTorch, ONNX Runtime, LiteRT and
# TensorFlow keep NaN in all of these but fake quantization. Fails if that changes.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q "openvino==2026.4.1" "numpy==2.4.6"
"$folder/venv/bin/python" - <<'EOF'
import numpy as np
import openvino as ov
from openvino import opset13 as op

x = np.full((1, 2, 6, 7), np.nan, np.float32)
zero, three = np.float32(0), np.float32(3)
weights = np.ones((3, 2, 1, 1), np.float32)


def convolution(p):
    return op.convolution(p, weights, [1, 1], [0, 0], [0, 0], [1, 1])


CASES = {
    "convolution": (convolution, np.nan),
    "convolution, relu": (lambda p: op.relu(convolution(p)), 0),
    "relu": (op.relu, 0),
    "clamp to 0..6": (lambda p: op.clamp(p, 0.0, 6.0), 0),
    "maximum(x, 0)": (lambda p: op.maximum(p, zero), 0),
    "maximum(0, x)": (lambda p: op.maximum(zero, p), np.nan),
    "max pooling": (
        lambda p: op.max_pool(p, [1, 1], [1, 1], [0, 0], [0, 0], [2, 2]).output(0),
        np.finfo(np.float32).min,
    ),
    "exp": (op.exp, np.inf),
    "fake quantization": (lambda p: op.fake_quantize(p, zero, three, zero, three, 4), 0),
}
for name, (function, expected) in CASES.items():
    p = op.parameter(list(x.shape), np.float32)
    model = ov.compile_model(ov.Model([function(p)], [p]), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    seen = np.unique(model(x)[0])
    print(f"{name} of NaN: {seen}")
    assert np.array_equal(seen, np.float32([expected]), equal_nan=True), seen
EOF
