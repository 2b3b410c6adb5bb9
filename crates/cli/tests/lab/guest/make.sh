#!/bin/sh
# Makes a guest that answers pings, of Debian's own kernel and busybox: make.sh FOLDER
# FOLDER gets `kernel`, `initrd` and `disk` (an empty partition: the kernel is started directly).
set -eu
folder=$1
[ ! -e "$folder/disk" ] || exit 0
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
chmod 755 "$work"
cd "$work"
kernel=$(apt-cache search --names-only '^linux-image-[0-9].*cloud-amd64$' | cut -d ' ' -f 1 | sort -V | tail -n 1)
apt-get download --quiet "$kernel" busybox-static
for package in *.deb; do dpkg-deb -x "$package" x; done
busybox=$work/$(find x -path '*/bin/busybox' -type f)
mkdir -p root/bin root/dev root/proc root/sys root/etc
cp "$busybox" root/bin/busybox
for module in net/core/failover drivers/net/net_failover drivers/net/virtio_net; do
    xz -dc x/lib/modules/*/kernel/$module.ko.xz >"root/$(basename $module).ko"
done
cat >root/init <<'END'
#!/bin/busybox sh
/bin/busybox --install -s /bin
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev
for module in failover net_failover virtio_net; do insmod /$module.ko; done
ip link set lo up
while :; do
    [ ! -e /sys/class/net/eth0 ] || { ip link set eth0 up; udhcpc -f -i eth0 -t 20 -T 1 -A 1 -s /etc/lease; }
    sleep 1
done
END
cat >root/etc/lease <<'END'
#!/bin/sh
[ "$1" = bound ] || [ "$1" = renew ] || exit 0
ip addr flush dev $interface
ip addr add $ip/$mask dev $interface
[ -z "$router" ] || ip route replace default via ${router%% *}
END
chmod 755 root/init root/etc/lease
(cd root && find . | "$busybox" cpio -o -H newc 2>/dev/null | gzip -9) >initrd
truncate -s 1M disk
printf '\000\002\000\000\203\000\000\000\001\000\000\000\377\003\000\000' | dd of=disk bs=1 seek=446 conv=notrunc status=none
printf '\125\252' | dd of=disk bs=1 seek=510 conv=notrunc status=none
mkdir -p "$folder"
cp x/boot/vmlinuz-* "$folder/kernel"
cp initrd "$folder/initrd"
cp disk "$folder/disk"
