# Two commands for a newcomer, each doing its own set-up: `make demo` and `make test`.

PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

.PHONY: demo test test-long check format judge bench samples picture catalogue clean

demo: .venv/.installed
	$(BIN)/seqtui open sample_models/lenet5.safetensors

test: check .venv-bare/.installed
	$(BIN)/pytest -n 3 --dist worksteal -m "not long"

test-long: .venv/.installed-dev
	$(BIN)/pytest -n 3 -m long

check: .venv/.installed-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

format: .venv/.installed-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Every kind with a rule, its draws, and what torch says of them.
judge: .venv/.installed-dev
	cd tests && ../$(BIN)/python -m judge

bench: .venv/.installed
	$(PIP) -e '.[bench]'
	$(BIN)/python benchmarks/run.py

samples: .venv/.installed-dev
	$(BIN)/python sample_models/make.py

picture: .venv/.installed
	$(BIN)/python sample_models/picture.py

catalogue: .venv/.installed
	$(BIN)/python -m seqtui.engine.catalogue

clean:
	rm -rf .venv .venv-bare

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "seqtui needs Python 3.11 or newer: make PYTHON=/path/to/python3.11 ..."; exit 1; }
	$(PYTHON) -m venv .venv

.venv/.installed: .venv/bin/python pyproject.toml constraints.txt
	$(PIP) -e .
	touch $@

.venv/.installed-dev: .venv/.installed
	$(PIP) -e '.[dev]'
	touch $@

# The same program where torch is not installed: a test opens models with it.
.venv-bare/.installed: .venv/.installed pyproject.toml
	$(PYTHON) -m venv .venv-bare
	.venv-bare/bin/python -m pip install --quiet --disable-pip-version-check numpy platformdirs rich safetensors textual
	.venv-bare/bin/python -m pip install --quiet --disable-pip-version-check --no-deps -e .
	touch $@
