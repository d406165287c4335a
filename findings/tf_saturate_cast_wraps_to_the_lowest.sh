#!/bin/sh
# tensorflow-cpu 2.21.0, Python 3.11, x86-64: tf.saturate_cast, "a safe saturating cast", of 1e20 or infinity
# to int64 gives -2**63, the lowest number there is, and to uint64 2**63. The same function under
# jit_compile=True gives the highest. For int32 it stops at 2147483520, which no document says, and from
# float16 any integer type of 16 bits or more gets infinity as at most 65504. Fails if that changes.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q "tensorflow-cpu==2.21.0" "numpy==2.4.6"
TF_CPP_MIN_LOG_LEVEL=3 "$folder/venv/bin/python" -W ignore - <<'EOF'
import numpy as np
import tensorflow as tf


def both(value, source, target):
    x = tf.constant([value], source)
    xla = tf.function(tf.saturate_cast, jit_compile=True, autograph=False)
    return int(tf.saturate_cast(x, target)[0]), int(xla(x, target)[0])


for source in (tf.float32, tf.float64, tf.bfloat16):
    for value in (1e20, np.inf):
        for target, eager in ((tf.int64, -(2**63)), (tf.uint64, 2**63)):
            seen = both(value, source, target)
            print(source.name, value, target.name, "eager, XLA:", *seen)
            assert seen == (eager, np.iinfo(target.as_numpy_dtype).max)
assert both(-1e20, tf.float32, tf.int64) == (-(2**63), -(2**63))
print("float32 inf int32:", *both(np.inf, tf.float32, tf.int32))
assert both(np.inf, tf.float32, tf.int32) == (2147483520, 2147483520)
for target in (tf.uint16, tf.int32, tf.int64):
    print("float16 inf", target.name, *both(np.inf, tf.float16, target))
    assert both(np.inf, tf.float16, target) == (65504, 65504)
EOF
