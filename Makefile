# Two commands do everything: `make demo` and `make test`. Each sets up what is missing first.
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin

.PHONY: help setup product compiled demo test test-fast test-page pictures test-deploy fuzz fuzz-api fuzz-properties check bench bench-api bench-scale clean

help:
	@echo "make demo   set up, then run the document-processing example with two workers, one of them killed; SERVE=1 serves their page"
	@echo "make test   set up, then run all tests, side by side"
	@echo "make test-fast  set up, then run what needs no worker processes: unit, property, contract, architecture, golden, fuzz"
	@echo "make test-page  set up, then try the web page in Chromium; installs that where it is missing"
	@echo "make pictures   set up, then take the pictures of the web page in docs/pictures anew"
	@echo "make test-deploy  set up, then check the files of deploy/ and begin each process of the composed system anew under load"
	@echo "make fuzz   set up, then try inputs that nobody would write, for SECONDS=60 in all; REPLAY=file tries one again"
	@echo "make fuzz-api  set up, then send the HTTP services requests made of their OpenAPI documents, EXAMPLES=50 for each operation"
	@echo "make fuzz-properties  set up, then try each property of tests/property with new examples, TIMES=10 as many as the suite does"
	@echo "make check  set up, then lint, types, import contracts"
	@echo "make bench-scale  set up, then 1,000, 10,000 and 100,000 open runs, or SIZES="
	@echo "make bench-api  set up, then the HTTP API beside a bare application, or LONG=600 seconds at RATE=1000; needs npm"
	@echo "make bench  set up, then the benchmarks, beside Celery canvas"

setup:
	@PYTHON=$(PYTHON) scripts/setup

demo: setup
	@$(RUN)/python examples/document_processing/demo.py $(if $(SERVE),--serve)

# Tests wait for processes and leases more than they compute: more workers than cores, each with servers of its own.
SIDE_BY_SIDE := --numprocesses 12 --dist loadgroup --no-loadscope-reorder

# Bytecode is kept from run to run, whatever the environment says of it: hundreds of processes read each module.
test test-fast compiled: export PYTHONDONTWRITEBYTECODE :=

GATHER := $(RUN)/python -m pytest --collect-only --quiet
WAITING := tests/acceptance/ tests/integration/
OTHERS := $(filter-out $(WAITING) tests/__pycache__/,$(wildcard tests/*/))

compiled: product build/tests.compiled

product: setup
	@$(RUN)/python -m compileall -q openagents_json cli executor projections eventstore

# Pytest rewrites the assertions of modules that it gathers, and Hypothesis counts the characters of Unicode: here once, and not in
# each worker at the same time.
build/tests.compiled: $(shell find tests -name '*.py') | product
	@$(GATHER) $(WAITING) >/dev/null 2>&1 & $(GATHER) $(OTHERS) >/dev/null 2>&1; wait
	@$(RUN)/python -c 'from hypothesis import strategies; strategies.text().validate()'
	@mkdir -p build && touch $@

test: compiled
	@$(RUN)/python -m pytest $(SIDE_BY_SIDE)

test-fast: compiled
	@$(RUN)/python -m pytest --numprocesses 3 --dist loadgroup --no-loadscope-reorder -m "not slow" \
	  tests/unit tests/property tests/contract tests/architecture tests/golden tests/fuzz

test-page: setup
	@scripts/test_page

pictures: setup
	@scripts/pictures

test-deploy: setup
	@scripts/test_deploy

SECONDS ?= 60

fuzz: setup
	@$(RUN)/python -m tests.fuzz --seconds $(SECONDS) \
	  $(if $(TARGET),--target $(TARGET)) $(if $(SEED),--seed $(SEED)) $(if $(REPLAY),--replay $(REPLAY))

EXAMPLES ?= 50

fuzz-api: setup
	@$(RUN)/python -m tests.integration.services --examples $(EXAMPLES) $(if $(SEED),--seed $(SEED))

TIMES ?= 10

fuzz-properties: setup
	@EXAMPLES_TIMES=$(TIMES) $(RUN)/python -m pytest --numprocesses 2 --dist loadgroup --timeout 0 tests/property

check: setup
	@scripts/check

bench: setup
	@$(RUN)/python benchmarks/run.py
	@$(RUN)/python benchmarks/language.py
	@$(RUN)/python benchmarks/validation.py
	@$(RUN)/python benchmarks/views.py
	@$(RUN)/python benchmarks/loading.py
	@$(RUN)/python benchmarks/ledger.py
	@$(RUN)/python benchmarks/archive.py

bench-api: setup
	@$(RUN)/python benchmarks/api.py $(if $(LONG),--rate $(or $(RATE),1000) --long $(LONG))

bench-scale: setup
	@$(RUN)/python benchmarks/scale.py $(SIZES)

clean:
	rm -rf $(VENV) .openagents dist build benchmarks/out
