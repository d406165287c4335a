#!/bin/sh
# torch 2.13.0, Python 3.11: in evaluation mode dropout returns its input, the very same tensor, so
# an in-place operation on either is seen in both. The graph of torch.export says so too, until
# run_decompositions({}), which shall only make it functional: dropout becomes a copy there, what is
# overwritten afterwards no longer shows in it, and the program gives other numbers than the model,
# without a word. Fails if that changes.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q "torch==2.13.0" "numpy<3"
"$folder/venv/bin/python" - <<'EOF'
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear, self.drop, self.relu = nn.Linear(4, 4), nn.Dropout(), nn.ReLU(inplace=True)

    def forward(self, x):
        x = self.linear(x)
        y = self.drop(x)
        self.relu(x)
        return y


torch.manual_seed(0)
model, x = Net().eval(), torch.randn(2, 4)
assert model.drop(x) is x
program = torch.export.export(model, (x,))
functional = program.run_decompositions({})
with torch.no_grad():
    whole, exported, decomposed = model(x), program.module()(x), functional.module()(x)
print("model:     ", whole[0].tolist())
print("exported:  ", exported[0].tolist())
print("decomposed:", decomposed[0].tolist())
assert torch.equal(exported, whole) and (whole >= 0).all()
assert not torch.equal(decomposed, whole) and (decomposed < 0).any()
EOF
