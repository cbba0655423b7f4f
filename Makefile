# The commands of this repository. `make` lists them.
SHELL := /bin/bash
.DEFAULT_GOAL := help

# The newest installed Python, 3.11 or later. To choose another: make PYTHON=python3.12 test
PYTHON ?= $(shell for p in python3.14 python3.13 python3.12 python3.11 python3; do \
  $$p -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
BIN := .venv/bin
# The lock files list every package. Without --no-deps, pip before 23.3 looks for the newest release of a package that
# another needs with an extra, and fails when that release is not the pinned one.
PIP_INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check
# Some machines set this variable. Then every process that a test or the demo starts would compile all modules again.
unexport PYTHONDONTWRITEBYTECODE
# Two processes run the tests, and each file runs in one of them: its tests share the servers that the file starts.
PYTEST := $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder
# These tests alone run every branch of the rules. Measuring that in all tests would take twice their time.
RULES := tests/domain tests/settings/test_policy_test_file.py

.PHONY: help install demo test check coverage load lint types bench reference lock audit release clean

help: ## List the commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

.venv/installed: requirements.txt requirements-build.txt pyproject.toml
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer, with venv, is needed (Debian: apt-get install python3 python3-venv)"; exit 1; }
	@echo "1/3 Creating .venv with $(PYTHON) …"
	@$(PYTHON) -m venv .venv
	@echo "2/3 Installing the $$(grep -chE '^[a-z].*==' requirements.txt) packages of requirements.txt, and what builds the service …"
	@$(PIP_INSTALL) --no-deps --require-hashes -r requirements.txt -r requirements-build.txt
	@echo "3/3 Installing the service itself …"
	@$(PIP_INSTALL) --no-deps --no-build-isolation -e .
	@echo "Done: .venv/bin/paywall --help. Completion for your shell: .venv/bin/paywall completion bash"
	@touch $@

.venv/testing: requirements-test.txt .venv/installed
	@echo "Installing what the tests need …"
	@$(PIP_INSTALL) --no-deps --require-hashes -r requirements-test.txt
	@touch $@

.venv/developing: requirements-dev.txt .venv/installed
	@echo "Installing ruff, mypy and what else the check needs …"
	@$(PIP_INSTALL) --no-deps --require-hashes -r requirements-dev.txt
	$(BIN)/python -m pip --disable-pip-version-check check
	@touch $@ .venv/testing

install: .venv/installed ## Build .venv from the pinned requirements

demo: .venv/installed ## Run the demo: a newspaper, the service and a Stripe look-alike
	@$(BIN)/paywall demo

test: .venv/testing ## Run the quick tests
	HYPOTHESIS_PROFILE=quick $(PYTEST) -m "not full and not load"

check: .venv/developing lint types ## Run everything that CI runs: lint, types, all tests
	HYPOTHESIS_PROFILE=quick $(PYTEST) -m "not load" $(RULES) --cov=service/domain --cov-branch --cov-fail-under=100 --cov-report=term-missing:skip-covered
	HYPOTHESIS_PROFILE=full $(PYTEST) -m "not load"

coverage: .venv/developing ## Measure which code the quick tests run
	HYPOTHESIS_PROFILE=quick $(PYTEST) -m "not full and not load" --cov --cov-report=term-missing:skip-covered

load: .venv/testing ## Run the tests with limits of milliseconds, on an otherwise idle machine
	$(PYTEST) -n 0 -m load

lint: .venv/developing ## Run ruff: rules and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: .venv/developing ## Run mypy in strict mode
	$(BIN)/mypy

bench: .venv/testing ## Measure access checks, an outage and the staff page (needs wrk; five minutes)
	$(BIN)/python -m bench
	$(BIN)/python -m bench.outage
	$(BIN)/python -m bench.admin 100000 1000000 100000

reference: .venv/testing ## Write the pages of docs/reference that come from the code
	$(BIN)/python -m tests.docs.reference_pages > /dev/null

lock: ## Update the pinned requirements (needs uv)
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url $(UPGRADE) --group build -o requirements-build.txt
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url $(UPGRADE) pyproject.toml -o requirements.txt
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url $(UPGRADE) --extra traces pyproject.toml -o requirements-traces.txt
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url $(UPGRADE) --extra test pyproject.toml -o requirements-test.txt
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url $(UPGRADE) --extra dev pyproject.toml -o requirements-dev.txt

audit: ## Check the pinned requirements for known vulnerabilities (needs uv and a network)
	uv tool run pip-audit@2.10.1 --strict --require-hashes --disable-pip -r requirements-dev.txt

release: .venv/developing ## Build wheel, source distribution, SBOM and checksums of the last commit into dist
	$(BIN)/python -m release

clean: ## Remove build files, but no data
	rm -rf .venv build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis test-output
