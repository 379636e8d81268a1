#!/usr/bin/env bash
# Builds the image of a confidential VM (Intel TDX, AMD SEV-SNP): one EFI program
# that holds kernel, command line and the root file system, so that one measurement
# covers all of it. In the root file system are two programs and nothing else: boot
# and secure-signer.
#
#   hardware/vm/build.sh ETC FOLDER
#
#   ETC                         the image's /etc: secure-signer.yaml, the settings of init
#                               and serve, and the certificates that they name
#   SIGNER=dist/secure-signer   as `make release` has built it; built if left out
#   KERNEL=/boot/vmlinuz-...    Linux 6.7 or later, for configfs-tsm
#   MODULES=/lib/modules/...    of the same kernel
#   STUB=/usr/lib/systemd/boot/efi/linuxx64.efi.stub
#
# Needs go, cpio, xz and objcopy. The same inputs give the same bytes.
set -euo pipefail
[ $# -eq 2 ] || { echo "usage: hardware/vm/build.sh ETC FOLDER" >&2 && exit 2; }
etc=$(realpath -m "$1") out=$(realpath -m "$2")
cd "$(dirname "$0")/../.."

for tool in go cpio xz objcopy; do
	command -v "$tool" >/dev/null || { echo "$tool is missing: apt-get install golang cpio xz-utils binutils" >&2 && exit 1; }
done
kernel=${KERNEL:-$(find /boot -name 'vmlinuz-*' 2>/dev/null | sort -V | tail -n 1)}
modules=${MODULES:-/lib/modules/${kernel#*vmlinuz-}}
stub=${STUB:-/usr/lib/systemd/boot/efi/linuxx64.efi.stub}
[ -f "$etc/secure-signer.yaml" ] || { echo "$etc/secure-signer.yaml is missing: the settings, as docs/hardware.md has them" >&2 && exit 1; }
[ -n "$kernel" ] || { echo "there is no kernel in /boot: apt-get install linux-image-cloud-amd64, 6.7 or later, or name one with KERNEL" >&2 && exit 1; }
[ -f "$kernel" ] && [ -d "$modules" ] || { echo "kernel $kernel or its modules $modules are missing: apt-get install linux-image-cloud-amd64, 6.7 or later" >&2 && exit 1; }
[ -f "$stub" ] || { echo "$stub is missing: apt-get install systemd-boot-efi" >&2 && exit 1; }

# The programs, unless they are there already.
[ -n "${SIGNER:-}" ] || scripts/release.sh dist
signer=${SIGNER:-dist/secure-signer}

# What the signer needs of the kernel, in the order in which it loads. Those of the
# other maker's hardware refuse to load, which boot says.
needed="failover net_failover virtio_net virtio_blk configfs tsm tdx-guest sev-guest evdev button"

# Panic switches the machine off; only signed modules load, and no one may read or
# change the kernel's memory; what is freed is wiped.
cmdline="console=ttyS0 rdinit=/boot panic=-1 module.sig_enforce=1 lockdown=confidentiality init_on_alloc=1 init_on_free=1 -- vm"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
root=$work/root
mkdir -p "$root"/{dev,proc,sys,tmp,data,etc,modules} "$out"
GOFLAGS= CGO_ENABLED=0 GOAMD64=v1 go build -trimpath -buildvcs=false -ldflags='-s -w -buildid=' -o "$root/boot" ./hardware/boot
install -m 0755 "$signer" "$root/secure-signer"
install -m 0644 "$etc"/* "$root/etc/"
n=10
for name in $needed; do
	file=$(find "$modules/kernel" -name "$name.ko*" | head -n 1)
	if [ -z "$file" ]; then
		grep -q "/$name.ko$" "$modules/modules.builtin" || { echo "the kernel has no module $name" >&2 && exit 1; }
		continue
	fi
	case $file in
	*.xz) xz -dc "$file" ;;
	*.zst) zstd -dcq "$file" ;;
	*) cat "$file" ;;
	esac >"$root/modules/$n-$name.ko"
	n=$((n + 1))
done

find "$root" -exec touch -h -d @0 {} +
(cd "$root" && find . -mindepth 1 | LC_ALL=C sort | cpio --quiet --reproducible --owner=+0:+0 -o -H newc) >"$work/initrd"
printf '%s\0' "$cmdline" >"$work/cmdline"
printf 'NAME=secure-signer\nVERSION_ID=%s\n' "$(sha256sum "$signer" | cut -c 1-16)" >"$work/osrel"

# The sections of a unified kernel image lie one after the other, each on a page of
# its own, behind those of the stub.
page() { echo $((($1 + 4095) / 4096 * 4096)); }
at=0
while read -r _ name size vma _ _ align; do
	[[ $align == 2\*\** && $name == .* ]] || continue
	end=$(page $((0x$vma + 0x$size)))
	at=$((end > at ? end : at))
done < <(objdump -h "$stub")
args=()
for part in osrel cmdline linux initrd; do
	file=$work/$part
	[ "$part" != linux ] || file=$kernel
	args+=(--add-section ".$part=$file" --change-section-vma ".$part=$(printf '%#x' "$at")")
	at=$(page $((at + $(stat -Lc %s "$file"))))
done
objcopy --preserve-dates "${args[@]}" "$stub" "$out/secure-signer.efi"
sha256sum "$out/secure-signer.efi"
