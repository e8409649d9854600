#!/usr/bin/env bash
# Installs the system packages that Dormouse needs and that are missing. Changes nothing else on the machine.
set -euo pipefail

say() { printf 'dormouse setup: %s\n' "$*"; }
fail() { printf 'dormouse setup: %s\n' "$*" >&2; exit 1; }

command -v apt-get >/dev/null || fail "this system has no apt-get. Install libvirt >= 11, QEMU >= 10, passt, nftables, mmdebstrap and tini by hand, then run again with DORMOUSE_SKIP_PACKAGES=1."

as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }

# From the release itself.
base=(build-essential libzstd1 pkg-config python3 python3-venv util-linux passt nftables iproute2 tini mmdebstrap e2fsprogs ca-certificates)
# From backports where the release's own versions are too old (Debian 12: libvirt 9.0, QEMU 7.2).
virt=(qemu-system-x86 qemu-utils libvirt-daemon-system libvirt-daemon-driver-qemu libvirt-clients libvirt-dev)

. /etc/os-release
installed() { dpkg-query -W -f='${Status}' "$1" 2>/dev/null | grep -q 'install ok installed'; }
libvirt_is_new_enough() { local v; v=$(dpkg-query -W -f='${Version}' libvirt-daemon-system 2>/dev/null) && dpkg --compare-versions "$v" ge 11; }

missing=()
for p in "${base[@]}"; do installed "$p" || missing+=("$p"); done
virt_missing=()
for p in "${virt[@]}"; do installed "$p" || virt_missing+=("$p"); done
if [ "${VERSION_CODENAME:-}" = bookworm ] && ! libvirt_is_new_enough; then virt_missing=("${virt[@]}"); fi

if [ ${#missing[@]} = 0 ] && [ ${#virt_missing[@]} = 0 ]; then say "system packages: all there"; exit 0; fi

say "about to install with apt-get: ${missing[*]} ${virt_missing[*]}"
export DEBIAN_FRONTEND=noninteractive

if [ "${VERSION_CODENAME:-}" = bookworm ] && [ ${#virt_missing[@]} != 0 ] && ! grep -rqs 'bookworm-backports' /etc/apt/sources.list /etc/apt/sources.list.d; then
  own=/etc/apt/sources.list.d/dormouse-backports.sources
  say "adding the suite bookworm-backports as $own"
  uri=$(awk '/^URIs:/ {print $2; exit}' /etc/apt/sources.list.d/debian.sources 2>/dev/null || true)
  [ -n "$uri" ] || uri=$(awk '$1 == "deb" && $3 == "bookworm" {print $2; exit}' /etc/apt/sources.list)
  key=$(awk '/^Signed-By:/ {print $2; exit}' /etc/apt/sources.list.d/debian.sources 2>/dev/null || true)
  printf 'Types: deb\nURIs: %s\nSuites: bookworm-backports\nComponents: main\n%s' "$uri" "${key:+Signed-By: $key
}" | as_root tee "$own" >/dev/null
fi

as_root apt-get update -qq
[ ${#missing[@]} = 0 ] || as_root apt-get install -y -q --no-install-recommends "${missing[@]}"
if [ ${#virt_missing[@]} != 0 ]; then
  if [ "${VERSION_CODENAME:-}" = bookworm ]; then
    as_root apt-get install -y -q --no-install-recommends -t bookworm-backports "${virt_missing[@]}"
  else
    as_root apt-get install -y -q --no-install-recommends "${virt_missing[@]}"
  fi
fi
say "system packages: installed"
