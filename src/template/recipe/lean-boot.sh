#!/bin/sh
# Takes out of the guest's boot what no sandbox needs; customize.sh runs it, $1 is the guest's root directory. Under
# emulation every program that a boot starts takes some tenths of a second, and somebody waits for all of them.
set -eu
root=$1
system="$root/etc/systemd/system"

# The fences of systemd's own services: a seccomp filter, a name space of mounts and a program for the cgroup each. They
# protect a machine from its services; all of this machine belongs to one tenant, who is root in it.
for service in systemd-journald systemd-logind systemd-networkd systemd-udevd; do
  mkdir -p "$system/$service.service.d"
  cat > "$system/$service.service.d/no-fences.conf" <<'UNIT'
[Service]
DeviceAllow=
IPAddressDeny=
LockPersonality=no
MemoryDenyWriteExecute=no
NoNewPrivileges=no
PrivateTmp=no
ProtectClock=no
ProtectControlGroups=no
ProtectHome=no
ProtectHostname=no
ProtectKernelLogs=no
ProtectKernelModules=no
ProtectProc=default
ProtectSystem=no
RestrictAddressFamilies=
RestrictNamespaces=no
RestrictRealtime=no
RestrictSUIDSGID=no
SystemCallArchitectures=
SystemCallFilter=
UNIT
done

# Of the devices that are there at the boot, udev is told of those that programs look up by it. The drivers of the others
# are in modules-load.d; what is plugged in later is told in any case.
mkdir -p "$system/systemd-udev-trigger.service.d"
cat > "$system/systemd-udev-trigger.service.d/few-devices.conf" <<'UNIT'
[Service]
ExecStart=
ExecStart=udevadm trigger --type=devices --action=add --prioritized-subsystem=net,block,input --subsystem-match=net --subsystem-match=block --subsystem-match=input
UNIT

# No disk is looked for, nobody logs in at a terminal, the journal is never moved to the disk, and packages that are
# installed make their users themselves.
chroot "$root" systemctl mask --quiet \
  systemd-journal-flush.service systemd-update-utmp.service systemd-update-utmp-runlevel.service \
  systemd-network-generator.service systemd-sysusers.service \
  systemd-ask-password-console.path systemd-ask-password-wall.path sys-kernel-config.mount \
  modprobe@configfs.service modprobe@dm_mod.service modprobe@drm.service modprobe@efi_pstore.service \
  modprobe@fuse.service modprobe@loop.service

mkdir -p "$root/etc/systemd/system-generators"
for generator in cryptsetup gpt-auto hibernate-resume integritysetup run system-update veritysetup getty; do
  ln -s /dev/null "$root/etc/systemd/system-generators/systemd-$generator-generator"
done

# The only format that would be registered at each boot: of compiled Python files that are executable.
rm -f "$root/usr/lib/binfmt.d/"python3.*.conf
