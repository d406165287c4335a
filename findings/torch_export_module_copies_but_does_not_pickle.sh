#!/bin/sh
# torch 2.13.0, Python 3.11: torch.export.export(model).module() can be deep-copied, and pickle
# refuses it, since a function made inside torch.export hangs on it; multiprocessing, joblib and
# torch.save meet the same error. The ExportedProgram's own save() works. Fails if that changes.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q "torch==2.13.0" "numpy<3"
"$folder/venv/bin/python" - <<'EOF'
import copy
import io
import pickle

import torch
from torch import nn

model = nn.Sequential(nn.Linear(4, 4), nn.ReLU()).eval()
x = torch.ones(2, 4)
program = torch.export.export(model, (x,))
module = program.module()
assert torch.equal(copy.deepcopy(module)(x), model(x))
for name, store in (("pickle", pickle.dumps), ("torch.save", lambda m: torch.save(m, io.BytesIO()))):
    try:
        store(module)
        raise SystemExit(f"{name} takes it now")
    except (AttributeError, pickle.PicklingError) as error:
        print(f"{name}: {type(error).__name__}: {error}")
kept = io.BytesIO()
torch.export.save(program, kept)
kept.seek(0)
assert torch.equal(torch.export.load(kept).module()(x), model(x))
print("torch.export.save: works")
EOF
