#!/bin/sh
# blosc2 4.14.1, Python 3.11: the filter TRUNC_PREC ("number of bits to which to truncate float") looks at the
# size of an item alone. complex64 (a Fourier transform of features) counts as float64: with 12 bits kept every
# real part becomes 0. int32 counts as float32 and loses its low 11 bits: 12 comes back as 0, -13 as -2048.
# NDArray takes both without an error, where float16 is refused. Fails if that changes.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q "blosc2==4.14.1" "numpy==2.4.6"
"$folder/venv/bin/python" - <<'EOF'
import blosc2
import numpy as np


def round_trip(x, bits):
    kept = {"filters": [blosc2.Filter.TRUNC_PREC], "filters_meta": [bits]}
    return blosc2.asarray(x, cparams=kept)[:]


rng = np.random.default_rng(0)
x = rng.normal(size=1000).astype("f4")
error = abs(round_trip(x, 12) / x - 1).max()
assert error < 2**-11, error
print(f"float32: relative error at most {error:.1e}")
spectrum = np.fft.fft(x).astype("c8")
back = round_trip(spectrum, 12)
assert not back.real.any() and abs(back.imag[1:400] / spectrum.imag[1:400] - 1).max() < 2**-8
print(f"complex64: {spectrum[1]:.4f} comes back as {back[1]:.4f}")
counts = np.array([12, -13, 2047, 2048, 5000], "i4")
back = round_trip(np.tile(counts, 1000), 12)[: len(counts)]
assert back.tolist() == [0, -2048, 0, 2048, 4096], back
print(f"int32: {counts.tolist()} comes back as {back.tolist()}")
try:
    round_trip(x.astype("f2"), 8)
except RuntimeError as refused:
    print(f"float16: {refused}")
else:
    raise AssertionError("float16 was taken")
EOF
