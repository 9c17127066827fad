#!/usr/bin/env bash
# Tells which dependencies one crate alone would build with other features than the workspace: none for those above DataFusion.
set -euo pipefail
cd "$(dirname "$0")/.."
of() { cargo tree "$@" -e normal,build,dev --prefix none -f '{p} | {f}' | sed 's/ (\*)//' | sort -u; }
all=$(of --workspace)
failed=0
for crate in bl-query bl-export bl-serve bl; do
    if other=$(comm -13 <(echo "$all") <(of -p "$crate")) && [ -n "$other" ]; then
        printf '%s alone builds with other features than the workspace; add them to features/Cargo.toml:\n%s\n' "$crate" "$other" >&2
        failed=1
    fi
done
exit $failed
