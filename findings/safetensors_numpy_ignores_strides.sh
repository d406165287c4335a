#!/bin/sh
# safetensors 0.8.0 with NumPy, Python 3.11: save() writes the memory of a strided view from its
# first byte on and not its elements: a transposed matrix, a channels-last activation and every
# second element of a vector come back with the right shape and other values, without an error.
# np.ascontiguousarray before saving cures it. Fails if that changes.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q "safetensors==0.8.0" "numpy==2.4.6"
"$folder/venv/bin/python" - <<'EOF'
import numpy as np
from safetensors.numpy import load, save

views = {
    "transposed": np.arange(6, dtype="float32").reshape(2, 3).T,
    "channels-last": np.arange(24, dtype="float32").reshape(1, 2, 3, 4).transpose(0, 3, 1, 2),
    "every second": np.arange(10, dtype="float32")[::2],
}
for name, view in views.items():
    back = load(save({"x": view}))["x"]
    copied = load(save({"x": np.ascontiguousarray(view)}))["x"]
    print(name, view.ravel()[:5], "came back as", back.ravel()[:5])
    assert back.shape == view.shape and not np.array_equal(back, view)
    assert np.array_equal(copied, view)
EOF
