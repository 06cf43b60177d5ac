# Everything here needs Python 3.11 to 3.13, make and the package registries; nothing else.
# PYTHON: the interpreter to use; by default the newest suitable one on the PATH.
VENV := .venv
BIN := $(VENV)/bin
DISTS := libs/kafka libs/common libs/provinces libs/devstack services/intake services/router services/connectors \
	services/printing services/notify tools/ops
PYPROJECTS := $(addsuffix /pyproject.toml,$(DISTS))
STAMP := $(VENV)/.installed-from-lock
BENCH_VENV := .venv-bench
BENCH_STAMP := $(BENCH_VENV)/.installed-from-lock
SOURCES := libs services tools tests bench examples
ONCE ?=
PYTEST_ARGS ?=
# Most tests wait for processes: two workers on two cores, each with a broker and a store of its own.
JOBS ?= 2
# In the order of the tree: what takes minutes comes first, and short files fill the end.
PYTEST = $(BIN)/python -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder

# Nothing is fetched: the theme comes with the package, and mkdocs.yml names no font and no CDN.
SITE = NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict \
	&& ! grep -rE --include='*.html' '<(script|link|img)[^>]* (src|href)="(https?:)?//' out/site

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-all lint format docs bench lock clean

help:  ## show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 12

setup: $(STAMP)  ## make .venv and install from requirements.lock (only when it changed)

# uv installs what the lock names in seconds; where it cannot, pip does the same from the same lock.
$(STAMP): requirements.lock $(PYPROJECTS)
	@test -x $(BIN)/python || { python=$${PYTHON:-$$(tools/find-python)} && "$$python" -m venv $(VENV); }
	@echo "Installing from requirements.lock (only when it changed) ..."
	@grep -A40 '^uv==' requirements.lock | awk 'NR==1 || /--hash/ {print; if (!/\\$$/) exit}' > $(VENV)/uv.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r $(VENV)/uv.lock
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements.lock \
		|| $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation $(addprefix -e ,$(DISTS))
	@touch $@

demo: $(STAMP)  ## play a day at the branch, with kills; ONCE=1 ends after the report
	@$(BIN)/tongban demo $(if $(ONCE),--once)

test: $(STAMP)  ## the tests on a real broker, under 10 minutes on 2 cores
	$(PYTEST) -m "not long" $(PYTEST_ARGS)

test-all: $(STAMP)  ## everything: also every item once, systematic kills and the soak
	$(PYTEST) $(PYTEST_ARGS)

lint: $(STAMP)  ## ruff, mypy --strict, import rules, links of the site, wheels of the lock
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(SITE)
	tools/check-wheels $(BIN)/uv requirements.lock

format: $(STAMP)  ## let ruff format and mend what it can
	$(BIN)/ruff format $(SOURCES)
	$(BIN)/ruff check --fix $(SOURCES)

docs: $(STAMP)  ## write docs/reference from the code, and the site into out/site
	$(BIN)/python -m tools.reference
	$(SITE)

bench: $(STAMP) $(BENCH_STAMP)  ## measure; prints ratios within one run
	$(BIN)/python -m bench

# What the measurements compare with is none of the product's business, nor of its lock's.
$(BENCH_STAMP): bench/requirements.lock $(STAMP)
	@test -x $(BENCH_VENV)/bin/python || $(BIN)/python -m venv $(BENCH_VENV)
	@$(BIN)/uv pip install --quiet --python $(BENCH_VENV)/bin/python --require-hashes -r bench/requirements.lock \
		|| $(BENCH_VENV)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r bench/requirements.lock
	@touch $@

lock: $(STAMP)  ## make the locks anew from what is asked for
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-header --no-annotate \
		--no-emit-index-url --no-emit-find-links --python-version 3.11 $(foreach dist,$(DISTS),--no-emit-package tongban-$(notdir $(dist))) \
		--output-file requirements.lock pyproject.toml $(PYPROJECTS)
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-header --no-annotate \
		--no-emit-index-url --no-emit-find-links --python-version 3.11 \
		--output-file bench/requirements.lock bench/requirements.in

clean:  ## remove what was built here (caches of jars stay in the user's cache directory)
	rm -rf $(VENV) $(BENCH_VENV) out build .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name '*.egg-info' -prune -exec rm -rf {} +
