#!/bin/sh
# torch 2.13.0 (CPU), Python 3.11: under no_grad a GRU's last bits depend on whether its weights say
# requires_grad. Freezing a model (requires_grad_(False)), or keeping its weights as buffers, as a
# file of tensors gives them back, changes results that are compared to the bit. Fails if not.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q "torch==2.13.0" "numpy<3"
"$folder/venv/bin/python" - <<'EOF'
import torch
from torch import nn

torch.manual_seed(0)
gru, x = nn.GRU(6, 12, batch_first=True).eval(), torch.randn(2, 4, 6)
with torch.no_grad():
    trained, again = gru(x)[0], gru(x)[0]
    frozen = gru.requires_grad_(False)(x)[0]
print("largest difference after freezing:", (frozen - trained).abs().max().item())
assert torch.equal(trained, again) and not torch.equal(frozen, trained)
assert torch.allclose(frozen, trained, atol=1e-6)
EOF
