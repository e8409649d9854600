#!/usr/bin/env bash
# A compose implementation for tests, as arguments to it: `setup/compose.sh config ...`. No engine is needed for that.
set -euo pipefail

if docker compose version >/dev/null 2>&1; then exec docker compose "$@"; fi
if ! command -v docker-compose >/dev/null; then
  say() { printf 'dormouse setup: %s\n' "$*" >&2; }
  as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }
  command -v apt-get >/dev/null || { say "neither \`docker compose\` nor docker-compose is here, and this system has no apt-get. Install one of them."; exit 1; }
  say "about to install with apt-get: docker-compose"
  export DEBIAN_FRONTEND=noninteractive
  as_root apt-get update -qq >&2
  as_root apt-get install -y -q --no-install-recommends docker-compose >&2
fi
exec docker-compose "$@"
