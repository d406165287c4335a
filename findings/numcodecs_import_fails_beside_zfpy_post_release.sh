#!/bin/sh
# numcodecs 0.16.6, Python 3.11: with zfpy 1.0.1.post0 installed, the newest there is, `import numcodecs`
# raises ValueError (it reads every part of zfpy's version as a number), and `import zarr` with it, in
# programs that never use zfp. numcodecs asks for zfpy in its own extra. Fails if that changes.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q "numcodecs==0.16.6" "zarr==3.1.6" "numpy==2.4.6"
"$folder/venv/bin/python" -c "import numcodecs, zarr"
"$folder/venv/bin/pip" install -q "zfpy==1.0.1.post0"
for name in numcodecs zarr; do
    if "$folder/venv/bin/python" -c "import $name" 2>"$folder/error"; then exit 1; fi
    echo "import $name: $(tail -1 "$folder/error")"
    grep -q "invalid literal for int() with base 10: 'post0'" "$folder/error"
done
