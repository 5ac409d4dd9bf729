# Every target sets up what it needs first; `make help` lists them.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help

PYTHON ?= python3
WORKERS ?= 2
BIN := .venv/bin
SITE_PACKAGES = $$($(BIN)/python -c "import sysconfig; print(sysconfig.get_path('purelib'))")
digest = $(shell cat $(1) | sha256sum | cut -c1-16)
# `make setup GPU=1` installs CUDA too; the environment remembers it until GPU=0.
GPU ?= $(if $(wildcard .venv/.gpu),1,0)
REQUIREMENTS := $(if $(filter 1,$(GPU)),requirements-gpu.txt,requirements.txt)
RUNTIME_LOCKS := requirements-setup.txt $(REQUIREMENTS)
DEV_LOCKS := $(RUNTIME_LOCKS) requirements-dev.txt
# The stamps are named after the locks' contents: a changed lock has no stamp yet.
RUNTIME := .venv/.runtime-$(call digest,$(RUNTIME_LOCKS))
DEV := .venv/.dev-$(call digest,$(DEV_LOCKS))
CATALOGUES := $(patsubst %.po,%.mo,$(wildcard locale/*/LC_MESSAGES/*.po))
TEMPLATES := $(shell find templates -name '*.html' -print -quit 2>/dev/null)
# Django for checks only: a home that is thrown away, behind an https name so that what depends on it is checked as well.
CHECKED = home=$$(mktemp -d) && trap 'rm -rf "$$home"' EXIT && DLM_HOME="$$home" DLM_PUBLIC_URL=https://dlmodeler.example
MESSAGES := $(BIN)/django-makemessages-rs -l ko --no-location --no-obsolete --no-fuzzy-matching --no-wrap --keep-header \
	-i var -i node_modules -i static -i tests

.PHONY: help setup setup-dev run demo test test-all test-fast test-postgres lint types format bench soak lock vendor messages

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 16

setup: $(RUNTIME) $(CATALOGUES) ## install what the site needs; GPU=1 with CUDA

setup-dev: $(DEV) $(CATALOGUES)
	@.ci/debian-packages chromium fonts-noto-cjk postgresql radosgw ceph-mon ceph-osd ceph-common

run: setup ## start the site (DLM_HOME, DLM_PORT)
	@exec $(BIN)/python -m dlmodeler_site.supervisor --stop-with-parent

# Variables given to make (IMAGES, LABELS, PREDICT, ONCE) are in the environment of what it runs.
demo: setup ## the whole life cycle on real images; IMAGES=dir LABELS=csv PREDICT=dir ONCE=1
	@exec $(BIN)/python manage.py demo

test: setup-dev ## the fast tests
	$(BIN)/python -m pytest -m "not slow" -n $(WORKERS) --dist loadgroup

test-all: test-postgres ## all tests on SQLite, after the fast ones on PostgreSQL
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadgroup --no-loadscope-reorder

test-postgres: setup-dev ## the fast tests on a PostgreSQL of their own
	DLM_TEST_POSTGRES=1 $(BIN)/python -m pytest -m "not slow" -n $(WORKERS) --dist loadgroup

lint: setup-dev ## style, layers, templates, settings, migrations, translations, API schema
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/lint-imports
	$(if $(TEMPLATES),$(BIN)/djlint --lint --quiet templates)
	$(CHECKED) $(BIN)/python manage.py check --deploy --fail-level WARNING
	$(CHECKED) $(BIN)/python manage.py makemigrations --check --dry-run
	$(CHECKED) $(BIN)/python manage.py spectacular --validate --fail-on-warn --file /dev/null
	$(if $(CATALOGUES),$(MESSAGES) --check --no-untranslated)

types: setup-dev ## mypy
	$(CHECKED) $(BIN)/mypy

format: setup-dev ## put the code into shape
	$(BIN)/ruff check --fix --quiet || true
	$(BIN)/ruff format

bench: setup-dev ## the benchmark table
	$(BIN)/python -m benchmarks

soak: setup-dev ## the full counts: hours
	$(BIN)/python -m benchmarks.soak
	$(BIN)/python -m benchmarks.changes

lock: $(DEV) ## newest versions that fit the *.in files
	for name in requirements-setup requirements requirements-gpu requirements-dev; do \
		$(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes \
			--no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" $$name.in -o $$name.txt; \
	done

vendor: ## front-end files from the npm lock into static/vendor
	npm ci --ignore-scripts --no-audit --no-fund
	npm run --silent vendor

messages: setup-dev ## collect what is to be translated into locale/
	$(MESSAGES)

$(BIN)/uv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "Python 3.11 or newer is needed; $(PYTHON) is $$($(PYTHON) --version 2>&1). Set PYTHON." >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || .ci/debian-packages python3-venv
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-setup.txt

# `sync` removes what is not in its files: a development environment stays one when only the run time is asked for.
DEV_BEFORE := $(wildcard .venv/.dev-*)
$(RUNTIME): | $(BIN)/uv
	$(call install,$(REQUIREMENTS) $(if $(DEV_BEFORE),requirements-dev.txt))
	@touch $@ $(if $(DEV_BEFORE),$(DEV))

$(DEV): | $(BIN)/uv
	$(call install,$(REQUIREMENTS) requirements-dev.txt)
	@touch $@ $(RUNTIME)

# The path file lets every program of the environment import the site, from any folder.
define install
@rm -f .venv/.runtime-* .venv/.dev-*
$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-setup.txt
$(BIN)/uv pip sync --compile-bytecode --python $(BIN)/python --require-hashes $(1)
@$(if $(filter 1,$(GPU)),touch,rm -f) .venv/.gpu
@echo "$(CURDIR)" > "$(SITE_PACKAGES)/dl-modeler.pth"
endef

locale/%.mo: locale/%.po | $(RUNTIME)
	@$(BIN)/pybabel --quiet compile --input-file=$< --output-file=$@
