# Everything runs in .venv, made from locked versions with hashes. `make demo` is the whole of it on real customers.
PYTHON ?= python3
BIN := .venv/bin
LOCK := deploy/requirements-dev.txt
UV_LOCK := $(BIN)/uv pip compile --quiet --upgrade --generate-hashes --no-header --no-annotate --no-emit-index-url --python-version 3.11

.PHONY: help setup demo readme tables accuracy contract test test-slow test-sweep mutants lint lock bench clean
.DEFAULT_GOAL := demo
unexport PYTHONDONTWRITEBYTECODE # hundreds of processes find what the first has compiled

help: ## what each target does
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: .venv/.ready ## everything of the lock into .venv

.venv/.ready: $(LOCK) deploy/requirements-uv.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11) and "staycast needs CPython 3.11: make PYTHON=python3.11")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --no-deps --require-hashes --only-binary :all: -r deploy/requirements-uv.txt
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --require-hashes -r $(LOCK) || \
		$(BIN)/python -m pip install --quiet --no-deps --require-hashes --only-binary :all: -r $(LOCK)
	@printf '#!/bin/sh\nexec "%s/$(BIN)/python" "%s/staycast.py" "$$@"\n' "$(CURDIR)" "$(CURDIR)" > $(BIN)/staycast
	@chmod +x $(BIN)/staycast
	@touch $@

demo: setup ## the whole way on a real grocer: checks, features, models, scores, reports
	$(BIN)/staycast run --config completejourney

readme: demo ## README's figures, sample answer and picture, from the demo's run
	$(BIN)/python docs/readme.py

tables: setup ## the tables and columns in docs/own-data.md, from the code
	$(BIN)/python docs/tables.py

accuracy: setup ## the tables in docs/accuracy.md, from the results of bench/accuracy.py --page
	$(BIN)/python docs/accuracy.py

contract: setup ## the contract that may not be broken, from the code; at a release
	$(BIN)/python docs/contract.py

test: setup ## all tests but the slow ones; with ALL=1 those, too, in one run
	$(BIN)/python -m pytest $(if $(ALL),-m "not sweep")

test-slow: setup ## tests that take long, and those in other engines, stores and businesses
	$(BIN)/python -m pytest -m slow

test-sweep: setup ## what slow tests claim, at every other age and horizon, too: before a release
	$(BIN)/python -m pytest -m sweep

mutants: setup ## break one line at a time and see whether the tests notice
	$(BIN)/python tests/mutants/run.py

lint: setup ## style, types and the direction of imports
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

lock: ## resolve pyproject.toml anew into deploy/requirements-*.txt
	echo uv | $(UV_LOCK) - -o deploy/requirements-uv.txt
	$(UV_LOCK) --all-extras pyproject.toml -o $(LOCK)

bench: setup ## how long each stage takes
	$(BIN)/python bench/stages.py

clean: ## take away .venv, state and models
	rm -rf .venv state mlruns/mlflow.db mlruns/artifacts
