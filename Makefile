# The two commands: `make run` and `make test`. Each does its own set-up in .venv.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: run test pytest lint bench chaos drills shots clean

run: .venv/.run
	@$(BIN)/teal

test: lint pytest

# Most tests wait for a server or a clock: two cores are a third busy with two workers. Where Python may not keep what it
# has compiled, each of some thousand commands takes twice as long to start, and each worker compiles all tests.
pytest: export PYTHONDONTWRITEBYTECODE :=
pytest: .venv/.test
	$(BIN)/pytest -n 4 --dist loadgroup --durations 20 --durations-min 10

lint: .venv/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# The budgets; or start-up beside that of a commit before: make bench BENCH="--base main~20"
bench: .venv/.test
	$(BIN)/python -m benchmarks $(BENCH)

# Plays 1,000 rounds on each switch, side by side: kills, two journals, broken ones, orphaned commands, hangs, dead
# sides, edits by hand. 200 rounds each: make chaos CHAOS="--rounds 200"; round 17 of seed 3 again:
# make chaos CHAOS="--switch nginx --seed 3 --first 17 --rounds 1"
chaos: .venv/.test
	$(BIN)/python -m tests.chaos $(CHAOS)

# Plays docs/drills.md on a sandbox of its own, with exactly those keys at 80×24: how many keys, how many seconds.
drills: .venv/.test
	$(BIN)/python -m tests.terminal.drills

# Draws every screen anew, at two sizes and in each theme (docs/screens): whoever changes a screen commits them.
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
