#!/bin/sh
# tensorflow-cpu 2.21.0, Python 3.11, x86-64: tf.image.convert_image_dtype multiplies by the largest integer
# in the type of its *input*. float16 to uint16 needs 65535.5, infinity there: with saturate=True, which
# its document says avoids such problems, every value but 0 becomes 65504, from 1e-4 on, and without it 0.
# float32 input gives what is documented, and so does float16 to uint8. Fails if that changes.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q "tensorflow-cpu==2.21.0" "numpy==2.4.6"
TF_CPP_MIN_LOG_LEVEL=3 "$folder/venv/bin/python" - <<'EOF'
import tensorflow as tf

values = [0.0, 1e-4, 0.25, 0.5, 0.75]  # "expected to have values in the range [0,1)"


def convert(source, target, saturate):
    x = tf.constant(values, source)
    seen = tf.image.convert_image_dtype(x, target, saturate=saturate).numpy().tolist()
    print(source.name, "to", target.name, "saturate" if saturate else "", seen)
    return seen


assert convert(tf.float32, tf.uint16, True) == [0, 6, 16383, 32767, 49151]
assert convert(tf.float16, tf.uint8, True) == [0, 0, 63, 127, 191]
assert convert(tf.float16, tf.uint16, True) == [0] + 4 * [65504]
assert convert(tf.float16, tf.uint16, False) == 5 * [0]
EOF
