#!/bin/sh
# libjxl 0.11.2 in imagecodecs 2026.3.6, Python 3.11: JPEG XL in its lossless mode takes float16 images
# and does not give all of them back. Of the halves below the smallest normal number, those from
# 2**-15 up lose their leading bit: bits 0x200 + n come back as 2n, 3.05e-05 as 0. NaN comes back as
# infinity. The same values in float32 images come back to the bit, NaN too. Fails if that changes.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q "imagecodecs==2026.3.6" "numpy==2.4.6"
"$folder/venv/bin/python" - <<'EOF'
import imagecodecs
import numpy as np


def there_and_back(x):
    return imagecodecs.jpegxl_decode(imagecodecs.jpegxl_encode(x, lossless=True))


print("libjxl", imagecodecs.jpegxl_version())
bits = np.resize(np.arange(1024, dtype=np.uint16), (32, 32))
half = bits.view(np.float16)  # 0 and every positive subnormal
back = there_and_back(half).view(np.uint16)
upper = bits >= 0x200
assert np.array_equal(back[~upper], bits[~upper])
assert np.array_equal(back[upper], 2 * (bits[upper] - 0x200))
print(f"float16: {upper.sum()} of {bits.size} subnormals changed, {half[16, 0]:.3e} came back as",
      back.view(np.float16)[16, 0])

single = half.astype(np.float32)
assert np.array_equal(there_and_back(single), single)

broken = np.tile(np.float16([np.nan, 1, 2, 3]), (8, 2))
assert np.isposinf(there_and_back(broken)[:, ::4]).all()
assert np.isnan(there_and_back(broken.astype(np.float32))[:, ::4]).all()
print("float16: NaN came back as", there_and_back(broken)[0, 0])
EOF
