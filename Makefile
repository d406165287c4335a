# make help lists the targets. Everything is built below build/ and .venv/.

PYTHON ?= python3
VENV ?= .venv
FRAMEWORKS ?= .venv-frameworks
CC ?= cc
CLANG ?= clang
CFLAGS ?= -O3 -g
FUZZ_SECONDS ?= 20
ARM_CC ?= aarch64-linux-gnu-gcc
ARM_RUN ?= qemu-aarch64-static

PY := $(VENV)/bin/python
CORE := $(filter-out csrc/pyext/%,$(wildcard csrc/*/*.c csrc/*/*/*.c))
HEADERS := $(wildcard csrc/*/*.h csrc/*/*/*.h)
C_TESTS := $(patsubst tests/c/%.c,%,$(wildcard tests/c/*.c))
FUZZERS := $(patsubst tests/fuzz/%.c,%,$(wildcard tests/fuzz/fuzz_*.c))
STRICT := -std=c11 -Wall -Wextra -Wpedantic -Werror -ffp-contract=off -Icsrc -Icsrc/include
AVX512 := -isystem tests/avx512 '-DLWFC_TARGET(isa)=' -mavx2 -mbmi2 -mfma -mf16c -mpopcnt -O2 -g \
          '-D__builtin_cpu_supports(x)=1'
SANITIZE := -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer

.PHONY: help build demo docs test test-c test-avx512 test-avx512-run test-arm \
        test-arm-run test-python test-frameworks asan fuzz layers bench evaluate evaluate-quick golden lint clean
.SUFFIXES:

help: ## this list
	@awk -F':.*## ' '/^[a-z-]+:.*## / {printf "%-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(VENV)/stamp: pyproject.toml setup.py constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(PY) -m pip install -q --upgrade pip
	$(PY) -m pip install -q -c constraints.txt 'setuptools>=77' wheel numpy
	$(PY) -m pip install -q -c constraints.txt --no-build-isolation -e '.[demo,dev,cli,viz]'
	touch $@

build: $(VENV)/stamp ## the extension, in place, in .venv
	$(PY) setup.py -q build_ext --inplace

demo: build ## the main job on real networks and data: table and plot
	$(VENV)/bin/lwfc demo --plot build/demo.png

test: layers test-c test-avx512 asan test-python fuzz test-frameworks docs ## everything that must be green

test-python: build ## the Python tests
	$(PY) -m pytest -n auto tests/python

# The frameworks bring several gigabytes, so their tests have an environment of their own; they
# use the extension that `build` has put in place.
$(FRAMEWORKS)/stamp: tests/frameworks/requirements.txt benchmarks/evaluation_files.txt
	$(PYTHON) -m venv $(FRAMEWORKS)
	$(FRAMEWORKS)/bin/python -m pip install -q --upgrade pip
	$(FRAMEWORKS)/bin/python -m pip install -q -r tests/frameworks/requirements.txt
	$(FRAMEWORKS)/bin/python -m pip install -q --no-deps -r benchmarks/evaluation_files.txt
	touch $@

test-frameworks: build $(FRAMEWORKS)/stamp ## Keras on three back-ends, TensorFlow, JAX, ONNX, LiteRT, stores, clusters
	export PYTHONPATH=$(CURDIR)/python TF_CPP_MIN_LOG_LEVEL=3; \
	for backend in tensorflow jax torch; do KERAS_BACKEND=$$backend \
	    $(FRAMEWORKS)/bin/python -m pytest tests/frameworks/test_keras.py || exit 1; done; \
	$(FRAMEWORKS)/bin/python -m pytest tests/frameworks --ignore tests/frameworks/test_keras.py

# Notebooks run in the frameworks' environment, which has all they import.
docs: build $(FRAMEWORKS)/stamp ## the documentation, notebooks run, warnings are errors
	PYTHONPATH=$(CURDIR)/python TF_CPP_MIN_LOG_LEVEL=3 \
	    $(FRAMEWORKS)/bin/python -m sphinx -q -W --keep-going -b html docs build/docs

layers: ## who may include whom, as greps
	$(PYTHON) tests/check_layers.py

# The core as plain objects: no configure step, one compiler line each.
build/c/%.o: %.c $(HEADERS)
	@mkdir -p $(@D)
	@echo CC $<
	@$(CC) $(STRICT) $(CFLAGS) -c $< -o $@

build/asan/%.o: %.c $(HEADERS)
	@mkdir -p $(@D)
	@echo CC asan $<
	@$(CC) $(STRICT) $(SANITIZE) -c $< -o $@

build/avx512/%.o: %.c $(HEADERS) tests/avx512/immintrin.h
	@mkdir -p $(@D)
	@echo CC avx512 $<
	@$(CC) $(STRICT) $(AVX512) -c $< -o $@

build/arm/%.o: %.c $(HEADERS)
	@mkdir -p $(@D)
	@echo CC arm $<
	@$(ARM_CC) $(STRICT) $(CFLAGS) -c $< -o $@

build/c/liblwfc.a: $(CORE:%.c=build/c/%.o)
	@$(AR) rcs $@ $^

build/asan/liblwfc.a: $(CORE:%.c=build/asan/%.o)
	@$(AR) rcs $@ $^

build/avx512/liblwfc.a: $(CORE:%.c=build/avx512/%.o)
	@$(AR) rcs $@ $^

build/arm/liblwfc.a: $(CORE:%.c=build/arm/%.o)
	@$(AR) rcs $@ $^

build/c/tests/%: tests/c/%.c build/c/liblwfc.a
	@mkdir -p $(@D)
	@$(CC) $(STRICT) $(CFLAGS) $< build/c/liblwfc.a -lm -lpthread -o $@

build/asan/tests/%: tests/c/%.c build/asan/liblwfc.a
	@mkdir -p $(@D)
	@$(CC) $(STRICT) $(SANITIZE) $< build/asan/liblwfc.a -lm -lpthread -o $@

build/avx512/tests/%: tests/c/%.c build/avx512/liblwfc.a
	@mkdir -p $(@D)
	@$(CC) $(STRICT) $(AVX512) $< build/avx512/liblwfc.a -lm -lpthread -o $@

build/arm/tests/%: tests/c/%.c build/arm/liblwfc.a
	@mkdir -p $(@D)
	@$(ARM_CC) $(STRICT) $(CFLAGS) -static $< build/arm/liblwfc.a -lm -lpthread -o $@

test-c: $(C_TESTS:%=build/c/tests/%) ## the C tests, at every SIMD level
	@for t in $^; do for cpu in scalar avx2 native; do \
	    LWFC_CPU=$$cpu; test $$cpu = native && unset LWFC_CPU || export LWFC_CPU; \
	    echo "$$t $$cpu"; $$t || exit 1; done; done

test-avx512: ## the C tests with AVX-512 emulated, on x86-64 with AVX2
	@if test "$$(uname -m)" = x86_64; then $(MAKE) --no-print-directory test-avx512-run; fi

test-avx512-run: $(C_TESTS:%=build/avx512/tests/%) build/c/tests/test_hashes
	@for t in $(C_TESTS:%=build/avx512/tests/%); do echo $$t; $$t >build/avx512/last.txt || exit 1; done
	@build/c/tests/test_hashes >build/c/hashes.txt
	@build/avx512/tests/test_hashes >build/avx512/hashes.txt
	@cmp build/c/hashes.txt build/avx512/hashes.txt

test-arm: ## the C tests cross-compiled for AArch64, under qemu
	@if command -v $(ARM_CC) >/dev/null && command -v $(ARM_RUN) >/dev/null; then \
	    $(MAKE) --no-print-directory test-arm-run; \
	else \
	    echo "test-arm: skipped, $(ARM_CC) or $(ARM_RUN) is missing"; \
	fi

# Last, the same streams from this machine and from AArch64.
test-arm-run: $(C_TESTS:%=build/arm/tests/%) build/c/tests/test_hashes
	@for t in $(C_TESTS:%=build/arm/tests/%); do for cpu in scalar native; do \
	    LWFC_CPU=$$cpu; test $$cpu = native && unset LWFC_CPU || export LWFC_CPU; \
	    echo "$$t $$cpu"; $(ARM_RUN) $$t || exit 1; done; done
	@build/c/tests/test_hashes >build/c/hashes.txt
	@$(ARM_RUN) build/arm/tests/test_hashes >build/arm/hashes.txt
	@cmp build/c/hashes.txt build/arm/hashes.txt
	@echo "streams are equal on this machine and on AArch64"

asan: $(C_TESTS:%=build/asan/tests/%) ## the C tests under ASan and UBSan
	@for t in $^; do echo $$t; $$t || exit 1; done

# libFuzzer where clang has it, else the same target behind a small mutator.
fuzz: ## FUZZ_SECONDS of each fuzz target
	CLANG="$(CLANG)" CC="$(CC)" sh tests/fuzz/run.sh "$(FUZZ_SECONDS)" $(FUZZERS)

bench: build ## all benchmarks; writes build/bench/*.json
	$(PY) -m pip install -q -c constraints.txt --no-build-isolation -e '.[bench]'
	$(PY) benchmarks/run.py

evaluate: build ## every codec and rival on every network: page, plot, tables in build/evaluation
	$(PY) -m pip install -q -c constraints.txt --no-build-isolation -e '.[demo,bench,eval]'
	$(PY) -m pip install -q -r benchmarks/evaluation.txt
	$(PY) -m pip install -q --no-deps -r benchmarks/evaluation_files.txt
	$(PY) benchmarks/evaluate.py

evaluate-quick: build ## bits and losses of every profile against the committed figures
	$(PY) benchmarks/guard.py

golden: build ## add golden files for new stream features; never overwrites
	$(PY) tests/golden/make.py

lint: $(VENV)/stamp ## ruff
	$(VENV)/bin/ruff check python tests benchmarks setup.py

clean: ## remove all that make built
	rm -rf build python/lwfc/_core*.so python/*.egg-info
