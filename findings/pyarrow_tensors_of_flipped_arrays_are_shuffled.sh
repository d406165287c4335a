#!/bin/sh
# pyarrow 26.0.1, Python 3.11: FixedShapeTensorArray.from_numpy_ndarray promises a copy of arrays that
# are not contiguous, and makes one of strided slices and transposed maps. Of a batch whose maps are flipped
# top to bottom (NumPy's [:, ::-1], the usual augmentation) or repeated along an axis by broadcast_to it notes
# the axes in the order of their strides, negative and zero as they are, over values that lie in another order:
# to_numpy_ndarray gives every value in a wrong place, without an error. Fails if that changes.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q "pyarrow==26.0.1" "numpy==2.4.6"
"$folder/venv/bin/python" - <<'EOF'
import numpy as np
import pyarrow as pa


def round_trip(array):
    return pa.FixedShapeTensorArray.from_numpy_ndarray(array).to_numpy_ndarray()


maps = np.arange(12, dtype="f4").reshape(2, 2, 3)
for name, array in (
    ("as they are", maps),
    ("transposed", maps.transpose(0, 2, 1)),
    ("every other column", maps[:, :, ::2]),
    ("flipped left to right", maps[:, :, ::-1]),
):
    assert np.array_equal(round_trip(array), array), name
    print(f"{name}: equal")
for name, array in (
    ("flipped top to bottom", maps[:, ::-1]),
    ("one row repeated", np.broadcast_to(maps[:, :1], maps.shape)),
):
    back = round_trip(array)
    assert back.shape == array.shape and not np.array_equal(back, array), name
    assert np.array_equal(np.sort(back.ravel()), np.sort(array.ravel())), name
    assert np.array_equal(round_trip(array.copy()), array), name
    print(f"{name}: {array[0].tolist()} comes back as {back[0].tolist()}; a copy of it is equal")
EOF
