# Two commands are all a fresh Debian or Ubuntu with rustup needs: `make demo` and `make test`. They install what is
# missing. The rest is for daily work.
#
#   make demo            the stock-trade example on the embedded log: no Kafka, no Java
#   make demo KAFKA=1    the same on a real broker, which is installed and started for it
#   make test            everything CI runs: what is quick first, what needs Kafka last
#   make crash-test      hosts and brokers die for MINUTES (10) under each guarantee; SEED repeats what is printed
#   make oracle          run all cases of tests/oracle through Kafka Streams anew, which writes their goldens
#   make build           the programs, at bin/tidemill and bin/trades
#   make lint | fmt | doc | unit | cases | acceptance | bench
#
# Everything is built in one profile (release) into one folder outside the clone, so that a second clone builds in
# seconds. CARGO_TARGET_DIR names another. Cargo tells old from new by file times alone, so a clone that was not the
# last one to build there marks its files as new first.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.NOTPARALLEL:
.PHONY: demo test build lint fmt doc unit cases acceptance crash-test oracle bench tools kafka

export CARGO_TARGET_DIR ?= $(HOME)/.cache/tidemill/target
KAFKA ?=
MINUTES ?= 10
SEED ?=
EXAMPLES := $(patsubst %/tidemill.toml,%,$(wildcard examples/*/tidemill.toml functions/*/tidemill.toml))

demo: build $(if $(KAFKA),kafka)
	KAFKA=$(KAFKA) examples/stock-trades/demo

test: lint unit cases doc acceptance

build: tools
	cargo build --release --locked --bins
	mkdir -p bin
	ln -sfn "$(CARGO_TARGET_DIR)"/release/{tidemill,trades} bin/

fmt:
	cargo fmt --all

lint: tools
	cargo fmt --all --check
	cargo clippy --release --locked --workspace --all-targets -- -D warnings

# Unit, property and documentation tests; none of them needs a broker.
unit: tools
	cargo test --release --locked --workspace --exclude tidemill-tests

# The case files of every example and function, on the embedded log.
cases: build
	for example in $(EXAMPLES); do bin/tidemill test "$$example/tidemill.toml"; done

doc: tools
	RUSTDOCFLAGS="-D warnings" cargo doc --release --locked --workspace --no-deps

# The built binary against a real Apache Kafka, which the tests start and stop. All of the workspace is named, though
# one test is run: a narrower choice would build the dependencies again with fewer features.
acceptance: build kafka
	tests/tools/packages oracle
	TIDEMILL="$(CURDIR)/bin/tidemill" cargo test --release --locked --workspace --test acceptance

crash-test: build kafka
	TIDEMILL="$(CURDIR)/bin/tidemill" CRASH_MINUTES=$(MINUTES) $(if $(SEED),CRASH_SEED=$(SEED)) \
		cargo test --release --locked --workspace --test acceptance crash::storms -- --nocapture --test-threads=1

oracle:
	tests/tools/packages oracle
	tests/oracle/regenerate
	git status --short tests/oracle/goldens

# How many records, keys and rounds: see the heads of throughput.rs, state/main.rs and windows/main.rs in tests/bench.
bench: build kafka
	cargo bench --profile release --locked --workspace --bench '*'

tools:
	mkdir -p "$(CARGO_TARGET_DIR)"
	if [ "$$(cat "$(CARGO_TARGET_DIR)/.clone" 2>/dev/null)" != "$(CURDIR)" ]; then \
		git ls-files -z | xargs -0 touch -c && echo "$(CURDIR)" >"$(CARGO_TARGET_DIR)/.clone"; \
	fi
	tests/tools/packages
	tests/tools/wasm-target wasm32-unknown-unknown >/dev/null

kafka:
	tests/tools/packages kafka
	tests/tools/kafka install >/dev/null
