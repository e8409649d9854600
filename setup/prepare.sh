#!/usr/bin/env bash
# Brings a checkout to the point where `node dist/...` runs: system packages, npm packages, build. Quick when all is there.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf 'dormouse setup: %s\n' "$*"; }
fail() { printf 'dormouse setup: %s\n' "$*" >&2; exit 1; }

command -v node >/dev/null || fail "Node.js is missing. Install version 20.12 or newer, with npm, and run again."
node -e 'const [a,b]=process.versions.node.split(".").map(Number); process.exit(a>20||(a===20&&b>=12)?0:1)' ||
  fail "Node.js $(node --version) is too old. Install version 20.12 or newer, and run again."
[ "$(uname -m)" = x86_64 ] || fail "this machine is $(uname -m); guests are x86_64 only."

[ -n "${DORMOUSE_SKIP_PACKAGES:-}" ] || setup/packages.sh

stamp=node_modules/.dormouse-installed
if ! cmp -s package-lock.json "$stamp"; then
  say "installing npm packages (about a minute: the libvirt binding is compiled)"
  npm ci --loglevel=error --no-audit --no-fund || fail "npm ci failed; its output is above. Check the network, and that libvirt-dev and a C++ compiler are there."
  cp package-lock.json "$stamp"
fi
say "compiling"
node build.mjs || fail "the build failed; the compiler's output is above."
