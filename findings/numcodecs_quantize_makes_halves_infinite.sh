#!/bin/sh
# numcodecs 0.16.6, Python 3.11: Quantize, the filter of Zarr that keeps a number of decimal digits, scales
# in the array's own type. Of float16 features it makes infinity from 512 on where two digits after the point are
# asked for, from 64 on with three, from 4 on with four. No error: NumPy's warning of an overflow stays in
# the process that wrote. In float32 the same numbers come back as they are. Fails if that changes.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q "numcodecs==0.16.6" "numpy==2.4.6"
"$folder/venv/bin/python" -W ignore - <<'EOF'
import numpy as np
from numcodecs import Quantize

values = np.array([0.5, 20, 31, 64, 500, 600, 1000, 60000])
for digits in (1, 2, 3, 4):
    back = {}
    for dtype in ("f2", "f4"):
        x = values.astype(dtype)
        codec = Quantize(digits, dtype)
        back[dtype] = codec.decode(codec.encode(x))
    assert np.array_equal(back["f4"], values.astype("f4")), back
    limit = np.finfo("f2").max / 2 ** np.ceil(digits * np.log2(10))
    assert np.array_equal(np.isinf(back["f2"]), values > limit), (back, limit)
    print(f"{digits} digits: float16 {back['f2'].tolist()}, infinite from {limit:.0f} on; float32 unchanged")
EOF
