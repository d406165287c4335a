#!/bin/sh
# ai-edge-litert 2.3.0, Python 3.11, on the .tflite of basic-pitch 0.4.0: get_tensor() of intermediate
# tensors after invoke() gives memory that later operators have overwritten, without a word, unless
# the interpreter was made with experimental_preserve_all_tensors=True. Fails if that changes.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q "ai-edge-litert==2.3.0" "numpy==2.4.6"
"$folder/venv/bin/pip" download -q --no-deps -d "$folder" "basic-pitch==0.4.0"
"$folder/venv/bin/python" - "$folder" <<'PY'
import sys
import zipfile
from pathlib import Path

import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType

(wheel,) = Path(sys.argv[1]).glob("*.whl")
model = zipfile.ZipFile(wheel).read("basic_pitch/saved_models/icassp_2022/nmp.tflite")
x = None
found = []
for keep in (True, False):
    interpreter = Interpreter(
        model_content=model,
        experimental_preserve_all_tensors=keep,
        experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    )
    interpreter.allocate_tensors()
    (entry,) = interpreter.get_input_details()
    if x is None:
        x = np.random.default_rng(0).normal(0, 0.1, entry["shape"]).astype("f4")
    interpreter.set_tensor(entry["index"], x)
    interpreter.invoke()
    values = {}
    for tensor in interpreter.get_tensor_details():
        try:
            values[tensor["index"]] = interpreter.get_tensor(tensor["index"])
        except ValueError:
            pass
    outputs = {entry["index"] for entry in interpreter.get_output_details()}
    found.append((values, outputs))
(kept, outputs), (plain, _) = found
common = [index for index in kept if index in plain]
stale = [i for i in common if not np.array_equal(kept[i], plain[i], equal_nan=True)]
print(f"{len(stale)} of {len(common)} readable tensors differ, outputs among them: "
      f"{sorted(outputs & set(stale))}")
assert len(stale) > 50 and not outputs & set(stale)
PY
