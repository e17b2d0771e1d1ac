# What there is to do: make help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)
export UV_PYTHON_DOWNLOADS := never
# Where programs fetched from npm (anvil) are kept; the default is the user's cache.
export DSQ_CACHE_DIR

.PHONY: help setup dev demo check format lint types imports contracts contracts-check forge-test \
	forge-test-slow mutations gas gas-update coverage slither proto docs test unit integration test-slow bench \
	chaos clean

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 18

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit("dsq needs Python 3.11 or newer") if sys.version_info < (3, 11) else None'
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt uv || true

# uv is quick; pip is there when uv cannot reach the index that pip is set up for.
define install
	@$(BIN)/uv pip install -q -p $(BIN)/python -c constraints.txt $(1) --reinstall-package dsq -e . 2>.uv.log \
	|| $(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt $(2) \
	   --config-settings editable_mode=strict -e . || { cat .uv.log; exit 1; }
	@rm -f .uv.log
endef

setup: $(BIN)/python ## make .venv with dsq in it
	$(call install,,)

dev: $(BIN)/python ## the same with the tools for development
	$(call install,--group dev,$(shell $(BIN)/python tests/support/dev_group.py 2>/dev/null))

demo: setup ## a job's whole course on a throwaway grid
	@$(BIN)/dsq demo

check: dev ## format, lint, types, import rules, generated files
	$(BIN)/ruff format --check -q .
	$(BIN)/ruff check -q .
	$(MAKE) -s types imports contracts-check

format: dev ## format the code and mend what can be mended
	$(BIN)/ruff check -q --fix .
	$(BIN)/ruff format -q .

types:
	$(BIN)/mypy --no-error-summary -p dsq.contracts -p dsq.core -p dsq.sbatch -p dsq.supervisor \
		-p dsq.console -p dsq.themes

imports:
	$(BIN)/lint-imports --no-cache

contracts/node_modules: contracts/package-lock.json
	cd contracts && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch $@

contracts: dev contracts/node_modules ## compile the contracts into contracts/artifacts
	node contracts/compile.cjs

contracts-check: contracts/node_modules
	node contracts/compile.cjs --check

# forge finds npm's compiler by itself (contracts/foundry.toml)
FORGE = PATH="$(CURDIR)/contracts/node_modules/.bin:$$PATH" forge

forge-test: contracts/node_modules ## the contracts' tests: units, fuzz, invariants
	cd contracts && $(FORGE) fmt --check src test && $(FORGE) test --summary

forge-test-slow: contracts/node_modules
	cd contracts && FOUNDRY_PROFILE=slow $(FORGE) test

mutations: dev contracts/node_modules ## break the contracts and see that their tests notice
	PATH="$(CURDIR)/contracts/node_modules/.bin:$$PATH" $(BIN)/python -m tests.support.mutations

gas: contracts/node_modules ## compare the gas of each step with the snapshot
	cd contracts && FOUNDRY_PROFILE=gas $(FORGE) test

gas-update: contracts/node_modules
	cd contracts && FOUNDRY_PROFILE=gas FORGE_SNAPSHOT_CHECK=false $(FORGE) test

coverage: contracts/node_modules ## lines of the contracts that the tests reach
	cd contracts && FROM_SOURCE=true $(FORGE) coverage --ir-minimum \
		--no-match-coverage "test|node_modules" --no-match-contract "InvariantsTest|GasTest" \
		--report summary --report lcov --report-file node_modules/.forge/lcov.info
	$(BIN)/python -m tests.support.coverage contracts/node_modules/.forge/lcov.info

# Slither wants an older web3 than dsq, so it has an environment of its own.
.slither/bin/slither:
	$(PYTHON) -m venv .slither && .slither/bin/pip install -q --disable-pip-version-check \
		slither-analyzer==0.11.6

slither: contracts/node_modules .slither/bin/slither ## look for weaknesses in the contracts
	cd contracts && PATH="$(CURDIR)/.slither/bin:$(CURDIR)/contracts/node_modules/.bin:$$PATH" \
		slither .

proto: dev ## generate the gRPC code from core/rpc/protos
	$(BIN)/python -m dsq.core.rpc.generate

docs: dev ## regenerate the references in docs/ that come from code
	$(BIN)/python -m dsq.console.commands.reference > docs/reference/commands.md
	$(BIN)/python -m dsq.console.keys > docs/keys.md
	$(BIN)/python -m dsq.sbatch.model.reference docs/workflow.md
	$(BIN)/python -m dsq.supervisor.table docs/reconciliation.md
	$(BIN)/python -m dsq.console.cli schema --write docs/examples >/dev/null

unit: dev ## unit tests only, in under a minute
	$(BIN)/pytest -q -n 2 -m "not slow" tests/unit

integration: dev
	@$(BIN)/python -m tests.support.prepare
	$(BIN)/pytest -q -n 2 --dist loadfile --no-loadscope-reorder -m "not slow" tests/e2e tests/integration

test: dev ## unit tests, and those on real Slurm, sshd and anvil; sets up what it can
	@$(BIN)/python -m tests.support.prepare
	$(BIN)/pytest -q -n 2 -m "not slow" tests/unit
	$(BIN)/pytest -q -n 2 -m "not slow" tests/screens
	$(MAKE) -s chaos SEEDS=200
	@$(MAKE) -s contracts/node_modules
	@if [ -x contracts/node_modules/.bin/forge ]; then $(MAKE) -s forge-test; \
	else echo "npm has no forge for this machine: the contracts' own tests are skipped"; fi
	$(BIN)/pytest -q -n 2 --dist loadfile --no-loadscope-reorder -m "not slow" tests/e2e tests/integration

# How many runs of the simulation, and the number of the first
SEEDS ?= 200
FIRST_SEED ?= 0

chaos: dev ## the provider's work with every fault there is: SEEDS=10000 FIRST_SEED=0
	@$(BIN)/python -m tests.support.chaos $(SEEDS) $(FIRST_SEED)

test-slow: dev ## the long rest
	@$(BIN)/python -m tests.support.prepare
	$(MAKE) -s forge-test-slow mutations coverage
	$(MAKE) -s chaos SEEDS=10000
	$(BIN)/pytest -q -m slow tests

bench: dev contracts/node_modules ## the benchmarks; each prints a table
	@$(BIN)/python -m tests.support.prepare
	@for file in tests/benchmarks/bench_*.py; do $(BIN)/python -m tests.benchmarks.$$(basename $$file .py) || exit 1; done

clean:
	rm -rf $(VENV) build dist *.egg-info contracts/node_modules
