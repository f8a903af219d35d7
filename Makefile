# make demo     the shipped models, on a fresh machine with python3 and pip
# make test     the tests            make check    format, lint, types
# make docs     the pages in site/   make bench    the benchmarks
# make test-thorough                 all cells and combinations, and the tests that take long
PYTHON ?= python3
BIN := .venv/bin
# several processes of one thread each, of up to 3 GB: on few cores that is the fastest by far
CORES := $(shell getconf _NPROCESSORS_ONLN 2> /dev/null || echo 2)
TEST_WORKERS ?= $(shell echo $$(($(CORES) < 4 ? $(CORES) : 4)))
export OMP_NUM_THREADS ?= 1

.PHONY: help demo test test-thorough check format docs bench clean

help:
	@sed -n 's/^# //p' Makefile

# the package alone, then with what the tests or the pages need; made again when its lists change
.venv/core: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	touch $@

.venv/tasks: .venv/core
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[all]'
	touch $@

.venv/dev: .venv/core
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@

.venv/docs: .venv/core
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[docs]'
	touch $@

demo: .venv/tasks
	@$(BIN)/elman demo

test: .venv/dev
	$(BIN)/python -m pytest -q -n $(TEST_WORKERS) --dist worksteal

test-thorough: .venv/dev
	$(BIN)/python -m pytest -q -n $(TEST_WORKERS) --dist worksteal --thorough

check: .venv/dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: .venv/dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: .venv/docs
	$(BIN)/python docs/build.py
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	@echo "site/index.html"

bench: .venv/dev
	env -u OMP_NUM_THREADS $(BIN)/python benchmarks/engine.py

clean:
	rm -rf .venv site build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis src/*.egg-info
