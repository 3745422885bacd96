# Fleetform: `make render ENV=prod` is the main target, `make help` lists the others.
# All it needs is Python 3.11 or newer and make.

SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= python3
ENV ?= prod
PROVIDER ?= local
VENV := .venv
BIN := $(VENV)/bin
FLEETFORM := $(BIN)/fleetform
SEED ?=
# With SEED=number, tests run in a random order derived from it.
PYTEST := $(BIN)/pytest $(if $(SEED),-p randomly --randomly-seed=$(SEED))
SOURCES := generator runtime/fleetform_runtime tests runtime/tests tools bench conftest.py

# A changed lock is installed over the last one; `dev` includes everything that `render` needs.
RENDER := $(VENV)/.render
DEV := $(VENV)/.dev

$(RENDER): requirements/render.txt pyproject.toml
	@$(PYTHON) tools/venv.py $(VENV) requirements/render.txt
	@touch $@

$(DEV): requirements/dev.txt pyproject.toml runtime/pyproject.toml
	@$(PYTHON) tools/venv.py $(VENV) requirements/dev.txt runtime
	@touch $@ $(RENDER)

.PHONY: help
help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "%-22s %s\n", $$1, $$2}'

.PHONY: render
render: $(RENDER) ## Render the example fleet: make render ENV=prod (or dev, staging)
	@$(FLEETFORM) render --env $(ENV)

.PHONY: render-all
render-all: $(RENDER) ## Render every environment of the example fleet
	@$(FLEETFORM) render --all

.PHONY: check
check: $(RENDER) ## Fail if rendered output is stale
	@$(FLEETFORM) render --all --check

.PHONY: validate
validate: $(RENDER) ## Check the example specs: make validate ENV=prod
	@$(FLEETFORM) validate agents --env $(ENV)

.PHONY: schemas
schemas: $(DEV) ## Generate schemas/ from the models, and the tables in docs/ that are derived from code
	$(BIN)/python -m fleetform_runtime.schema schemas
	$(BIN)/python -m fleetform.models.export schemas
	$(BIN)/python -m fleetform_runtime.reference docs
	$(BIN)/python tools/docs.py

.PHONY: charts
charts: $(DEV) ## Generate what is derived from the charts' values.yaml: schemas, READMEs, alert rules
	@$(BIN)/python tools/charts/export.py $$($(PYTHON) tools/install.py schemas)

.PHONY: golden
golden: $(DEV) ## Rewrite the expected trees in tests/golden (review them before you commit)
	$(BIN)/python -m tests.golden.rewrite

.PHONY: quick-tools
quick-tools:
	@$(PYTHON) tools/install.py quick

.PHONY: tools
tools: ## Build the pinned tools used by the tests
	@$(PYTHON) tools/install.py tests

.PHONY: lint
lint: $(DEV) check ## Check style, imports between layers, drift of schemas and rendered files
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/python tools/closure.py
	$(BIN)/lint-imports
	$(BIN)/python -m fleetform.models.export --check schemas
	$(BIN)/python -m fleetform_runtime.schema --check schemas
	$(BIN)/python -m fleetform_runtime.reference --check docs
	$(BIN)/python tools/docs.py --check

.PHONY: type
type: $(DEV) ## Type-check with mypy --strict
	$(BIN)/mypy

.PHONY: unit
unit: $(DEV) ## Run the fast tests: no processes, no network, no tools
	@# Two plain runs side by side: handing out so many short tests one by one (xdist) costs a third of the time.
	@# What they write is in memory where there is such a folder; no plugin is loaded that they do not use.
	@export PYTHONDONTWRITEBYTECODE= PYTEST_DISABLE_PLUGIN_AUTOLOAD=1; run="$(PYTEST) -q -p no:logging"; \
	[ ! -w /dev/shm ] || export TMPDIR=/dev/shm; \
	$$run tests/unit/test_[a-g]*.py & first=$$!; $$run tests/unit/test_[!a-g]*.py runtime/tests/unit; second=$$?; \
	wait $$first && exit $$second

.PHONY: test
test: $(DEV) quick-tools ## Install everything the tests need and run them; SEED=number: in another order
	$(PYTEST) -n 3 --dist worksteal

.PHONY: ui
ui: ## Build the page from ui/, which needs Node.js; the bundle is committed
	cd ui && npm ci --no-audit --no-fund --ignore-scripts && npm run build

.PHONY: browser
browser: ## Install Debian's Chromium, in which the page is tested, if it is not there
	@command -v chromium >/dev/null || { apt-get update -q && apt-get install -y -q --no-install-recommends chromium; } \
	  || echo 'Chromium cannot be had here: what needs it is skipped'

