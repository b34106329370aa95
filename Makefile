# The two commands: `make run` and `make test`. Each does its own set-up in .venv.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: run test lint bench chaos shots clean

run: .venv/.run
	@$(BIN)/teal

test: lint
	$(BIN)/pytest -n 2 --dist loadgroup

lint: .venv/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: .venv/.test
	$(BIN)/python -m benchmarks

chaos: .venv/.test
	$(BIN)/python -m tests.chaos $(CHAOS)

shots: .venv/.test
	$(BIN)/python -m docs.shots

.venv/.venv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "tealdeck needs Python 3.11 or newer: make PYTHON=python3.12 …")'
	$(PYTHON) -m venv .venv
	@touch $@

.venv/.run: .venv/.venv pyproject.toml constraints.txt
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	@touch $@

.venv/.test: .venv/.venv pyproject.toml constraints.txt
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[test]"
	@touch $@ .venv/.run

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache dist build
