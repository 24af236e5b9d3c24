# SparkPlug: `make run` opens the control centre on a demo mesh, `make test` runs every test.
SHELL := /bin/sh
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
INPUTS := pyproject.toml requirements.lock
# So that the first start is as quick as the second, also where Python may write no bytecode.
COMPILE := $(BIN)/python -m compileall -q sparkplug

.PHONY: run test check format snapshots bench chaos lock wheel clean

run: $(VENV)/.run-ready
	@$(BIN)/sparkplug demo

test: $(VENV)/.test-ready
	@command -v cc >/dev/null || { echo "make test needs a C compiler for the fake GPU driver: apt-get install gcc libc6-dev" >&2; exit 2; }
	$(COMPILE)
	$(BIN)/python -m pytest $(PYTEST_ARGS)

check: $(VENV)/.test-ready
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.test-ready
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# Accepts the screen as it is: look at what `git diff tests/tui/snapshots` says before you commit.
snapshots: $(VENV)/.test-ready
	SNAPSHOTS=accept $(BIN)/python -m pytest -n0 -q tests/tui/test_snapshots.py \
		tests/tui/test_memory_pictures.py

bench: $(VENV)/.test-ready
	$(COMPILE)
	$(BIN)/python -m tests.bench

# Fault injection: make chaos SEED=7 MINUTES=5, then CASES=200 runs in which something is killed;
# ADDS=10000 kills the memory 20 times, each in the middle of so many adds, and nothing else.
SEED ?= 1
MINUTES ?= 2
CASES ?= 200
ADDS ?= 0
chaos: $(VENV)/.test-ready
	$(BIN)/python -m tests.chaos --seed $(SEED) --minutes $(MINUTES) --cases $(CASES) --adds $(ADDS)

wheel: $(VENV)/.test-ready
	$(PIP) wheel --no-deps --no-build-isolation -w dist .

# Resolves every extra together, so what each installs alone agrees with the rest.
lock:
	uv pip compile --universal --python-version 3.11 --all-extras --no-emit-index-url --no-header pyproject.toml -o requirements.lock

clean:
	rm -rf $(VENV) dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "SparkPlug needs Python 3.11 or newer; set PYTHON=" >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.run-ready: $(BIN)/python $(INPUTS)
	@echo "installing SparkPlug into $(VENV) (once)" >&2
	$(PIP) install --quiet --constraint requirements.lock --editable '.[server,graph,memory,llm]'
	$(COMPILE)
	@touch $@

$(VENV)/.test-ready: $(BIN)/python $(INPUTS)
	@echo "installing SparkPlug and what its tests need into $(VENV) (once)" >&2
	$(PIP) install --quiet --constraint requirements.lock --editable '.[server,graph,llm,memory,crew,chain,local,dev]'
	$(COMPILE)
	@touch $@ $(VENV)/.run-ready
