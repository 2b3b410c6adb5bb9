#!/bin/sh
# Makes a machine to try a cloud with, in the working directory: `vmlinuz` and
# `initrd.gz`, of Debian's kernel and busybox, and an empty `disk.raw`. It tells on its
# serial console what it finds and answers on port 80. No secret
# is inside and nobody can log in.
#
# Needs the packages linux-image-cloud-amd64 and busybox-static.
set -eu
version=$(find /usr/lib/modules -mindepth 1 -maxdepth 1 -name '*-cloud-amd64' -printf '%f\n' | sort -V | tail -n 1)
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
mkdir "$root/bin" "$root/dev" "$root/proc" "$root/sys" "$root/modules" "$root/www"
cp /bin/busybox "$root/bin/"
for applet in cat echo httpd insmod ip mount sh sleep udhcpc wget; do
    ln -s busybox "$root/bin/$applet"
done
# What a machine under QEMU needs beyond what is built in, in the order of their needs.
for module in failover net_failover virtio_net virtio_blk; do
    find "/usr/lib/modules/$version" -name "$module.ko.xz" -exec busybox xzcat {} + \
        > "$root/modules/$module.ko"
done

cat > "$root/dhcp" <<'END'
#!/bin/sh
case $1 in
bound | renew)
    ip address add "$ip/$mask" dev eth0 2>/dev/null
    [ -z "$mtu" ] || ip link set eth0 mtu "$mtu"
    for to in $router; do ip route replace default via "$to"; done
    # Option 121: networks and who leads there, in turn.
    set -- $staticroutes
    while [ -n "${2-}" ]; do ip route replace "$1" via "$2"; shift 2; done
    ;;
esac
END

cat > "$root/init" <<'END'
#!/bin/sh
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
set --
for module in failover net_failover virtio_net virtio_blk; do
    # Who switches outside the kernel (`datapath: netdev`) sends sums on as they are,
    # so that they cannot be left to a device.
    [ "$module" != virtio_net ] || set -- csum=0 gso=0
    [ ! -s /modules/$module.ko ] || insmod /modules/$module.ko "$@"
    set --
done
ip link set lo up
ip link set eth0 up
echo "tiny: booted"
udhcpc -i eth0 -s /dhcp -t 30 -T 1 -n -q
echo "tiny: answers" > /www/index.html
httpd -p 80 -h /www
cat /www/index.html
seen=
while sleep 1; do
    now=
    for disk in /sys/block/vd?; do
        [ ! -e "$disk" ] || now="$now ${disk##*/}:$(cat "$disk/size")"
    done
    [ "$now" = "$seen" ] || echo "tiny: disks$now"
    seen=$now
done
END
chmod 755 "$root/dhcp" "$root/init"
(cd "$root" && find . | busybox cpio -o -H newc) | gzip > initrd.gz
cp "/boot/vmlinuz-$version" vmlinuz
# One partition: an image with a boot sector and none is taken for a forged one.
truncate -s 1M disk.raw
printf '\200\000\002\000\203\001\001\000\001\000\000\000\000\007\000\000' |
    dd of=disk.raw bs=1 seek=446 conv=notrunc status=none
printf '\125\252' | dd of=disk.raw bs=1 seek=510 conv=notrunc status=none
