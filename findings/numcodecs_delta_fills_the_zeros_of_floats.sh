#!/bin/sh
# numcodecs 0.16.6, Python 3.11: Delta takes floats and warns in its documentation of integers alone that may
# overflow. It sums rounded differences, so of a million values after a ReLU, half of them zero, 99.9 % of
# the zeros come back as something else (float32; small, but no longer sparse, and no compressor after
# it finds them); float16 drifts by 0.05 in 20,000 values; and one infinity turns all that follows in its
# chunk into NaN. Delta of the same bits as integers loses nothing. Fails if that changes.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q "numcodecs==0.16.6" "numpy==2.4.6"
"$folder/venv/bin/python" -W ignore - <<'EOF'
import numpy as np
from numcodecs import Delta


def round_trip(x, dtype):
    codec = Delta(dtype)
    return codec.decode(codec.encode(x.view(dtype)))


features = np.maximum(np.random.default_rng(0).normal(size=1_000_000), 0).astype("f4")
back = round_trip(features, "f4")
lost = (back[features == 0] != 0).mean()
print(f"float32: {lost:.1%} of the zeros come back as other values, largest error {abs(back - features).max():.1e}")
assert lost > 0.99
halves = np.random.default_rng(0).normal(size=20_000).astype("f2")
drift = abs(round_trip(halves, "f2").astype("f8") - halves).max()
print(f"float16: largest error {drift:.2f} of values up to {abs(halves).max():.1f}")
assert drift > 0.01
broken = np.array([1, 2, np.inf, 3, 4], "f4")
back = round_trip(broken, "f4")
print(f"{broken.tolist()} comes back as {back.tolist()}")
assert np.isnan(back[3:]).all()
for x, dtype in ((features, "u4"), (halves, "u2"), (broken, "u4")):
    assert np.array_equal(round_trip(x, dtype), x.view(dtype))
EOF
