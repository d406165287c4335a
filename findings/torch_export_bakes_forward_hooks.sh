#!/bin/sh
# torch 2.13.0, CPU, Python 3.11: a forward hook that is on a layer during torch.export becomes part
# of the exported graph, strict or not, and stays there when the hook is removed; strict export does
# not call it once for real. Hooks put on the submodules of the exported module never fire. Fails if
# that changes.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q "torch==2.13.0" "numpy<3"
"$folder/venv/bin/python" - <<'EOF'
import torch

model = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.ReLU(), torch.nn.Linear(4, 2)).eval()
x = torch.randn(3, 4)
with torch.no_grad():
    plain = model(x)
    for strict in (False, True):
        handle = model[1].register_forward_hook(lambda module, inputs, output: output * 2)
        hooked = model(x)
        program = torch.export.export(model, (x,), strict=strict)
        handle.remove()
        exported = program.module()(x)
        kind = "strict" if strict else "non-strict"
        print(kind, "follows the removed hook:", torch.equal(exported, hooked))
        assert torch.equal(model(x), plain)
        assert torch.allclose(exported, hooked) and not torch.allclose(exported, plain)
    module = torch.export.export(model, (x,)).module()
    fired = []
    for name, part in module.named_modules():
        part.register_forward_hook(lambda *_, name=name: fired.append(name))
    module(x)
    print("modules:", [name for name, _ in module.named_modules()], "fired:", fired)
    assert "0" not in fired and "2" not in fired
EOF
