# Every target makes its own .venv when there is none; stamps keep a second run from installing again.
PYTHON ?= python3
BIN := .venv/bin
PRESET ?= quick

.PHONY: sweep test check bench format clean

sweep: .venv/.run
	$(BIN)/bptt sweep $(PRESET) --resume

# A test that starts a Ray has the machine to itself.
test: .venv/.test
	$(BIN)/pytest -m "not ray" --numprocesses auto --dist loadfile
	$(BIN)/pytest -m ray

check: .venv/.check
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/pytest -q tests/test_layers.py

bench: .venv/.bench
	for script in tests/benchmarks/bench_*.py; do \
		echo "$$script"; $(BIN)/python $$script || failed=1; \
	done; exit $${failed:-0}

format: .venv/.check
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf .venv build *.egg-info .mypy_cache .pytest_cache .ruff_cache

.venv/.made:
	$(PYTHON) -m venv .venv
	touch $@

.venv/.run: .venv/.made pyproject.toml constraints.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable .
	touch $@

.venv/.test: .venv/.run
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable .[test]
	touch $@

.venv/.bench: .venv/.test
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable .[test,bench]
	touch $@

.venv/.check: .venv/.test
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable .[test,check]
	touch $@
