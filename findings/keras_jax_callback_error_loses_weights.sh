#!/bin/sh
# Keras 3.15.1 on JAX 0.10.2, Python 3.11: an exception raised by host code (jax.pure_callback in a
# layer) during predict() leaves the model without its weights: reading any variable afterwards
# raises a TypeError about calling None, and so does the next predict(). Calling the model instead
# of predict() keeps them. Fails if that changes.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q "keras==3.15.1" "jax==0.10.2" "numpy<3"
"$folder/venv/bin/python" - <<'EOF'
import os

os.environ["KERAS_BACKEND"] = "jax"
import jax
import keras
import numpy as np

broken = False


def host(x):
    if broken:
        raise ValueError("a damaged packet")
    return np.asarray(x)


class Host(keras.layers.Layer):
    def call(self, x):
        return jax.pure_callback(host, jax.ShapeDtypeStruct(x.shape, x.dtype), x)

    def compute_output_spec(self, x):
        return keras.KerasTensor(x.shape, x.dtype)


def weights(run):
    """What reading the weights says after run(model) met the exception."""
    global broken
    inputs = keras.Input((4,))
    model = keras.Model(inputs, keras.layers.Dense(2)(Host()(inputs)))
    x = np.ones((2, 4), "float32")
    broken = False
    run(model, x)
    broken = True
    try:
        run(model, x)
        raise SystemExit("the exception was swallowed")
    except Exception as error:
        print("run:", type(error).__name__)
    broken = False
    try:
        return len([np.asarray(variable.value) for variable in model.variables])
    except TypeError as error:
        return str(error)


called = weights(lambda model, x: np.asarray(model(x)))
predicted = weights(lambda model, x: model.predict(x, verbose=0))
print("after model(x):", called, "| after predict:", predicted)
assert called == 2 and "NoneType" in str(predicted)
EOF
