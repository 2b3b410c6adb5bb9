#!/bin/sh
# Makes a bare host of the installed root "$1": nothing of the payload starts by
# itself, no identity is inside, and it boots without waiting for anything.
# KEEP_DEBS: packages whose archive stays. SUITE: the Debian suite.
set -eu
root=$1
units=$root/etc/systemd/system

# The build's own settings must not reach the hosts.
rm -f "$root/usr/sbin/policy-rc.d" "$root/etc/dpkg/dpkg.cfg.d/99mmdebstrap" \
    "$root/etc/apt/apt.conf.d/99mmdebstrap"
printf 'Acquire::Languages "none";\n' > "$root/etc/apt/apt.conf.d/90lab"

# Whatever a package switched on is switched off, except what makes a host: by
# the stock way, so that it can be switched on by the stock way too.
off=
for unit in $(chroot "$root" systemctl --root=/ list-unit-files --state=enabled --no-legend |
    awk '{ print $1 }'); do
    case $unit in
        ssh.service|dbus*|remote-fs.target|systemd-tmpfiles-clean.timer) ;;
        *) off="$off $unit" ;;
    esac
done
[ -z "$off" ] || chroot "$root" systemctl --quiet disable $off
for unit in $(find "$root/usr/lib/systemd/system/multi-user.target.wants" \
    "$root/usr/lib/systemd/system/timers.target.wants" -type l 2>/dev/null); do
    case ${unit##*/} in
        dbus*|systemd-*|getty.target) ;;
        *) ln -sfn /dev/null "$units/${unit##*/}" ;;
    esac
done
# The same for scripts without a unit, which a generator would start.
for link in "$root"/etc/rc[2-5].d/S*; do
    name=${link##*/S??}
    [ ! -e "$link" ] || [ -e "$root/usr/lib/systemd/system/$name.service" ] ||
        mv "$link" "${link%/*}/K01$name"
done

# What only costs time in a container.
for unit in apparmor.service apt-daily.timer apt-daily-upgrade.timer console-getty.service \
    dev-hugepages.mount dpkg-db-backup.timer e2scrub_all.timer e2scrub_reap.service fstrim.timer \
    getty.target kmod-static-nodes.service ldconfig.service man-db.timer modprobe@.service \
    proc-sys-fs-binfmt_misc.automount sys-fs-fuse-connections.mount sys-kernel-config.mount \
    sys-kernel-debug.mount sys-kernel-tracing.mount systemd-binfmt.service \
    systemd-firstboot.service systemd-hwdb-update.service systemd-modules-load.service \
    systemd-networkd-wait-online.service systemd-networkd.service systemd-networkd.socket \
    systemd-pcrextend.socket systemd-pcrlock.socket systemd-pstore.service \
    systemd-random-seed.service systemd-resolved.service systemd-timesyncd.service \
    systemd-udevd-control.socket systemd-udevd-kernel.socket systemd-udevd.service \
    systemd-udev-trigger.service; do
    ln -sfn /dev/null "$units/$unit"
done
ln -sfn /usr/lib/systemd/system/multi-user.target "$units/default.target"

mkdir -p "$root/etc/systemd/journald.conf.d" "$root/etc/ssh/sshd_config.d" "$root/var/log/journal"
cat > "$root/etc/systemd/journald.conf.d/lab.conf" <<EOF
[Journal]
Storage=persistent
SystemMaxUse=64M
Audit=no
ReadKMsg=no
EOF

# The kernel has no NFS: a share is a folder that all hosts of the lab have, whatever
# becomes of them. Who mounts, uses and unmounts it does that as with a server's.
if [ -e "$root/usr/sbin/mount.nfs" ]; then
    rm -f "$root/usr/sbin/mount.nfs" "$root/usr/sbin/mount.nfs4"
    cat > "$root/usr/sbin/mount.nfs" <<'EOF'
#!/bin/sh
set -eu
share=/srv/lab/nfs/$1
mkdir -p "$share"
exec mount --bind "$share" "$2"
EOF
    chmod 755 "$root/usr/sbin/mount.nfs"
    ln -s mount.nfs "$root/usr/sbin/mount.nfs4"
fi

# Identity is given at the first power-on.
rm -f "$root"/etc/ssh/ssh_host_* "$root/var/lib/dbus/machine-id"
: > "$root/etc/machine-id"
rm -f "$root/etc/hostname" "$root/etc/resolv.conf"
: > "$root/etc/resolv.conf"
printf '127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n' > "$root/etc/hosts"

cat > "$root/etc/ssh/sshd_config.d/00-lab.conf" <<EOF
HostKey /etc/ssh/ssh_host_ed25519_key
AuthorizedKeysFile .ssh/authorized_keys /etc/ssh/lab_authorized_keys
UseDNS no
UsePAM no
PrintMotd no
PasswordAuthentication no
KbdInteractiveAuthentication no
MaxStartups 1000
MaxSessions 1000
EOF
case $SUITE in
    buster|bullseye|bookworm) ;;
    *) echo 'PerSourcePenalties no' >> "$root/etc/ssh/sshd_config.d/00-lab.conf" ;;
esac

# One user who may become root, one who may not. No password opens them; the
# lock mark in place of a password would close them to keys too.
for user in operator nosudo; do
    group=users
    grep -q "^$user:" "$root/etc/group" && group=$user
    chroot "$root" useradd --create-home --no-user-group --gid "$group" --shell /bin/bash "$user"
    chroot "$root" usermod --password '*' "$user"
done
chroot "$root" usermod --password '*' root
printf 'operator ALL=(ALL:ALL) NOPASSWD: ALL\n' > "$root/etc/sudoers.d/operator"
chmod 440 "$root/etc/sudoers.d/operator"

# Archives of packages that hosts may have to install again, offline.
find "$root/var/cache/apt/archives" -name '*.deb' |
while read -r deb; do
    package=${deb##*/}
    case " $KEEP_DEBS " in
        *" ${package%%_*} "*) ;;
        *) rm -f "$deb" ;;
    esac
done
chroot "$root" apt-cache gencaches > /dev/null 2>&1 || :

# Nothing is older than /usr: no update services at the first boot.
touch "$root/etc/.updated" "$root/var/.updated"
