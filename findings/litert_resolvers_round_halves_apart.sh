#!/bin/sh
# ai-edge-litert 2.3.0 with a file of tensorflow-cpu 2.21.0, Python 3.11, x86-64: QUANTIZE rounds halves
# away from zero with the reference kernels (BUILTIN_REF) and to even with the ones used by default, so
# that the same .tflite gives other int8 symbols for the same input. Fails if that changes.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q "tensorflow-cpu==2.21.0" "ai-edge-litert==2.3.0" "numpy==2.4.6"
TF_CPP_MIN_LOG_LEVEL=3 "$folder/venv/bin/python" - <<'EOF'
import numpy as np
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter
from ai_edge_litert.interpreter import OpResolverType as Kernels


@tf.function(autograph=False, input_signature=[tf.TensorSpec([1, 64], tf.float32)])
def model(x):
    return tf.nn.relu(x)


converter = tf.lite.TFLiteConverter.from_concrete_functions([model.get_concrete_function()])
converter.optimizations = [tf.lite.Optimize.DEFAULT]
converter.representative_dataset = lambda: [[np.linspace(0, 255, 64, dtype="f4")[None]]]
converter.inference_output_type = tf.int8
content = converter.convert()


def symbols(kernels, x):
    interpreter = Interpreter(model_content=content, experimental_op_resolver_type=kernels)
    interpreter.allocate_tensors()
    (entry,), (out,) = interpreter.get_input_details(), interpreter.get_output_details()
    assert entry["dtype"] == np.float32 and out["dtype"] == np.int8
    interpreter.set_tensor(entry["index"], x)
    interpreter.invoke()
    return interpreter.get_tensor(out["index"]).ravel().astype(int) + 128, out["quantization"]


_, (scale, zero) = symbols(Kernels.AUTO, np.zeros((1, 64), "f4"))
assert (scale, zero) == (1, -128)
x = (np.arange(64, dtype="f4") + 0.5)[None]
reference, default = (symbols(k, x)[0] for k in (Kernels.BUILTIN_REF, Kernels.AUTO))
print("0.5, 1.5, 2.5, 3.5 ...: reference", reference[:6], "default", default[:6])
assert np.array_equal(reference, np.arange(1, 65))
assert np.array_equal(default, np.rint(x[0]).astype(int))
EOF
