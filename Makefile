# Needs Python 3.11 or later, make and a C library. Everything else is installed into .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
CONSUMERS ?= 2
TESTS ?= tests

.PHONY: help run install test check format clean

help: ## this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 12

run: install ## the whole service on this machine; Ctrl-C stops it
	@$(BIN)/python -m cli run --scale consumers=$(CONSUMERS)

install: $(VENV)/.installed ## .venv with everything in it; quick when nothing changed

$(VENV)/.installed: requirements.txt constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt -c constraints.txt
	@touch $@

test: install ## all tests, on a real server
	$(BIN)/python -m pytest -n auto $(TESTS)

check: install ## formatting, lint, types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: install ## writes the formatting and the safe fixes that check asks for
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean: ## removes what can be made again; data/ and logs/ stay
	rm -rf $(VENV) .mypy_cache .ruff_cache
