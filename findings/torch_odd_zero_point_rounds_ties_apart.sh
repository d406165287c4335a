#!/bin/sh
# torch 2.13.0, Python 3.11, x86-64: values half-way between two levels get one level under
# quantize_per_tensor and quantize_per_channel and its neighbour under fake_quantize_* and the operators
# that torch.export's quantization writes, wherever the zero point is odd: the former add it before they
# round to even, the latter after. With an even one all agree. So a network trained with fake quantization
# meets other integers when it is converted (features on a coarse grid are often ties). Fails if that
# changes.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q "torch==2.13.0" "numpy<3"
"$folder/venv/bin/python" -W ignore - <<'EOF'
import torch
import torch.ao.quantization.fx._decomposed

scale = 0.5
x = (torch.arange(-3, 4) + 0.5) * scale  # exactly between two levels
scales, axis, ends = torch.tensor([scale]), 0, (-128, 127)
for zero in (2, 3):
    zeros = torch.tensor([zero])
    before = [
        torch.quantize_per_tensor(x, scale, zero, torch.qint8).int_repr(),
        torch.quantize_per_channel(x[None], scales, zeros, axis, torch.qint8).int_repr()[0],
    ]
    after = [
        torch.fake_quantize_per_tensor_affine(x, scale, zero, *ends) / scale + zero,
        torch.fake_quantize_per_channel_affine(x[None], scales, zeros.int(), axis, *ends)[0] / scale + zero,
        torch.ops.quantized_decomposed.quantize_per_tensor(x, scale, zero, *ends, torch.int8),
    ]
    one, two = before[0].tolist(), after[0].int().tolist()
    print(f"zero point {zero}: quantized {one}, fake quantized {two}")
    assert all(q.int().tolist() == one for q in before)
    assert all(q.int().tolist() == two for q in after)
    assert one == torch.round(x / scale + zero).int().tolist()
    assert two == (torch.round(x / scale) + zero).int().tolist()
    assert (one == two) == (zero % 2 == 0)
EOF
