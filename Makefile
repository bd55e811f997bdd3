# Everything one does with this repository. `make help` lists it; CI runs `make check` through .ci/run.
SHELL := /bin/bash
.DEFAULT_GOAL := help
BIN := .venv/bin
READY := .venv/.ready
PYTEST_FLAGS ?=
# test workers: many tests wait for a server or a clock; each worker has a Kafka broker of its own
WORKERS ?= 2
# where STREAMPROC_CI is set, a test that is skipped without a reason this machine gives fails the run
STRICT := $(if $(STREAMPROC_CI),--strict-skips)

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: setup
setup: $(READY) ## make .venv with streamproc and its tools (again only after pyproject.toml changed)

$(READY): pyproject.toml scripts/setup
	@scripts/setup

.PHONY: deps
deps: ## install the system packages that the tests need (Debian and Ubuntu, as root)
	@scripts/deps all

.PHONY: demo
demo: setup ## run the CCTV job on a sample clip, or on SOURCE= a file, camera index, folder or rtsp:// address
	@$(BIN)/streamproc demo $(if $(SOURCE),'$(SOURCE)')

.PHONY: test
test: ## set up all that the tests need and run them; WORKERS=2, PYTEST_FLAGS= for pytest
	@scripts/deps all --if-allowed
	@$(MAKE) --no-print-directory setup
	$(BIN)/python -m pytest --ignore=tests/packaging -n $(WORKERS) --dist loadfile $(STRICT) $(PYTEST_FLAGS)

.PHONY: packaging
packaging: setup ## build the wheel, install it into an empty environment, run the program; lint the docker files
	$(BIN)/python -m pytest tests/packaging $(STRICT) $(PYTEST_FLAGS)

.PHONY: format
format: setup ## format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix-only .

.PHONY: format-check
format-check: setup ## tell whether the code is formatted
	$(BIN)/ruff format --check .

.PHONY: lint
lint: setup ## ruff, and the limits on the size of functions and modules
	$(BIN)/ruff check .
	$(BIN)/python scripts/sizes.py streamproc plugins

.PHONY: types
types: setup ## mypy, strict, tests included
	$(BIN)/mypy

.PHONY: layers
layers: setup ## imports point one way
	$(BIN)/lint-imports

.PHONY: check
check: ## all that CI checks: format, lint, types, layers, tests, packaging
	@scripts/deps all --if-allowed
	@$(MAKE) --no-print-directory format-check lint types layers
	@$(MAKE) --no-print-directory test
	@$(MAKE) --no-print-directory packaging
	@echo "all checks passed"

.PHONY: bench
bench: setup ## benchmarks, as ratios to bare loops and peers run side by side
	$(BIN)/python -m benchmarks

.PHONY: pictures
pictures: setup ## make the pictures of the documentation anew (needs Chromium; trains a dozen small nets, so it takes a while)
	$(BIN)/python -m scripts.pictures

.PHONY: clean
clean: ## remove what setup, tests and runs left (.venv, caches, out/)
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache build dist out
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
