#!/usr/bin/env bash
# Builds the checker of test/linearizability with Go; prints the path of its program.
set -euo pipefail
cd "$(dirname "$0")/../test/linearizability/checker"
version=$(cat go.mod go.sum ./*.go | sha256sum | cut -c1-16)
program=${DORMOUSE_HOME:-/var/lib/dormouse}/tools/linearizability-$version
if [ ! -x "$program" ]; then
  mkdir -p "$(dirname "$program")"
  GOTOOLCHAIN=local go build -o "$program.$$" . >&2 || {
    echo "dormouse setup: the linearizability checker could not be built; Go's output is above. Check the network, and run again." >&2
    exit 1
  }
  mv "$program.$$" "$program"
fi
echo "$program"
