# Everything a developer runs, by name. Each target makes its own environment first.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed

# A named file or test is run in this process; the whole suite on all cores.
WORKERS ?= $(if $(strip $(ARGS)),0,auto)
WATCH   := $(findstring --watch,$(ARGS))
PICKED  := $(strip $(subst --watch,,$(ARGS)))

.DEFAULT_GOAL := help
.PHONY: help setup demo test check format bench faults dev clean

help: ## Show this list
	@awk 'BEGIN { FS = ":.*## " } /^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo
	@echo "  PYTHON=python3.12 picks the interpreter for a new $(VENV); uv is used when it is installed."

setup: $(STAMP) ## Make .venv with the package, its extras, the tests and the linters
	@echo "$(VENV) is ready."

$(STAMP): pyproject.toml constraints.txt tools/setup.sh
	@PYTHON="$(PYTHON)" VENV="$(VENV)" sh tools/setup.sh
	@touch $@

demo: $(STAMP) ## Run jobs through every part of the system and explain them (SERVE=1: keep the HTTP service up)
	@$(BIN)/headrace demo $(if $(SERVE),--serve) $(ARGS)

test: $(STAMP) ## Run the tests (ARGS=tests/core, ARGS=file.py::test, ARGS=--watch: again after each change)
ifneq (,$(WATCH))
	@$(BIN)/watchfiles "$(BIN)/python -m pytest -n 0 $(PICKED)" src tests
else
	@$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal $(PICKED)
endif

check: $(STAMP) ## Lint, formatting, types and layers
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/basedpyright
	@$(BIN)/lint-imports

format: $(STAMP) ## Format the code and repair what can be repaired safely
	@$(BIN)/ruff check --fix-only .
	@$(BIN)/ruff format .

bench: $(STAMP) ## Measure throughput and latency (ARGS are handed on)
	@$(BIN)/python -m bench $(ARGS)

faults: $(STAMP) ## Look for faults at length: long model runs, then every crash experiment (ARGS=E05, ARGS=--write)
ifeq (,$(filter E%,$(ARGS)))
	@HYPOTHESIS_PROFILE=faults $(BIN)/python -m pytest -n auto --dist worksteal tests/model
endif
	@$(BIN)/python -m tests.crash.full $(ARGS)

dev: $(STAMP) ## Serve the default database and start again after each change
	@$(BIN)/watchfiles "$(BIN)/headrace serve $(ARGS)" src

clean: ## Remove the environment, caches and build results; databases stay
	@rm -rf $(VENV) build dist .hypothesis .import_linter_cache .pytest_cache .ruff_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
