#!/bin/sh
# numcodecs 0.16.6, Python 3.11: BitRound, the lossy filter for Zarr and HDF5, rounds the bits of a NaN as
# if it were a number. NumPy's own NaN stays one, but the one with every bit of its fraction set, which
# CUDA's arithmetic gives (PTX ISA: "the canonical NaN is 0x7fffffff"), becomes -0.0 in float32 and in
# float16, at every keepbits but the type's own: the trace of a broken activation is gone. Fails if that
# changes.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q "numcodecs==0.16.6" "numpy==2.4.6"
"$folder/venv/bin/python" - <<'EOF'
import numpy as np
from numcodecs import BitRound

for bits, gpu, digits in ((np.uint32, 0x7FFFFFFF, 23), (np.uint16, 0x7FFF, 10)):
    dtype = np.dtype(f"f{np.dtype(bits).itemsize}")
    x = np.array([gpu], bits).view(dtype)
    ours = np.array([np.nan], dtype)
    assert np.isnan(x).all()
    for kept in range(1, digits):
        filter = BitRound(kept)
        back = filter.decode(filter.encode(x.copy()))
        assert back[0] == 0 and np.signbit(back[0]), back
        assert np.isnan(filter.decode(filter.encode(ours.copy()))).all()
    print(f"{dtype}: NaN {gpu:#x} comes back as {back[0]}, NaN {ours.view(bits)[0]:#x} as NaN")
EOF
