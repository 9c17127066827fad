#!/usr/bin/env bash
# Installs what a part of the work needs and the machine lacks: setup.sh build|peers|prometheus|gst|web ...
set -euo pipefail

say() { printf '== %s\n' "$*" >&2; }

# As root.
root() {
    if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo "$@"; fi
}

update() {
    root apt-get update -qq
}

# Installs the Debian packages that are missing.
need_packages() {
    local missing=() p
    for p in "$@"; do
        dpkg-query -W -f='${Status}' "$p" 2>/dev/null | grep -q 'install ok installed' || missing+=("$p")
    done
    [ ${#missing[@]} -eq 0 ] && return
    command -v apt-get >/dev/null || { say "please install: ${missing[*]}"; exit 1; }
    say "installing ${missing[*]}"
    update
    root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >&2
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

# Unpacked, not installed: the package would start a server of its own on port 9090.
prometheus() {
    [ -x "$BL_PROMETHEUS/promtool" ] && [ -x "$BL_PROMETHEUS/prometheus" ] && return
    command -v dpkg-deb >/dev/null || { say "please put prometheus and promtool into $BL_PROMETHEUS"; exit 1; }
    say "unpacking prometheus into $BL_PROMETHEUS"
    local folder
    folder=$(mktemp -d)
    mkdir -p "$BL_PROMETHEUS"
    (
        cd "$folder"
        apt-get download -qq prometheus >&2 || { update && apt-get download -qq prometheus >&2; }
        dpkg-deb -x prometheus_*.deb .
    )
    install -m 755 "$folder"/usr/bin/prometheus "$folder"/usr/bin/promtool "$BL_PROMETHEUS"
    rm -rf "$folder"
}

web() {
    command -v node >/dev/null && command -v npm >/dev/null || need_packages nodejs npm
    [ -x /usr/bin/chromium ] || need_packages chromium
}

for part in "$@"; do
    "$part"
done
