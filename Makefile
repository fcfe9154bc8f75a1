# make run     set up and start a broker on 127.0.0.1:9092, data under ./pybroker-data
# make test    set up and run the tests with the linters, types, contracts and fences
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: setup run test lint types quick interop bench docs clean

setup: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml pybroker/version.py
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --editable '.[dev]'
	touch $@

run: setup
	$(BIN)/pybroker start --data-dir ./pybroker-data

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

types: setup
	$(BIN)/mypy

test: lint types
	$(BIN)/python -m pytest -n 2

# Only what needs no other process: seconds, for the inner loop.
quick: setup
	$(BIN)/python -m pytest tests/unit tests/wire tests/properties tests/tidy

# Fetches the reference broker and the clients of other languages that the interop tests use.
interop: setup
	$(BIN)/python -m tools.interop fetch

bench: setup interop
	$(BIN)/python -m bench

docs: setup
	$(BIN)/python -m tools.generate_docs

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
