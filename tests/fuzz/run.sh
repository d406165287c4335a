#!/bin/sh
# run.sh SECONDS TARGET... : builds each fuzz target and runs it that long.
set -eu
seconds=$1
shift
core=$(ls csrc/*/*.c csrc/*/*/*.c | grep -v '^csrc/pyext/')
flags="-std=c11 -O1 -g -ffp-contract=off -Icsrc -Icsrc/include"
sanitize="-fsanitize=address,undefined -fno-sanitize-recover=all"
mkdir -p build/fuzz
libfuzzer=no
if command -v "$CLANG" >/dev/null &&
    echo 'int LLVMFuzzerTestOneInput(const unsigned char *d, unsigned long n) { return (void)d, (void)n, 0; }' |
    "$CLANG" -x c - -fsanitize=fuzzer,address,undefined -o build/fuzz/probe 2>/dev/null; then
    libfuzzer=yes
fi
for target in "$@"; do
    echo "fuzz: $target, libFuzzer $libfuzzer"
    mkdir -p "build/fuzz/$target.corpus"
    if [ $libfuzzer = yes ]; then
        # shellcheck disable=SC2086
        "$CLANG" $flags $sanitize -fsanitize=fuzzer "tests/fuzz/$target.c" $core -lm -lpthread -o "build/fuzz/$target"
        if ! "build/fuzz/$target" -max_total_time="$seconds" -max_len=4096 -timeout=20 \
            -print_final_stats=1 -artifact_prefix=build/fuzz/ \
            "build/fuzz/$target.corpus" tests/golden/v1 >"build/fuzz/$target.log" 2>&1; then
            tail -40 "build/fuzz/$target.log"
            exit 1
        fi
        grep number_of_executed_units "build/fuzz/$target.log"
    else
        # shellcheck disable=SC2086
        "$CC" $flags $sanitize "tests/fuzz/$target.c" tests/fuzz/mutate.c $core -lm -lpthread -o "build/fuzz/$target"
        "build/fuzz/$target" "$seconds" tests/golden/v1/*
    fi
done
exit 0
