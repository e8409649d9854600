#!/usr/bin/env bash
# `make demo`: the user document's story against the running service.
set -euo pipefail
cd "$(dirname "$0")/.."
[ -e .dormouse.env ] || { echo "dormouse demo: no .dormouse.env here. Run \"make up\" in another shell first." >&2; exit 1; }
. ./.dormouse.env
memory=${DORMOUSE_STATE_DIR:-${DORMOUSE_HOME:-/var/lib/dormouse}/state}/memory
[ -d "$memory" ] || {
  echo "dormouse demo: no $memory. Set DORMOUSE_HOME (or DORMOUSE_STATE_DIR) as it was for \"make up\"." >&2
  exit 1
}
python=$(setup/python-client.sh ucloud_sandbox==1.2.0)
exec "$python" demo/story.py "$memory"
