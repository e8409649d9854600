#!/usr/bin/env bash
# Temporal's test server, in which days pass at once (Java, from Maven Central); prints the path of its program.
set -euo pipefail

VERSION=1.31.0
directory=${DORMOUSE_HOME:-/var/lib/dormouse}/tools/time-skipping-server-$VERSION
program=$directory/temporal-test-server

say() { printf 'dormouse setup: %s\n' "$*" >&2; }
fail() { say "$*"; exit 1; }
as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }

missing=()
command -v java >/dev/null || missing+=(default-jre-headless)
[ -e "$directory/.complete" ] || command -v mvn >/dev/null || missing+=(maven)
if [ ${#missing[@]} != 0 ]; then
  command -v apt-get >/dev/null || fail "the time-skipped tests need ${missing[*]}, and this system has no apt-get. Install java and mvn by hand."
  say "about to install with apt-get: ${missing[*]}"
  export DEBIAN_FRONTEND=noninteractive
  as_root apt-get update -qq >&2
  as_root apt-get install -y -q --no-install-recommends "${missing[@]}" >&2
fi

if [ ! -e "$directory/.complete" ]; then
  say "fetching Temporal's time-skipping test server $VERSION with Maven (10 s to a minute, once)"
  rm -rf "$directory"
  mkdir -p "$directory"
  cat >"$directory/pom.xml" <<POM
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>dormouse</groupId><artifactId>time-skipping-server</artifactId><version>1</version>
  <dependencies>
    <dependency><groupId>io.temporal</groupId><artifactId>temporal-test-server</artifactId><version>$VERSION</version></dependency>
  </dependencies>
</project>
POM
  mvn -q -B -f "$directory/pom.xml" dependency:copy-dependencies -DoutputDirectory="$directory/jars" >&2 ||
    fail "Maven could not fetch io.temporal:temporal-test-server:$VERSION; its output is above. Check the network, and run again."
  cat >"$program" <<'SH'
#!/bin/sh
exec java -cp "$(dirname "$0")/jars/*" io.temporal.testserver.TestServer "$@"
SH
  chmod +x "$program"
  touch "$directory/.complete"
fi
echo "$program"
