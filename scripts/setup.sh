#!/usr/bin/env bash
# Installs what a part of the work needs and the machine lacks: setup.sh build|peers|gst|web ...
set -euo pipefail

say() { printf '== %s\n' "$*" >&2; }

# Installs the Debian packages that are missing.
need_packages() {
    local missing=() p
    for p in "$@"; do
        dpkg-query -W -f='${Status}' "$p" 2>/dev/null | grep -q 'install ok installed' || missing+=("$p")
    done
    [ ${#missing[@]} -eq 0 ] && return
    command -v apt-get >/dev/null || { say "please install: ${missing[*]}"; exit 1; }
    local sudo=()
    [ "$(id -u)" -eq 0 ] || sudo=(sudo)
    say "installing ${missing[*]}"
    "${sudo[@]}" apt-get update -qq
    "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >&2
}

build() {
    command -v cargo >/dev/null || { say "Rust is missing: see https://rustup.rs"; exit 1; }
    command -v cc >/dev/null || need_packages build-essential
}

peers() {
    local python=${PYTHON:-python3}
    "$python" -c 'import venv, ensurepip' 2>/dev/null || need_packages python3 python3-venv
    if [ ! -x "$BL_TEST_VENV/bin/python" ]; then
        say "making a Python environment in $BL_TEST_VENV"
        "$python" -m venv "$BL_TEST_VENV"
    fi
    command -v mosquitto >/dev/null || need_packages mosquitto
    "$BL_TEST_VENV/bin/pip" install -q --disable-pip-version-check -r "$(dirname "$0")/peers.txt"
}

gst() {
    need_packages pkg-config libgstreamer1.0-dev gstreamer1.0-tools gstreamer1.0-plugins-base \
        gstreamer1.0-plugins-good gstreamer1.0-plugins-ugly
}

web() {
    command -v node >/dev/null && command -v npm >/dev/null || need_packages nodejs npm
    [ -x /usr/bin/chromium ] || need_packages chromium
}

for part in "$@"; do
    "$part"
done
