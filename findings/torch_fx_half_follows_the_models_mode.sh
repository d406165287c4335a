#!/bin/sh
# torch 2.13.0, Python 3.11: torch.fx.symbolic_trace(model) takes the model's own layers into the
# traced module. A trace made in eval() says training=False for good, but model.train() afterwards
# switches dropout on inside it: the "evaluation" copy gives another result at every call, and
# trace.eval() in turn switches it off in the model that is being trained. Fails if that changes.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q "torch==2.13.0" "numpy<3"
"$folder/venv/bin/python" - <<'EOF'
import torch
from torch import fx, nn

torch.manual_seed(0)
model = nn.Sequential(nn.Linear(8, 64), nn.Dropout(0.5), nn.Linear(64, 4)).eval()
trace = fx.symbolic_trace(model)
x = torch.ones(1, 8)
assert torch.equal(trace(x), trace(x))
model.train()
print("trace.training:", trace.training, "| its layers:", [m.training for m in trace.children()])
assert trace.training is False and not torch.equal(trace(x), trace(x))
trace.eval()
print("after trace.eval(), model.training:", model.training, "| its layers:",
      [m.training for m in model])
assert model.training is True and not any(m.training for m in model)
EOF
