#!/bin/sh
# tensorflow-cpu 2.21.0, Python 3.11, x86-64: tf.cast to uint8 and int8 saturates finite values, but an
# infinity becomes 0 and -128, the value at the other end or in the middle. The same function under
# jit_compile=True saturates it (255, 127), and gives 0 for the NaN that was -128. Fails if that changes.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q "tensorflow-cpu==2.21.0" "numpy==2.4.6"
TF_CPP_MIN_LOG_LEVEL=3 "$folder/venv/bin/python" - <<'EOF'
import numpy as np
import tensorflow as tf

values = [300.0, -300.0, np.inf, -np.inf, np.nan]
for kind, plain, xla in (
    (tf.uint8, [255, 0, 0, 0, 0], [255, 0, 255, 0, 0]),
    (tf.int8, [127, -128, -128, -128, -128], [127, -128, 127, -128, 0]),
):
    x = np.repeat(np.array(values, "f4")[:, None], 64, axis=1)
    functions = [tf.function(lambda x: tf.cast(x, kind), autograph=False, jit_compile=jit)
                 for jit in (False, True)]
    seen = [f(x).numpy() for f in functions]
    assert all((s == s[:, :1]).all() for s in seen)
    seen = [s[:, 0].tolist() for s in seen]
    print(kind.name, values, "plain", seen[0], "XLA", seen[1])
    assert seen == [plain, xla]
EOF
