# One target per chore. Everything is written under this checkout and the one cache folder.
.DEFAULT_GOAL := help
.SUFFIXES:
.PHONY: help venv demo test check bench up lock clean

CACHE := $(or $(NOTIFICATION_SERVICE_CACHE),$(HOME)/.cache/notification-service)
VENV := .venv
PYTHON := $(VENV)/bin/python
SCRATCH := $(CURDIR)/.local/tmp

export NOTIFICATION_SERVICE_CACHE := $(CACHE)
export PIP_CACHE_DIR := $(CACHE)/pip
export UV_CACHE_DIR := $(CACHE)/uv
export TMPDIR := $(SCRATCH)
export PYTHONUNBUFFERED := 1

# Cheapest first, so that what is broken shows early.
TESTS := tests/unit tests/architecture tests/replay tests/workflows tests/integration tests/acceptance

find_python = for candidate in python3.11 python3 python3.12 python3.13 python3.14 python; do \
  "$$candidate" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
  && { echo "$$candidate"; exit; }; done; \
  echo "make: no Python 3.11 or newer with venv and ensurepip on PATH: install it (Debian, Ubuntu: apt install python3.11-venv)" >&2; exit 1

help:
	@echo "make demo    send three notifications end to end (KEEP=1 stays up)"
	@echo "make test    every test, with real servers"
	@echo "make check   lint, types, import rules, unit and replay tests: under a minute"
	@echo "make bench   the benchmarks (ONLY=name runs one)"
	@echo "make up      everything in the foreground, data kept in .local/"
	@echo "make lock    write the lock files anew from pyproject.toml"
	@echo "make clean   remove the environment and .local/"

venv:
	@mkdir -p "$(SCRATCH)" "$(CACHE)" 2>/dev/null || { echo "make: cannot write to .local or to $(CACHE)" >&2; exit 1; }
	@python=$$($(find_python)) && "$$python" .ci/make_venv.py $(VENV)

demo: venv
	@KEEP=$(KEEP) $(PYTHON) -m demo

up: venv
	@$(PYTHON) -m local_stack

bench: venv
	@ONLY=$(ONLY) $(PYTHON) -m benchmarks

check: venv
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports --no-logo
	$(PYTHON) -m pytest -q tests/unit tests/replay tests/architecture

test: venv
	$(PYTHON) -m pytest $(TESTS)

lock:
	@mkdir -p "$(SCRATCH)" "$(CACHE)"
	@python=$$($(find_python)) && "$$python" .ci/make_lock.py

clean:
	@for lock in .local/*/lock; do \
	  test ! -e "$$lock" || ! command -v flock >/dev/null || flock --nonblock "$$lock" true \
	  || { echo "make: $${lock%/lock} is in use: stop it first" >&2; exit 1; }; done
	rm -rf $(VENV) .local .hypothesis .mypy_cache .ruff_cache .pytest_cache .import_linter_cache build *.egg-info
