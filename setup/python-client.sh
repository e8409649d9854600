#!/usr/bin/env bash
# A Python environment with exactly one published SDK ($1, for example ucloud_sandbox==1.2.0); prints its python.
set -euo pipefail
directory=${DORMOUSE_HOME:-/var/lib/dormouse}/tools/venv-${1//==/-}
mkdir -p "$(dirname "$directory")"
# Several tests may want the same one at once.
exec 9>"$directory.lock"
flock 9
if [ ! -e "$directory/.complete" ]; then
  python3 -m venv --clear "$directory" >&2
  "$directory/bin/pip" install --quiet "$1" >&2
  touch "$directory/.complete"
fi
echo "$directory/bin/python"
