# Everything a person does here, by name. `make` alone lists it.

SHELL := /bin/sh
.DEFAULT_GOAL := help
# What the machine lacks is told before anything is made, also under `make -j`.
.NOTPARALLEL:
.PHONY: help setup for-setup for-demo for-test demo test test-deep test-servers screenshots soak fuzz bench test-oracle \
    test-fresh lint check format up status down constraints clean

BIN := .venv/bin
# Set up exactly when it is newer than what it was made from.
STAMP := .venv/installed
BENCH := .venv/bench
# So many processes run the tests beside one stack of servers; 0 is this one alone. Modules are kept compiled, whatever
# the shell says.
WORKERS := 0
PYTEST := PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest
# How much is measured.
ROWS := 100000
CHANGES := 30000
ROUNDS := 2
# The first of these that is new enough makes .venv.
PYTHONS := python3 python3.14 python3.13 python3.12 python3.11
NEW_ENOUGH := import sys; sys.exit(sys.version_info < (3, 11))
# What a new Debian or Ubuntu lacks beside make. Who is not root and has Python gets the rest into the cache.
PACKAGES := python3 python3-venv default-jre-headless maven chromium
# Lets $python be that of .venv, or the one that will make it. Root on Debian and Ubuntu gets one.
FIND_PYTHON := set -e; \
	find_python() { \
	    python=; \
	    for name in $(BIN)/python $(PYTHONS); do \
	        if $$name -c '$(NEW_ENOUGH)' 2>/dev/null; then python=$$name; return; fi; \
	    done; \
	}; \
	find_python; \
	if [ -z "$$python" ] && [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    echo "missing: Python 3.11 or newer; apt-get install --no-install-recommends python3" >&2; \
	    apt-get update -qq; \
	    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends python3 >/dev/null; \
	    find_python; \
	fi; \
	if [ -z "$$python" ]; then \
	    echo "make: Python 3.11 or newer is needed; none of $(PYTHONS) is one." >&2; \
	    echo "On Debian and Ubuntu, as root, with all else: apt-get install --no-install-recommends $(PACKAGES)" >&2; \
	    exit 2; \
	fi

help: ## List what there is
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 20

setup: for-setup $(STAMP) ## Make .venv with everything in it (again only when the requirements have changed)

# What the machine itself must have, told and got before anything else.
for-setup for-demo for-test:
	@$(FIND_PYTHON); exec $$python -m cdc_pipeline.local.prerequisites $(@:for-%=%)

$(STAMP): pyproject.toml constraints.txt
	@$(FIND_PYTHON); \
	if [ $$python != $(BIN)/python ]; then \
	    echo "making .venv with $$($$python --version)"; \
	    $$python -m cdc_pipeline.local.environment .venv; \
	fi; \
	echo "installing the packages of pyproject.toml, in the versions of constraints.txt"; \
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --root-user-action=ignore \
	    --constraint constraints.txt --editable '.[local,dev]'; \
	touch $(STAMP)

demo: for-demo $(STAMP) ## Show the whole pipeline at work, until Ctrl-C (make demo ARGS=--help)
	@exec $(BIN)/python -m cdc_pipeline.demo $(ARGS)

test: for-test $(STAMP) ## Run the tests; they start the servers that they need (make test ARGS="-k copy")
	$(PYTEST) -n $(WORKERS) -m "not deep and not versions" $(ARGS)

test-deep: for-test $(STAMP) ## Run those that take long (a part: make test-deep ARGS="--minutes=30 --part=COMMIT")
	$(PYTEST) -n $(WORKERS) -m "deep or versions" $(ARGS)

test-servers: for-test $(STAMP) ## Try each version of each server, and write docs/compatibility.md (ARGS="--only mysql-9.7")
	$(BIN)/python -m cdc_pipeline_tests.compatibility $(ARGS)

screenshots: for-test $(STAMP) ## Take the README's pictures of Dagster anew
	CDC_PIPELINE_SCREENSHOTS=docs/images $(PYTEST) $(ARGS) cdc_pipeline_tests/acceptance/test_browser.py

soak: for-demo $(STAMP) ## Random workloads with kills and re-syncs, of these seeds (make soak SEEDS=3,100-120)
	SEEDS=$(SEEDS) $(PYTEST) -n $(WORKERS) $(ARGS) cdc_pipeline_tests/acceptance/test_soak.py

fuzz: for-demo $(STAMP) ## Plans of random seeds, judged independently (make fuzz SEEDS=1-50 TARGET=mysql, or MINUTES=30)
	$(BIN)/python -m cdc_pipeline_tests.fuzz --source $(or $(SOURCE),mysql) --target $(or $(TARGET),postgresql) \
	    $(if $(SEEDS),--seeds $(SEEDS)) $(if $(MINUTES),--minutes $(MINUTES)) $(ARGS)

bench: $(BENCH) ## Measure beside other ways, and write docs/performance.md (make bench ROWS=1000000 CHANGES=200000 ROUNDS=3)
	$(BIN)/python benchmarks/initial_copy.py --rows $(ROWS) --rounds $(ROUNDS) mysql-postgresql
	$(BIN)/python benchmarks/initial_copy.py --rows $$(($(ROWS) / 2)) --rounds 1 \
	    postgresql-mysql postgresql-postgresql mysql-mysql
	$(BIN)/python benchmarks/many_tables.py
	$(BIN)/python benchmarks/apply.py --changes $(CHANGES) --transaction $$(($(CHANGES) * 4)) --rounds $(ROUNDS)
	$(BIN)/python benchmarks/growth.py --rounds 1
	$(BIN)/python benchmarks/latency.py --rates 10 1000 10000 --seconds 10
	$(BIN)/python benchmarks/waits.py
	$(BIN)/python benchmarks/transactions.py --transactions 10000 --rounds $(ROUNDS)
	$(BIN)/python benchmarks/verify.py --rows $$(($(ROWS) * 5))
	$(BIN)/python benchmarks/event_log.py
	$(BIN)/python benchmarks/wire_format.py
	$(BIN)/python benchmarks/report.py

$(BENCH): $(STAMP)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --root-user-action=ignore \
	    --constraint constraints.txt --editable '.[local,dev,bench]'
	touch $(BENCH)

test-oracle: setup ## Test against your Oracle (CDC_PIPELINE_ORACLE_URL=oracle://user:password@host:1521/service)
	$(PYTEST) -o 'norecursedirs=.*' $(ARGS) cdc_pipeline_tests/oracle

test-fresh: ## As root: demo and tests in minimal systems (make test-fresh ARGS="--systems trixie --users plain --whole")
	@$(FIND_PYTHON); exec $$python -m cdc_pipeline_tests.fresh $(ARGS)

lint: setup ## Style, types, and who may import whom
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright
	$(BIN)/lint-imports

check: lint test ## What CI runs first

format: setup ## Mend what ruff can mend
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

up: for-demo $(STAMP) ## Start Kafka, Connect, MySQL and PostgreSQL on this machine
	$(BIN)/cdc-pipeline local up

status: setup ## Tell which of them run
	$(BIN)/cdc-pipeline local status

down: setup ## End them; their data stay
	$(BIN)/cdc-pipeline local down

constraints: setup ## Write the versions of .venv to constraints.txt
	$(BIN)/python -m pip freeze --exclude-editable --exclude cdc-pipeline > constraints.txt
	@touch $(STAMP)

clean: ## End the servers and delete their data, .venv and every cache
	@if [ -x $(BIN)/cdc-pipeline ]; then $(BIN)/cdc-pipeline local down --purge; fi
	rm -rf .venv .local .pytest_cache .ruff_cache .import_linter_cache .hypothesis *.egg-info build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
