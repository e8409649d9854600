#!/bin/sh
# Runs on the host as mmdebstrap's customize hook; $1 is the guest's root directory.
set -eu
root=$1

chroot "$root" groupadd --gid 1000 user
chroot "$root" useradd --uid 1000 --gid 1000 --create-home --shell /bin/bash user
chroot "$root" passwd -d root >/dev/null
chmod 0440 "$root/etc/sudoers.d/user"

printf 'sandbox\n' > "$root/etc/hostname"
printf '127.0.0.1 localhost sandbox\n::1 localhost ip6-localhost ip6-loopback\n' > "$root/etc/hosts"
printf '/dev/vda / ext4 rw,noatime,discard 0 1\n' > "$root/etc/fstab"
printf 'LANG=C.UTF-8\n' > "$root/etc/default/locale"
: > "$root/etc/motd"
rm -f "$root/etc/update-motd.d/"* "$root/etc/issue.net"
rm -f "$root/etc/resolv.conf"
ln -s /run/systemd/resolve/resolv.conf "$root/etc/resolv.conf"

# The same file as users' Node, so that it is in memory once. Theirs can be replaced: the agent's stays.
ln "$root/usr/local/bin/node" "$root/opt/dormouse/dormoused"

# Filled in at the template's boot, which all clones share: the agent gives each its own at its first init.
: > "$root/etc/machine-id"

chroot "$root" systemctl enable systemd-networkd.service resolvers.path dormouse-agent.service
chroot "$root" systemctl mask \
  getty@tty1.service serial-getty@ttyS0.service console-getty.service \
  apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer fstrim.timer \
  systemd-timesyncd.service systemd-networkd-wait-online.service man-db.timer logrotate.timer \
  systemd-pstore.service e2scrub_reap.service
mkdir -p "$root/etc/systemd/journald.conf.d"
printf '[Journal]\nStorage=volatile\nRuntimeMaxUse=8M\n' > "$root/etc/systemd/journald.conf.d/sandbox.conf"
"$(dirname "$0")/lean-boot.sh" "$root"

rm -rf "$root/var/lib/apt/lists/"* "$root/var/cache/apt/"*.bin "$root/usr/share/doc/"* "$root/usr/share/man/"*