.PHONY: page
page: $(DEV) browser ## Try the page of an agent in a real browser, which needs Node.js
	$(PYTEST) -m browser tests/page

.PHONY: screenshots
screenshots: $(DEV) ## Write the pictures of docs/ui.md, which needs Node.js and Chromium
	$(BIN)/python -m tests.page.screenshots

.PHONY: proofs
proofs: $(DEV) tools ## Turn every field of every spec, break processes at every point, ask Kubernetes' validation, Helm 3, promtool, ...
	$(PYTEST) -n 3 --dist worksteal -m proof

.PHONY: parity
parity: $(DEV) tools ## Compare fifteen times as many random fleets with Helm and Kustomize
	@FLEETFORM_PARITY=300 $(PYTEST) -n 2 -m 'proof or not proof' tests/parity

.PHONY: faults
faults: $(DEV) ## Run the fault tests under a longer load, and the tests that depend on timing
	@FLEETFORM_FAULTS=1 $(PYTEST) -m 'timed or not timed' runtime/tests/test_faults.py
	@FLEETFORM_DURABILITY=1 $(PYTEST) -m timed tests

.PHONY: interpreters
interpreters: ## Install what rendering needs for each Python on this machine
	@$(PYTHON) tools/interpreters.py

.PHONY: durability
durability: $(DEV) interpreters ## Kill runs at 200 points, fill and break disks, render in 108 environments
	@FLEETFORM_DURABILITY=1 $(PYTEST) -n 2 tests/durability

.PHONY: durability-if-changed
durability-if-changed: ## The same, but only if the writing code or its tests differ from the main branch (or SINCE=commit)
	@if $(PYTHON) tools/changed.py $(WRITES) $(if $(SINCE),--since $(SINCE)); then $(MAKE) durability; fi

# Everything that determines which files are written, and how.
WRITES := generator/fleetform requirements/render.txt tests/durability tests/fleet.py tools

.PHONY: cluster-tools
cluster-tools: tools
	@$(PYTHON) tools/install.py etcd kube-apiserver kube-controller-manager kube-scheduler kwok

.PHONY: cluster-test
cluster-test: $(DEV) cluster-tools ## Apply all output to a real control plane and test it there
	@FLEETFORM_PROVIDER=$(PROVIDER) $(PYTEST) -m cluster -n 3 --dist loadgroup tests/cluster

.PHONY: operators
operators: cluster-tools
	@$(PYTHON) tools/install.py argo-controller argo-rollouts external-secrets keda keda-adapter prometheus-operator

.PHONY: conformance
conformance: $(DEV) operators ## Run KEDA, External Secrets, Argo Rollouts, Argo Workflows and the Prometheus operator on output
	$(PYTEST) -m conformance tests/operators

# Everything that the operators see, what runs where their pods would, and the tests themselves.
ACTED_ON := tools tests/operators tests/cluster tests/tools.py tests/prometheus.py generator/fleetform rendered charts/agent \
  $(addprefix runtime/fleetform_runtime/,access metrics.py workflows)

.PHONY: conformance-if-changed
conformance-if-changed: ## The same, but only if tools or objects differ from the main branch (or SINCE=commit)
	@if $(PYTHON) tools/changed.py $(ACTED_ON) $(if $(SINCE),--since $(SINCE)); then $(MAKE) conformance; fi

.PHONY: cluster
cluster: ## Start a local control plane (PROVIDER=kind needs a container engine)
	@$(PYTHON) tools/cluster.py start --provider $(PROVIDER)

.PHONY: cluster-stop
cluster-stop: ## Stop the local control plane
	@$(PYTHON) tools/cluster.py stop --provider $(PROVIDER)

.PHONY: format
format: $(DEV) ## Format the code
	$(BIN)/ruff check --fix $(SOURCES)
	$(BIN)/ruff format $(SOURCES)

.PHONY: bench
bench: $(DEV) ## Compare with helm and kustomize (builds them first); docs/benchmarks.md explains the output
	@HELM=$$($(PYTHON) tools/install.py helm) && $(BIN)/python bench/render.py --helm $$HELM
	@TOOL=$$($(PYTHON) tools/install.py kustomize) && $(BIN)/python bench/targets.py --kustomize $$TOOL

.PHONY: bench-runtime
bench-runtime: $(DEV) ## Compare the runtime with a stock server and a bare proxy
	@$(BIN)/python bench/runtime

.PHONY: lock
lock: ## Update the hash locks from pyproject.toml; UPGRADE=1 takes the newest matching versions
	@$(PYTHON) tools/lock.py $(if $(UPGRADE),--upgrade)

.PHONY: clean
clean: ## Remove the virtual environment and caches, but not .tools
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
