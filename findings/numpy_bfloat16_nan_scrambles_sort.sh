#!/bin/sh
# NumPy 2.4.6 with ml_dtypes 0.6.0 (the bfloat16 and float8 of JAX and TensorFlow), Python 3.11: one NaN in
# a hundred and np.sort leaves the *other* values out of order; partition, argsort, searchsorted and
# unique follow, as does what is computed by them: a "largest tenth" that misses many of them. float16 and
# float32 sort NaN to the end, as NumPy's documentation says. np.nan_to_num leaves NaN, and np.nanmean and
# np.nansum, which "ignore NaNs", return NaN. None of it warns. Fails if that changes.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q "numpy==2.4.6" "ml_dtypes==0.6.0"
"$folder/venv/bin/python" -W error - <<'EOF'
import ml_dtypes
import numpy as np


def looks(dtype):
    features = np.random.default_rng(0).normal(size=2000).astype(dtype)
    features[::100] = np.nan
    same = features.astype("f4")  # every value of these types is one of float32
    ordered = np.sort(features).astype("f4")
    ordered = ordered[~np.isnan(ordered)]
    top, wanted = np.partition(features, 1800)[1800:], np.partition(same, 1800)[1800:]
    return {
        "sorted": bool(np.array_equal(ordered, np.sort(same)[: len(ordered)])),
        "unique": len(np.unique(features)) == len(np.unique(same)),
        "largest tenth": bool(np.array_equal(np.sort(top.astype("f4")), np.sort(wanted), equal_nan=True)),
        "nan_to_num": not np.isnan(np.nan_to_num(features)).any(),
        "nanmean": bool(np.isfinite(np.nanmean(features))),
        "nansum": bool(np.isfinite(np.nansum(features))),
    }


for dtype in ("f4", "f2", ml_dtypes.bfloat16, ml_dtypes.float8_e4m3fn, ml_dtypes.float8_e5m2):
    seen = looks(dtype)
    print(np.dtype(dtype), "right:", seen)
    assert set(seen.values()) == {np.dtype(dtype).itemsize > 1 and np.dtype(dtype).kind == "f"}
EOF
