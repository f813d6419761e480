# Everything happens in .venv; nothing is installed globally.
#   make setup                    the virtual environment with the package and its tools
#   make test                     the test suite            (ARGS="tests/data -k radar" narrows it)
#   make demo                     a release cycle on a synthetic world, ending in demo/report.html: a quarter of an hour
#   make check                    ruff and mypy
#   make docs                     the documentation as a site in site/, strictly: a broken link is an error
#   make dist                     wheel and sdist in dist/; tools/check_wheel.sh goes from there to a finished demo
#   make benchmark                ours beside a peer, row by row, into docs/results/speed.csv: forty minutes, 13 GB
# PYTHON=/path/to/python3.11 names the interpreter where none is found (3.11 to 3.13).

VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
PYTHON ?= $(shell for python in python3.11 python3.12 python3.13 python3 python; do \
	"$$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null \
	&& command -v "$$python" && break; done)

.PHONY: setup test check demo docs dist benchmark clean

setup: $(READY)

$(READY): pyproject.toml
	@test -n "$(PYTHON)" || { echo "no Python 3.11 to 3.13 found: name one with PYTHON=/path/to/python" >&2; exit 2; }
	"$(PYTHON)" -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test,docs]'
	@touch $(READY)

test: $(READY)
	$(BIN)/python -m pytest -n 2 --dist worksteal $(ARGS)

check: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy --strict avjepa

demo: $(READY)
	$(BIN)/avjepa demo --out demo $(ARGS)

docs: $(READY)
	NO_MKDOCS_2_WARNING=1 DISABLE_MKDOCS_2_WARNING=true $(BIN)/mkdocs build --strict

dist: $(READY)
	rm -rf dist
	$(BIN)/python -m build --outdir dist .

# on a machine that does nothing else; REAL=DIR adds real annotations to the rows of the evaluation
benchmark: $(READY)
	$(BIN)/python tools/benchmark/reading.py --csv docs/results/speed.csv
	$(BIN)/python tools/benchmark/packed_cache.py --csv docs/results/speed.csv
	$(BIN)/python tools/benchmark/evaluation.py --large $(if $(REAL),--real $(REAL)) --csv docs/results/speed.csv
	$(BIN)/python tools/benchmark/scoring.py --csv docs/results/speed.csv
	$(BIN)/python tools/benchmark/training_step.py --csv docs/results/speed.csv
	$(BIN)/python tools/benchmark/release_heads.py --csv docs/results/speed.csv
	$(BIN)/python tools/benchmark/two_processes.py --csv docs/results/speed.csv
	$(BIN)/python tools/benchmark/ad_l_jepa.py --csv docs/results/speed.csv

clean:
	rm -rf $(VENV) demo runs site
