# The commands of the workbench. Each first sets up what it needs: bootstrap.py does that, says what it does
# and how long it takes, and does nothing twice.

# The Python to set up with, 3.11 or 3.12: the one of .venv if there is one, else the first on PATH that will do.
# Newer ones come last, as they are not tested. bootstrap.py says what is wrong with a python3 that will not do.
ifndef PYTHON
PYTHON := $(shell for python in .venv/bin/python python3.12 python3.11 python3 python3.13 python3.14; do \
	"$$python" -c 'import sys, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo "$$python" && exit; \
	done; command -v python3)
endif
# 1: compile for an NVIDIA GPU, 0: do not; empty: if there are a GPU and nvcc.
CUDA ?=
# For pytest, as in ARGS="-k grammar", or for a benchmark, as in ARGS="--repetitions 1".
ARGS ?=

python := .venv/bin/python
no_python := There is no Python here: install Python 3.12 or 3.11, or name one with PYTHON=/path/to/python3.12
setup = @test -n "$(PYTHON)" || { echo "$(no_python)" >&2; exit 1; }; "$(PYTHON)" bootstrap.py --cuda="$(CUDA)"

.PHONY: help run lab test quality bench soak pictures clean

help:  ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-7s%s\n", $$1, $$2 }' Makefile
	@echo "Options: PYTHON=/path/to/python3.12, CUDA=1 or CUDA=0, ARGS=\"-k grammar\" for make test"

run:  ## run the whole notebook on the texts in raw_text_input/ and say where the datasets are
	$(setup)
	@$(python) -m generation_functions notebook processing.ipynb

lab:  ## open the notebook in JupyterLab
	$(setup)
	@$(python) -m jupyter lab $(if $(filter 0,$(shell id -u)),--allow-root) processing.ipynb

test:  ## style, types and tests
	$(setup) --test
	$(python) -m ruff check --output-format=concise .
	$(python) -m ruff format --check .
	$(python) -m mypy
	$(python) -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder $(ARGS)

quality:  ## what the checks catch and refuse, by code and by the votes of the configured model (a quarter of an hour)
	$(setup)
	$(python) benchmarks/validator.py $(ARGS)

bench:  ## race the local engine against its peers on the default model (half an hour on two cores)
	$(setup) --test
	$(python) benchmarks/local_engine.py $(ARGS)

soak:  ## half an hour of mixed calls, cancellations and kills for the local engine
	$(setup) --test
	$(python) benchmarks/soak.py $(ARGS)

pictures:  ## the README's pictures, from the notebook in a browser
	$(setup) --test
	GRISTMILL_PICTURES=docs $(python) -m pytest tests/test_pictures.py

clean:  ## remove .venv and caches; keeps models, texts and output
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache __pycache__
	find generation_functions tests benchmarks -name __pycache__ -prune -exec rm -rf {} +
