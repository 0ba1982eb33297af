# `make demo` and `make test` need python3.11, make and git; they set up everything else in .venv.

PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: demo test bench lint lock setup clean

demo: setup  ## all set-up, then the main job on a simulated basin
	$(BIN)/ssc demo --out demo

test: setup  ## all set-up, then the tests
	$(BIN)/pytest -n 2 --dist loadfile

bench: setup  ## ratios measured in one run; figures go to build/bench*.json
	$(BIN)/python -m tests.bench --out build/bench.json
	$(BIN)/python -m tests.bench_masker --out build/bench_masker.json
	$(BIN)/python -m tests.bench_published | tee build/bench_published.jsonl

lint: setup  ## style, types, import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

lock: setup  ## compile the pins anew: versions and hashes, no locations
	$(BIN)/uv pip compile pyproject.toml --extra dev --python-version 3.11 --generate-hashes \
		--no-emit-index-url --no-header --quiet --output-file requirements.lock

setup: $(READY)

# uv comes in by pip; everything else comes by that uv, from the lock. SSC_TORCH=cpu skips the CUDA libraries (README).
$(READY): requirements.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
ifeq ($(SSC_TORCH),cpu)
	$(BIN)/uv pip install --quiet --python $(BIN)/python --torch-backend=cpu --editable '.[dev]'
else
	$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes --requirement requirements.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --editable .
endif
	touch $@

clean:
	rm -rf build demo .pytest_cache .mypy_cache .ruff_cache
