# Powers a host on: runs in a mount namespace of its own, whose mounts nobody
# else sees, and becomes the container's manager. With it all mounts go.
set -eu
[ -z "$LAB_CGROUP" ] || echo 0 > "$LAB_CGROUP/cgroup.procs"

# This namespace began as a copy: what the host does not need would be kept
# mounted by it, such as another host's disk after its power cut.
awk '{ gsub(/\\040/, " ", $5); print $5 }' /proc/self/mountinfo | sort -r |
while IFS= read -r at; do
    case $at in
        /proc|/proc/*|/sys|/sys/*|/dev|/dev/*) continue ;;
    esac
    for need in "$LAB_DISK" "$LAB_MOUNTS" "$LAB_IMAGE" "/run/netns/$LAB_MACHINE" \
        /bin/x /sbin/x /lib/x /lib64/x /usr/bin/x /usr/sbin/x /usr/lib/x /etc/x /tmp/x /run/systemd/x; do
        case $need/ in "${at%/}"/*) continue 2 ;; esac
    done
    umount --lazy "$at" 2>/dev/null || :
done

mount -t ext4 -o loop,noatime,noinit_itable "$LAB_DISK" "$LAB_MOUNTS/disk"
mkdir -p "$LAB_MOUNTS/disk/upper" "$LAB_MOUNTS/disk/work"
mount -t overlay \
    -o "lowerdir=$LAB_IMAGE,upperdir=$LAB_MOUNTS/disk/upper,workdir=$LAB_MOUNTS/disk/work,redirect_dir=on" \
    overlay "$LAB_MOUNTS/root"
if [ -e "$LAB_MOUNTS/disk/seeded" ]; then
    sleep "$LAB_SELF_TEST"
else
    cp -a "$LAB_SEED/." "$LAB_MOUNTS/root/"
    sync -f "$LAB_MOUNTS/disk"
    : > "$LAB_MOUNTS/disk/seeded"
    sync -f "$LAB_MOUNTS/disk"
fi

# No clock and no modules: both are this machine's.
exec env -i PATH="$PATH" SYSTEMD_NSPAWN_LOCK=0 SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1 \
    SYSTEMD_NSPAWN_API_VFS_WRITABLE=network \
    systemd-nspawn --quiet --register=no --keep-unit --directory="$LAB_MOUNTS/root" \
    --machine="$LAB_MACHINE" --hostname="$LAB_HOST" \
    --network-namespace-path="/run/netns/$LAB_MACHINE" \
    --capability=all --drop-capability=CAP_SYS_TIME,CAP_SYS_MODULE \
    --system-call-filter='@keyring bpf @mount perf_event_open' \
    --resolv-conf=off --timezone=off --link-journal=no --console=read-only $LAB_BINDS \
    --setenv=SYSTEMD_CGROUP_ENABLE_LEGACY_FORCE=1 --boot
