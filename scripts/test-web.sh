#!/usr/bin/env bash
# Tests the page, that web/dist is what its sources make, and, in Chromium, the page against the real `bl serve`.
set -euo pipefail
cd "$(dirname "$0")/.."
# As the tests have it already: with the features of --bin alone, cargo would build DataFusion once more.
cargo test -q --workspace --test serve --no-run
target=$(realpath "${CARGO_TARGET_DIR:-target}")
cd web
npm ci --no-audit --no-fund
npm test
npm run build
git diff --exit-code -- dist
node --test e2e/contract.e2e.mjs # the stand-in for development answers as the server does
BL=$target/debug/bl e2e/serve.sh
