#!/bin/sh
# Keras 3.15.1 on TensorFlow 2.21.0 and on JAX 0.10.2, Python 3.11: after a first predict(), a
# replaced layer.call is followed by model(x), by predict_on_batch and by predict() of another batch
# size, but not by predict() of the size seen before: one model, two answers, no warning.
# make_predict_function() changes nothing; make_predict_function(force=True) does. Fails if any of
# that changes.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q "keras==3.15.1" "tensorflow-cpu==2.21.0" "jax==0.10.2" "numpy<3"
cat >"$folder/check.py" <<'EOF'
import keras
import numpy as np

inputs = keras.Input((4,))
hidden = keras.layers.Dense(3, name="cut")(inputs)
model = keras.Model(inputs, keras.layers.Dense(2)(hidden))
two, three = np.ones((2, 4), "float32"), np.ones((3, 4), "float32")
before = model.predict(two, verbose=0)[0]
layer = model.get_layer("cut")
own = layer.call


def zeroed(x, *args, **kwargs):
    return own(x, *args, **kwargs) * 0


def follows(y):
    return bool(abs(np.asarray(y)[0] - before).max() > 1e-3)


layer.call = zeroed
seen = {
    "model(x)": follows(keras.ops.convert_to_numpy(model(two))),
    "predict, same size": follows(model.predict(two, verbose=0)),
    "predict, other size": follows(model.predict(three, verbose=0)),
    "predict_on_batch": follows(model.predict_on_batch(two)),
}
model.make_predict_function()
seen["after make_predict_function()"] = follows(model.predict(two, verbose=0))
model.make_predict_function(force=True)
seen["after make_predict_function(force=True)"] = follows(model.predict(two, verbose=0))
print(keras.backend.backend(), seen)
assert list(seen.values()) == [True, False, True, True, False, True]
EOF
for backend in tensorflow jax; do
    KERAS_BACKEND=$backend TF_CPP_MIN_LOG_LEVEL=3 "$folder/venv/bin/python" "$folder/check.py"
done
