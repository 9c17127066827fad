#!/usr/bin/env bash
# Fuzzes what reads segments, indexes and session.json. SECONDS a target, 20 without it: a minute in all.
set -euo pipefail
cd "$(dirname "$0")/.."
BL_FUZZ_SECONDS=${1:-20} cargo test --workspace --test fuzz -- --nocapture --test-threads 1
