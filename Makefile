# Fleetform: `make render ENV=prod` is its main job, `make help` lists the rest.
# Nothing is needed but Python 3.11 or newer and make.

SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= python3
ENV ?= prod
PROVIDER ?= local
ENVIRONMENTS := dev staging prod
VENV := .venv
BIN := $(VENV)/bin
FLEETFORM := $(BIN)/fleetform
SEED ?=
# With SEED=number, tests come in an order drawn from it.
PYTEST := $(BIN)/pytest $(if $(SEED),-p randomly --randomly-seed=$(SEED))
SOURCES := generator runtime/fleetform_runtime tests runtime/tests tools bench conftest.py

# A changed lock is installed over the last one; `dev` is what `render` needs and more.
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
	@for env in $(ENVIRONMENTS); do $(FLEETFORM) render --env $$env || exit; done

.PHONY: check
check: $(RENDER) ## Fail when rendered output is stale
	@for env in $(ENVIRONMENTS); do $(FLEETFORM) render --env $$env --check || exit; done

.PHONY: validate
validate: $(RENDER) ## Check the example specs: make validate ENV=prod
	@$(FLEETFORM) validate agents --env $(ENV)

.PHONY: schemas
schemas: $(DEV) ## Write schemas/ from the models, and the tables of docs/ that follow from the code
	$(BIN)/python -m fleetform_runtime.schema schemas
	$(BIN)/python -m fleetform.models.export schemas
	$(BIN)/python -m fleetform_runtime.reference docs
	$(BIN)/python tools/docs.py

.PHONY: charts
charts: $(DEV) ## Write what follows from the charts' values.yaml: schemas, READMEs, alert rules
	@$(BIN)/python tools/charts/export.py $$($(PYTHON) tools/install.py schemas)

.PHONY: golden
golden: $(DEV) ## Rewrite the expected trees in tests/golden (read them before you commit)
	$(BIN)/python -m tests.golden.rewrite

.PHONY: tools
tools: ## Build the pinned tools that the tests use
	@$(PYTHON) tools/install.py actionlint check-jsonschema checkov compose helm helm3 kube-score kubeconform kubectl \
	  kustomize promtool registry schemas uv yaml2json

.PHONY: lint
lint: $(DEV) check ## Style, imports between layers, drift of schemas and rendered files
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/python tools/closure.py
	$(BIN)/lint-imports
	$(BIN)/python -m fleetform.models.export --check schemas
	$(BIN)/python -m fleetform_runtime.schema --check schemas
	$(BIN)/python -m fleetform_runtime.reference --check docs
	$(BIN)/python tools/docs.py --check

.PHONY: type
type: $(DEV) ## Types, strictly
	$(BIN)/mypy

.PHONY: unit
unit: $(DEV) ## What to run while writing: no process, no network, no tools
	@$(PYTEST) -q -n 2 tests/unit runtime/tests/unit

.PHONY: test
test: $(DEV) tools ## Install and run everything that the tests need; SEED=number: in another order
	$(PYTEST) -n 3 --dist worksteal

.PHONY: parity
parity: $(DEV) tools ## Hold fifteen times as many fleets made by chance against Helm and Kustomize
	@FLEETFORM_PARITY=300 $(PYTEST) -n 2 tests/parity

.PHONY: faults
faults: $(DEV) ## Fail everything around the runtime under a longer load, and judge by the clock what is to be fast
	@FLEETFORM_FAULTS=1 $(PYTEST) -m 'timed or not timed' runtime/tests/test_faults.py
	@FLEETFORM_DURABILITY=1 $(PYTEST) -m timed tests

.PHONY: interpreters
interpreters: ## Give each Python of this machine what rendering needs
	@$(PYTHON) tools/interpreters.py

.PHONY: durability
durability: $(DEV) interpreters ## Kill runs at 200 points, fill and break disks, render in 100 surroundings
	@FLEETFORM_DURABILITY=1 $(PYTEST) -n 2 tests/durability

.PHONY: durability-if-changed
durability-if-changed: ## The same, when what writes or what tests it differs from the main branch (or from SINCE=commit)
	@if $(PYTHON) tools/changed.py $(WRITES) $(if $(SINCE),--since $(SINCE)); then $(MAKE) durability; fi

# What decides the files that are written, and how.
WRITES := generator/fleetform requirements/render.txt tests/durability tests/fleet.py tools

.PHONY: cluster-tools
cluster-tools: tools
	@$(PYTHON) tools/install.py etcd kube-apiserver kube-controller-manager kube-scheduler kwok

.PHONY: cluster-test
cluster-test: $(DEV) cluster-tools ## Apply all output to a real control plane, and watch it live
	@FLEETFORM_PROVIDER=$(PROVIDER) $(PYTEST) -m cluster -n 3 --dist loadgroup tests/cluster

.PHONY: operators
operators: cluster-tools
	@$(PYTHON) tools/install.py external-secrets keda prometheus-operator

.PHONY: conformance
conformance: $(DEV) operators ## Let KEDA, External Secrets and the Prometheus operator act on all output
	$(PYTEST) -m conformance tests/operators

# What the operators see, and what the tests are made of.
ACTED_ON := tools tests/operators tests/cluster tests/tools.py generator/fleetform rendered

.PHONY: conformance-if-changed
conformance-if-changed: ## The same, when tools or objects differ from the main branch (or from SINCE=commit)
	@if $(PYTHON) tools/changed.py $(ACTED_ON) $(if $(SINCE),--since $(SINCE)); then $(MAKE) conformance; fi

.PHONY: cluster
cluster: ## Start a control plane for people: make cluster (or PROVIDER=kind, with a container engine)
	@$(PYTHON) tools/cluster.py start --provider $(PROVIDER)

.PHONY: cluster-stop
cluster-stop: ## Stop it
	@$(PYTHON) tools/cluster.py stop --provider $(PROVIDER)

.PHONY: format
format: $(DEV) ## Format the code
	$(BIN)/ruff check --fix $(SOURCES)
	$(BIN)/ruff format $(SOURCES)

.PHONY: bench
bench: $(DEV) ## Measure against helm and kustomize (builds them first): docs/benchmarks.md says how to read it
	@HELM=$$($(PYTHON) tools/install.py helm) && $(BIN)/python bench/render.py --helm $$HELM
	@TOOL=$$($(PYTHON) tools/install.py kustomize) && $(BIN)/python bench/targets.py --kustomize $$TOOL

.PHONY: bench-runtime
bench-runtime: $(DEV) ## Measure the runtime against a stock server and a bare proxy
	@$(BIN)/python bench/runtime

.PHONY: lock
lock: ## Renew the hash locks from pyproject.toml; UPGRADE=1 takes the newest versions that fit
	@$(PYTHON) tools/lock.py $(if $(UPGRADE),--upgrade)

.PHONY: clean
clean: ## Remove the virtual environment and caches; tools stay in .tools
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
