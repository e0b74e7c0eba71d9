# make run needs Python 3.11 or newer with venv, and nothing else; everything it installs goes into .venv.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
MODEL ?= auto
# Stamps say what has been installed, and from which versions of these files.
SOURCES := pyproject.toml constraints-cpu.txt

.PHONY: help install models run check test test-e2e cover gpu bench clean

help: ## what can be made
	@grep -E '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{ printf "make %-9s %s\n", $$1, $$2 }'

install: $(VENV)/.all ## everything: the server, the voices, checkpoints, tests

models: $(VENV)/.models ## what CosyVoice checkpoints need besides

run: $(VENV)/$(if $(filter-out auto,$(MODEL) $(COSYSTREAM_MODEL)),.models,.run) ## install what speaking needs, and serve on port 50000 (MODEL=folder for a checkpoint)
	@$(BIN)/cosystream serve$(if $(filter-out auto,$(MODEL)), --model $(MODEL))

check: $(VENV)/.all ## lint, types, imports
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

test: $(VENV)/.all ## every test
	$(BIN)/pytest

# pipecat-ai pins soxr and soundfile below what is served with here, so that it needs an environment of its own.
test-e2e: $(VENV)/.all $(VENV)-pipecat/.all ## every client that exists, pipecat too
	PIPECAT_PYTHON=$(CURDIR)/$(VENV)-pipecat/bin/python $(BIN)/pytest tests/e2e

cover: $(VENV)/.all ## every test, and which branches none of them takes
	$(BIN)/pytest --cov --cov-report=term --cov-report=html
	$(BIN)/coverage report --fail-under=95 --include='*/types.py,*/errors.py,*/config.py,*/audio/*,*/wire/*,*/runtime/*,*/web/*'

gpu: $(VENV)/.all ## on a machine with a GPU: the tests that need one, and what listeners meet with (MODEL=folder)
	@test $(MODEL) != auto || { echo 'name a checkpoint: make gpu MODEL=folder' >&2; exit 1; }
	$(BIN)/pytest -m gpu
	$(BIN)/cosystream bench --model $(MODEL) --streams 1,32,128,256 --out bench/gpu

bench: $(VENV)/.all ## measure, and write bench/RESULTS.md
	$(BIN)/python -m bench

clean: ## remove what was installed
	rm -rf $(VENV) $(VENV)-pipecat

# Not by ensurepip, which a fresh Debian lacks: the pip that is there installs the newest one into the environment.
$(BIN)/pip:
	$(PYTHON) -m venv --without-pip $(VENV)
	$(PYTHON) -m pip --python $(BIN)/python install --quiet pip

$(VENV)/.run: $(BIN)/pip $(SOURCES)
	$(BIN)/pip install --quiet -c constraints-cpu.txt -e '.[server,client,embedded]'
	@touch $@

$(VENV)/.models: $(BIN)/pip $(SOURCES)
	$(BIN)/pip install --quiet -c constraints-cpu.txt -e '.[server,client,embedded,cosyvoice]'
	@touch $@ $(VENV)/.run

$(VENV)-pipecat/.all: $(BIN)/pip $(SOURCES)
	$(PYTHON) -m venv --without-pip $(VENV)-pipecat
	$(BIN)/pip --python $(VENV)-pipecat install --quiet 'pipecat-ai>=1.14'
	@touch $@

$(VENV)/.all: $(BIN)/pip $(SOURCES)
	$(BIN)/pip install --quiet -c constraints-cpu.txt -e '.[dev]'
	@touch $@ $(VENV)/.run $(VENV)/.models
