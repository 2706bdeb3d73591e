# Every target first installs .venv if it is missing or older than its requirements.

PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/.installed

# The type checker's check for updates and Dagster's telemetry would use the network.
export PYRIGHT_PYTHON_IGNORE_WARNINGS := 1
export DAGSTER_DISABLE_TELEMETRY := 1
export PIP_DISABLE_PIP_VERSION_CHECK := 1

# Tests start many processes and workers, and each would compile the project and the tests anew.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help install demo docs helm packages test test-docs test-faults test-search test-clients test-images chaos bench lint lock

help: ## Says what there is
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install: $(INSTALLED) ## Creates .venv with all dependencies, at the locked versions

demo: $(INSTALLED) ## Starts everything on this machine with demo data; Ctrl-C stops it
	$(BIN)/fraiseql-assets dev --demo

docs: $(INSTALLED) ## Builds the documentation into site/; a dead link is an error
	$(BIN)/python docs/site.py

helm: $(BIN)/helm ## Builds Helm, which checks the chart

$(BIN)/helm: | $(INSTALLED)
	go=$$(.ci/go) && GOBIN=$(CURDIR)/$(BIN) CGO_ENABLED=0 "$$go" install helm.sh/helm/v3/cmd/helm@v3.19.5

packages: $(INSTALLED) ## Builds the wheel, installs it alone, lists its parts and licences, in dist/
	rm -rf dist
	$(BIN)/pip wheel --quiet --no-deps --no-build-isolation --wheel-dir dist .
	$(PYTHON) -m venv dist/alone
	dist/alone/bin/pip install --quiet "$$(ls dist/*.whl)[local]"
	dist/alone/bin/fraiseql-assets init dist/project --schema local_stack/demo/schema.compiled.json
	$(BIN)/cyclonedx-py environment dist/alone/bin/python --output-file dist/sbom.json
	$(BIN)/pip-licenses --python dist/alone/bin/python --format markdown --output-file dist/licences.md

BY_FILE := --dist loadfile --no-loadscope-reorder

# Three workers for two cores: one of them waits for the sensors of its stack most of the time.
test: $(INSTALLED) ## Runs the tests on real servers, except those of the targets below
	$(BIN)/pytest --numprocesses 3 $(BY_FILE)

test-docs: $(INSTALLED) ## Runs every example of README and docs/ on a stack
	$(BIN)/pytest tests/documentation --numprocesses 2 $(BY_FILE)

test-faults: $(INSTALLED) ## Runs the tests that kill, freeze or cut off servers, or fill their disks
	$(BIN)/pytest tests/faults --numprocesses 2 $(BY_FILE)

test-search: $(INSTALLED) ## Runs the contract of the operational plane and of search on OpenSearch too
	$(BIN)/pytest tests/contract tests/faults/test_operational_faults.py \
		-k "operational or test_search or test_relevance" --search opensearch

test-clients: $(INSTALLED) ## Runs the clients of all languages against the service; installs their tool chains
	.ci/clients
	$(BIN)/pytest tests/clients

test-images: $(INSTALLED) ## Builds the image and runs the Compose file's services; installs Docker and Compose
	.ci/images timeout --kill-after=120 40m $(BIN)/pytest tests/images

chaos: $(INSTALLED) ## Injects faults into real stacks in a hundred trials, and writes docs/guarantees.md
	$(BIN)/python -m tests.chaos --trials 100 --page docs/guarantees.md

bench: $(INSTALLED) ## Runs all benchmarks and writes benchmarks/RESULTS.md; needs a quiet machine
	$(BIN)/python -m benchmarks

lint: $(INSTALLED) ## Checks style, types, the direction of imports, the Dagster definitions and the site
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright
	$(BIN)/lint-imports
	$(BIN)/dagster definitions validate -m fraiseql_assets.defs.definitions
	$(BIN)/python docs/site.py

lock: ## Pins the newest versions that pyproject.toml allows
	.ci/lock

$(INSTALLED): requirements.lock pyproject.toml local_stack/elasticsearch/elasticsearch.lock.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and sys.version)' || \
		{ echo "Python 3.11 or newer is needed: name one with make PYTHON=/path/to/python3" >&2; exit 1; }
	@echo "Installing into .venv; the first time this takes a minute."
	@test -x $(BIN)/pip || $(PYTHON) -m venv .venv
	@$(BIN)/pip install --quiet --require-hashes --requirement requirements.lock
	@$(BIN)/pip install --quiet --no-deps --no-build-isolation --editable .
	@$(BIN)/python -m local_stack.elasticsearch.fetch
	@touch $@
