# make train   install if needed, then train the default: a small network on drawn shapes
# make setup   only install, into .venv
# make test    all tests; make test-fast leaves out those that train for minutes
# make torture the long forms of docs/reliability.md: kills, full disks, signals, memory; an hour on two cores
# make bench   speed against torchvision's reference loop, into benchmarks/RESULTS.md; under half an hour, alone on the machine
# make versions  the oldest and newest versions of what is used, each in an environment of its own; needs uv, hours
# make check   lint, format and types

PYTHON ?= python3
BIN := .venv/bin
ARGS ?=

.PHONY: setup train test test-fast torture bench versions check format clean

setup: .venv/.installed

.venv/.installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; (3, 11) <= sys.version_info < (3, 14) or sys.exit("Python 3.11 to 3.13 is needed: set PYTHON=python3.11")'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev,postgresql,joblib,submitit,samplers,timm,wandb,mlflow,export]'
	touch $@

train: setup
	$(BIN)/python -m maskrcnn_exp train $(ARGS)

# The fast tests share the cores; the slow ones train with all of them, one after the other.
test: test-fast
	$(BIN)/python -m pytest -m slow $(ARGS)

test-fast: setup
	$(BIN)/python -m pytest -m 'not slow and not torture' --numprocesses auto $(ARGS)

torture: setup
	$(BIN)/python -m pytest -m torture -s $(ARGS)

bench: setup
	$(BIN)/python -m benchmarks.bench --write

versions: setup
	$(BIN)/python -m benchmarks.versions $(ARGS)

check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf .venv build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
