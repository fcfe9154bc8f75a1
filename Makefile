# make run     set up and start a broker on 127.0.0.1:9092, data under ./pybroker-data
# make demo    a database streamed through broker and Connect into another, in one terminal
# make test    set up and run the tests with the linters, types, contracts and fences
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: setup run demo test lint types quick checker sim kills hostile cluster chaos interop bench docs binary dist clean

setup: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml pybroker/version.py
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --editable '.[dev]'
	touch $@

run: setup
	$(BIN)/pybroker start --data-dir ./pybroker-data

# A shop's database streamed through broker and Connect into a second one, both compared at the end.
demo: $(VENV)/.demo
	$(BIN)/python -m tools.demo

# Only what runs, so that the demo is there soon after a checkout; `make setup` adds what development needs.
$(VENV)/.demo: pyproject.toml pybroker/version.py
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	test -e $(VENV)/.installed || $(BIN)/pip install --quiet --editable '.[connect]'
	touch $@

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

types: setup
	$(BIN)/mypy

test: lint types
	$(BIN)/python -m pytest -n 4 --dist worksteal

# Only what needs no other process: seconds, for the inner loop.
quick: setup
	$(BIN)/python -m pytest tests/unit tests/wire tests/properties tests/tidy

# Clients that send, poll and commit while the broker is killed and paused, and a check of what they saw:
# make checker SEED=7 MINUTES=10
SEED ?= 1
MINUTES ?= 1
checker: setup
	$(BIN)/python -m tests.checker --seed $(SEED) --minutes $(MINUTES)

# Three nodes as processes while they are killed and paused and the network between them is cut; librdkafka's tests,
# the checker, groups and exactly-once applications on them. About 50 minutes. As root, on Linux.
cluster: setup
	PYBROKER_NEMESES=1 $(BIN)/python -m pytest tests/cluster

# A million rows from one database through topics into another while workers and broker are killed -9.
chaos: setup
	PYBROKER_CHAOS_ROWS=$${PYBROKER_CHAOS_ROWS:-1000000} $(BIN)/python -m pytest tests/connect/jdbc/test_chaos.py -s

# kill -9 of one broker while idempotent and plain producers and an administrator work, and the same on a small mount
# that fills up (root, Linux), with both durabilities: make kills CYCLES=200, which takes about half an hour.
CYCLES ?= 200
kills: setup
	PYBROKER_KILL_CYCLES=$(CYCLES) $(BIN)/python -m pytest -n 0 tests/faults/test_kill.py -s -v

# Every named attack on a broker that serves somebody else meanwhile; one line of figures for each.
hostile: setup
	PYBROKER_IDLE_CONNECTIONS=$${PYBROKER_IDLE_CONNECTIONS:-9000} PYBROKER_FLOOD=$${PYBROKER_FLOOD:-10000} \
		$(BIN)/python -m pytest -n 0 tests/faults/test_hostile.py -s

# Crashes of the log at every change it makes to a simulated disk, and whole simulated clusters, each so long with
# fresh seeds: make sim SECONDS=600
SECONDS ?= 60
sim: setup
	$(BIN)/python -m tests.sim --seconds $(SECONDS)
	$(BIN)/python -m tests.sim.failures
	$(BIN)/python -m tests.sim.flips
	$(BIN)/python -m tests.sim metadata --seconds $(SECONDS)
	$(BIN)/python -m tests.sim metadata failures
	$(BIN)/python -m tests.sim metadata flips
	$(BIN)/python -m tests.sim cluster --seconds $(SECONDS)

# Bugs of storage, quorum, replication and clusters put back on purpose, each to be caught by the same schedules: make zoo
zoo: setup
	$(BIN)/python -m tests.sim.zoo
	$(BIN)/python -m tests.sim.raft --zoo
	$(BIN)/python -m tests.sim.replication_zoo
	$(BIN)/python -m tests.sim.cluster_zoo

# Fetches the reference broker and the clients of other languages that the interop tests use.
interop: setup
	$(BIN)/python -m tools.interop fetch

bench: setup interop
	$(BIN)/python -m bench

docs: setup
	$(BIN)/python -m tools.generate_docs
	$(BIN)/python -m tests.conformance --write-lists

# One executable with everything in it, dist/pybroker. Needs a C compiler and an interpreter that comes as a static
# library (Debian: apt-get install gcc python3-dev).
binary:
	$(PYTHON) -m tools.binary

# The wheel and the source package, in dist/.
dist: setup
	$(BIN)/python -m build --outdir dist .

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
