# Two commands are enough: `make demo` and `make test`. Both set up .venv on first use.

PYTHON ?= python3
VENV := .venv
# How many test files run at once: no more than there are processors.
WORKERS ?= auto
BIN := $(VENV)/bin
# Looked at first, so that Linux gets the CPU build of torch and not 3.5 GB of CUDA. Where it
# cannot be reached, this step gives up within seconds and the ordinary index is used.
TORCH_INDEX ?= https://download.pytorch.org/whl/cpu
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

.PHONY: demo test check bench serve setup

demo: $(VENV)/.ready ## start the practice workspace and print its address
	@$(BIN)/tocsin demo

serve: $(VENV)/.ready ## run the bot with ./config.toml and tokens from the environment
	@$(BIN)/tocsin serve

test: $(VENV)/.ready-dev ## run every test
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile

check: $(VENV)/.ready-dev ## formatting, lint, types, import contracts, knowledge
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/tocsin knowledge lint knowledge
	$(BIN)/tocsin knowledge test
	$(BIN)/tocsin knowledge actions --into docs/actions --check

bench: $(VENV)/.ready-dev ## print the measured figures; takes minutes
	$(BIN)/python -m tests.benchmarks

setup: $(VENV)/.ready ## set up .venv and start nothing

$(VENV)/.ready: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit("Tocsin needs Python 3.11 or newer" if sys.version_info < (3, 11) else 0)'
	@echo "Setting up $(VENV) (430 MB to fetch, 1.7 GB on disk; once)…"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(INSTALL) --retries 0 --extra-index-url $(TORCH_INDEX) torch 2>/dev/null || true
	@$(INSTALL) -e .
	@$(BIN)/python -m compileall -q bot plugins migrations
	@touch $@

$(VENV)/.ready-dev: $(VENV)/.ready
	@$(INSTALL) -e '.[dev]'
	@touch $@
