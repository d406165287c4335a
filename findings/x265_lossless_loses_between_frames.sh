#!/bin/sh
# x265 3.5+1 with ffmpeg 7.0.2 (both in imageio-ffmpeg 0.6.0), x86-64: lossless=1 is not lossless where
# frames are predicted from others: decoding gives other pixels than went in, in grey and in 4:2:0,
# without a warning, though x265's own reconstruction is right. With keyint=1 all pixels come back.
# Fails if that changes. (libde265 1.0.11 decodes the same wrong pixels as ffmpeg.)
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q "imageio-ffmpeg==0.6.0" "numpy==2.4.6"
"$folder/venv/bin/python" - "$folder/x.hevc" <<'EOF'
import subprocess
import sys

import imageio_ffmpeg
import numpy as np

ffmpeg = imageio_ffmpeg.get_ffmpeg_exe()
rng = np.random.default_rng(0)


def wrong(frames, pixels, options):
    raw = ["-f", "rawvideo", "-pix_fmt", pixels]
    encode = [ffmpeg, "-v", "error", "-y", *raw, "-s", "64x64", "-i", "-", "-c:v", "libx265"]
    encode += ["-x265-params", "log-level=0:lossless=1" + options, sys.argv[1]]
    subprocess.run(encode, input=frames.tobytes(), check=True)
    decode = [ffmpeg, "-v", "error", "-i", sys.argv[1], *raw, "-"]
    out = np.frombuffer(subprocess.run(decode, capture_output=True, check=True).stdout, "u1")
    return int((out.reshape(frames.shape) != frames).sum())


for pixels, size in (("gray", 64 * 64), ("yuv420p", 64 * 96)):
    frames = rng.integers(0, 256, (8, size), dtype="u1")
    inter, intra = wrong(frames, pixels, ""), wrong(frames, pixels, ":keyint=1")
    print(f"{pixels}: wrong pixels of {frames.size}: {inter}, with keyint=1 {intra}")
    assert inter > 0 and intra == 0
EOF
