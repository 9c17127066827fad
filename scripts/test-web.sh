#!/usr/bin/env bash
# Tests the page, and that web/dist is what its sources make.
set -euo pipefail
cd "$(dirname "$0")/../web"
npm ci --no-audit --no-fund
npm test
npm run build
git diff --exit-code -- dist
