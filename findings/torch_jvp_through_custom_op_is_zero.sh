#!/bin/sh
# torch 2.13.0, Python 3.11: forward-mode derivatives through an operator made by
# torch.library.custom_op with register_autograd are 0, and nothing says so: torch.func.jvp of an
# operator that doubles its input gives a tangent of 0 where backward() gives 2. Fails if that
# changes.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q "torch==2.13.0" "numpy<3"
"$folder/venv/bin/python" - <<'EOF'
import warnings

import torch


@torch.library.custom_op("found::twice", mutates_args=())
def twice(x: torch.Tensor) -> torch.Tensor:
    return 2 * x


twice.register_autograd(lambda ctx, grad: 2 * grad)
x = torch.ones(3, requires_grad=True)
twice(x).sum().backward()
with warnings.catch_warnings(record=True) as said:
    warnings.simplefilter("always")
    value, tangent = torch.func.jvp(twice, (torch.ones(3),), (torch.ones(3),))
said = {str(w.message) for w in said if "torch.jit" not in str(w.message)}  # its own machinery's
print("backward:", x.grad.tolist(), "| jvp:", tangent.tolist(), "| warnings:", said)
assert x.grad.tolist() == [2, 2, 2] and tangent.tolist() == [0, 0, 0] and not said
EOF
