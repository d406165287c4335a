#!/bin/sh
# NumPy 2.4.6 with ml_dtypes 0.6.0, Python 3.11: np.save of bfloat16, float8_e4m3fn and int4 comes
# back as raw void (V2, V1) without a word, and np.save of float8_e5m2 writes a file that np.load
# refuses: its type code "f1" is taken for a native float of one byte. Fails if that changes.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q "numpy==2.4.6" "ml_dtypes==0.6.0"
"$folder/venv/bin/python" - <<'EOF'
import io

import ml_dtypes
import numpy as np

seen = {}
for name in ("bfloat16", "float8_e4m3fn", "int4", "float8_e5m2"):
    file = io.BytesIO()
    np.save(file, np.ones(3, getattr(ml_dtypes, name)))
    file.seek(0)
    try:
        seen[name] = np.load(file).dtype.str
    except ValueError as error:
        seen[name] = str(error)
print(seen)
assert seen["bfloat16"] == "|V2" and seen["float8_e4m3fn"] == seen["int4"] == "|V1"
assert "descriptor" in seen["float8_e5m2"]
EOF
