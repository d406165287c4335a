#!/bin/sh
# h5py 3.14.0 (its wheel's HDF5), Python 3.11: the scale-offset filter, with which HDF5 keeps so many
# decimals of float32, stores a map of features whose range times 10^decimals passes 2^31, or that has
# one infinity, without an error, and the whole chunk cannot be read back. One NaN is read as a small
# finite number. Fails if that changes.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q "h5py==3.14.0" "numpy==2.4.6"
"$folder/venv/bin/python" - "$folder" <<'EOF'
import sys

import h5py
import numpy as np

print("HDF5", h5py.version.hdf5_version)


def read_back(features, decimals=2):
    with h5py.File(f"{sys.argv[1]}/features.h5", "w") as file:
        file.create_dataset("x", data=features, chunks=features.shape, scaleoffset=decimals)
    with h5py.File(f"{sys.argv[1]}/features.h5") as file:
        try:
            return file["x"][:]
        except OSError as error:
            return str(error)


relu = np.maximum(np.random.default_rng(0).normal(size=(64, 64)), 0).astype("f4")
assert np.abs(read_back(relu) - relu).max() < 0.01
for name, odd in (("2e7", 2e7), ("3e7", 3e7), ("inf", np.inf)):
    features = relu.copy()
    features[0, 5] = odd
    seen = read_back(features)
    print(f"one value of {name}:", seen if isinstance(seen, str) else seen[0, 5])
    assert isinstance(seen, str) == (name != "2e7")
features = relu.copy()
features[0, 5] = np.nan
seen = read_back(features)
print("one NaN is read as", seen[0, 5])
assert np.isfinite(seen).all() and abs(seen[0, 5]) < 0.1
EOF
