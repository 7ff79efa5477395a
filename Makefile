# Needs Python 3.11 or newer, make and pip; nothing else.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin

.PHONY: quickstart test lint types docs package check install clean

install: $(VENV)/installed

$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt torch
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[openai,anthropic,train,dev]"
	touch $@

quickstart: install
	$(BIN)/selfinstruct run pipelines/quickstart.yaml

test: install
	$(BIN)/pytest

lint: install
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: install
	$(BIN)/mypy

docs: install
	$(BIN)/python -m selfinstruct.reference | diff docs/steps.md -

# the wheel alone, without extras, in an empty environment: init, run, show
package: install
	rm -rf build/wheel && mkdir -p build/wheel
	$(BIN)/pip wheel --quiet --disable-pip-version-check --no-deps -w build/wheel .
	$(PYTHON) -m venv build/wheel/venv
	build/wheel/venv/bin/pip install --quiet --disable-pip-version-check -c constraints.txt build/wheel/*.whl
	cd build/wheel && venv/bin/selfinstruct init made && venv/bin/selfinstruct run made/pipeline.yaml --out made/run
	build/wheel/venv/bin/selfinstruct show build/wheel/made/run > /dev/null

check: lint types docs test

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache
