#!/bin/sh
# torch 2.13.0, Python 3.11, x86-64: one NaN has two quantized values. quantize_per_tensor gives the top
# of the type's range, quantize_per_channel and fake_quantize_per_tensor_affine, the training-time twin
# of the first, give the bottom, all without a warning. Fails if that changes.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q "torch==2.13.0" "numpy<3"
"$folder/venv/bin/python" -W ignore::UserWarning - <<'EOF'
import torch

scale, zero = 0.1, 10
scales, zeros = torch.tensor([scale]), torch.tensor([zero])
for count in (1, 8, 33, 64):  # shorter and longer than a vector
    x = torch.full((1, count), float("nan"))
    tensor = torch.quantize_per_tensor(x, scale, zero, torch.quint8).int_repr()
    channel = torch.quantize_per_channel(x, scales, zeros, 0, torch.quint8).int_repr()
    fake = torch.fake_quantize_per_tensor_affine(x, scale, zero, 0, 255)
    fake = (fake / scale + zero).round()
    seen = [q.unique().tolist() for q in (tensor, channel, fake)]
    print(f"{count} NaN: per tensor {seen[0]}, per channel {seen[1]}, fake quantized {seen[2]}")
    assert seen == [[255], [0], [0]], seen
EOF
