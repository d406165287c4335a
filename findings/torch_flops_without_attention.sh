#!/bin/sh
# torch 2.13.0, CPU, Python 3.11: FlopCounterMode counts nothing for scaled_dot_product_attention
# and for an LSTM, with and without gradients, while it counts a GRU and a Linear (two operations a
# multiply-add). A split point chosen by these counts takes attention for free. Fails if that
# changes.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q "torch==2.13.0" "numpy<3"
"$folder/venv/bin/python" - <<'EOF'
import torch
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode


def count(run):
    with FlopCounterMode(display=False) as counter:
        run()
    return counter.get_total_flops()


heads = torch.randn(1, 4, 16, 8)
sequence = torch.randn(5, 1, 8)
seen = {
    "attention": count(lambda: functional.scaled_dot_product_attention(heads, heads, heads)),
    "lstm": count(lambda: torch.nn.LSTM(8, 8)(sequence)),
    "gru": count(lambda: torch.nn.GRU(8, 8)(sequence)),
    "linear": count(lambda: torch.nn.Linear(8, 8)(sequence)),
}
with torch.no_grad():
    seen["attention, no_grad"] = count(
        lambda: functional.scaled_dot_product_attention(heads, heads, heads)
    )
print(torch.__version__, seen)
assert seen["attention"] == seen["attention, no_grad"] == seen["lstm"] == 0
assert seen["gru"] > 0 and seen["linear"] == 2 * 5 * 8 * 8
EOF
