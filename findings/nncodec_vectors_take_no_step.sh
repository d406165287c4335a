#!/bin/sh
# nncodec 2.1.3, the codec of ISO/IEC 15938-17, Python 3.11: its tensor API takes a step (qp) and, for
# vectors, another (nonweight_qp), and hands only the first on. So a tensor of one axis is coded at the
# default of -75 whatever is asked: same bytes at every setting. Its (1, N) reshape obeys qp, with a
# third of the bytes at -20. Fails if that changes.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q "nncodec==2.1.3" "torch==2.14.1" "torchvision==0.29.1" "numpy==1.26.4"
cd "$folder"
venv/bin/python -W ignore - <<'EOF'
import numpy as np
from nncodec import tensor

x = np.random.default_rng(0).normal(size=4608).astype(np.float32)
sizes = {}
for qp in (-32, -20):
    asked = {"qp": qp, "nonweight_qp": qp}
    vector, row = tensor.encode(x, asked), tensor.encode(x[None], asked)
    errors = [abs(tensor.decode(data).ravel() - x).max() for data in (vector, row)]
    print(f"qp {qp}: vector {len(vector)} bytes, error {errors[0]:.1e}; "
          f"row {len(row)} bytes, error {errors[1]:.1e}")
    sizes[qp] = len(vector), len(row)
assert sizes[-32][0] == sizes[-20][0] and sizes[-20][1] < sizes[-32][1]
assert sizes[-20][0] > 3 * sizes[-20][1]
EOF
