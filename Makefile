# make demo         build, record 20 s, ask three questions, write a file for CapFrameX
# make test         everything that CI checks; installs what it needs (Debian, Ubuntu)
# make gst-plugin   what `bl probe` needs: the GStreamer tracer
# make long         the same with new random cases and many more of them
# make dist         bl and the tracer in one folder, as they are handed out
# make fuzz         a minute of bytes that no writer wrote
# make soak         an hour at full rate with full disks and readers, which checks itself
# make bench        the figures of the README, measured here

# Property tests draw the same cases each time; `make long` draws new ones.
export PROPTEST_RNG_SEED ?= 20261124

# CI works in a fresh clone each time: what it builds is kept outside of it.
ifeq ($(CI),true)
export CARGO_TARGET_DIR ?= $(HOME)/.cache/bl/target
endif
CACHE := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/bl
export BL_TEST_VENV ?= $(CACHE)/venv
export BL_PROMETHEUS ?= $(CACHE)/prometheus

.PHONY: demo test lint unit fuzz soak long peers gst gst-plugin web bench dictionary dist

demo:
	scripts/demo.sh

test: lint unit fuzz peers gst web

lint:
	scripts/setup.sh build
	cargo fmt --all --check
	scripts/features.sh
	cargo clippy --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps

unit:
	scripts/setup.sh build
	cargo test --workspace

fuzz:
	scripts/fuzz.sh

# Wants `bl` as it is handed out, and root for the full disk.
soak:
	cargo build --release -p bl
	BL=$${CARGO_TARGET_DIR:-target}/release/bl scripts/soak.sh 1h

# Property tests with a seed of their own and many more cases, kills by the hundred, minutes of hostile requests, the study of keyless pairing: an hour.
long:
	PROPTEST_RNG_SEED=$$(date +%s) PROPTEST_CASES=4096 cargo test --workspace --lib --test latency
	BL_KILLS=200 cargo test --workspace --test crash
	BL_FUZZ_SECONDS=60 cargo test --workspace --test strangers -- --ignored
	cargo test --release -p bl-align --lib -- --ignored
	BL_FUZZ_RUNS=10000000 cargo test --release -p bl-store --test fuzz -- --nocapture
	BL_POWER_CUTS=30 cargo test --release -p bl-store --test power_cut -- --ignored --nocapture

# Against real peers: the official client, the vendor's server and publisher, DuckDB and pyarrow, Prometheus.
peers:
	scripts/setup.sh build peers prometheus
	BL_PYCORE_PYTHON=$(BL_TEST_VENV)/bin/python cargo test --workspace --test pycore --test network -- --ignored
	BL_PEERS_PYTHON=$(BL_TEST_VENV)/bin/python cargo test --workspace --test readers -- --ignored
	cargo test --workspace --test serve -- --ignored

# The tracer plugin, in real pipelines, and `bl probe` with it.
gst:
	scripts/setup.sh build gst
	scripts/test-gst.sh

gst-plugin:
	scripts/setup.sh build gst
	scripts/gst-plugin.sh

# The page: its own tests, whether web/dist is what its sources make, and all of it in Chromium against the real `bl serve`.
web:
	scripts/setup.sh build web
	scripts/test-web.sh

bench:
	scripts/bench.sh

# schemas/README.md, bl/src/config/default.toml and docs/configuration.md, from what they describe.
dictionary:
	BL_UPDATE=1 cargo test -p bl-schemas
	BL_UPDATE=1 cargo test -p bl config

# bl and the tracer, as they are handed out.
dist:
	scripts/setup.sh build
	scripts/dist.sh
