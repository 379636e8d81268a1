#!/usr/bin/env bash
# Makes the image of an AWS Nitro Enclave, and says what it measures as.
#
#   hardware/nitro/build.sh ETC FOLDER
#
#   ETC                         the enclave's /etc: secure-signer.yaml, the settings of init,
#                               restore and serve, and the certificates that they name
#   SIGNER=dist/secure-signer   as `make release` has built it; built if left out; signerctl lies beside it
#   CERTIFICATE=... KEY=...     to sign the image with, on P-384 (PCR8)
set -euo pipefail
[ $# -eq 2 ] || { echo "usage: hardware/nitro/build.sh ETC FOLDER" >&2 && exit 2; }
etc=$(realpath -m "$1") out=$(realpath -m "$2")
cd "$(dirname "$0")/../.."

for tool in docker nitro-cli; do
	command -v "$tool" >/dev/null || { echo "$tool is missing: on the EC2 instance, dnf install docker aws-nitro-enclaves-cli aws-nitro-enclaves-cli-devel" >&2 && exit 1; }
done
[ -f "$etc/secure-signer.yaml" ] || { echo "$etc/secure-signer.yaml is missing: the settings, as docs/hardware.md has them" >&2 && exit 1; }

# The programs, unless they are there already.
[ -n "${SIGNER:-}" ] || scripts/release.sh dist
signer=${SIGNER:-dist/secure-signer}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/etc" "$out"
GOFLAGS= CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags='-s -w -buildid=' -o "$work/boot" ./hardware/boot
install -m 0755 "$signer" "$work/secure-signer"
install -m 0644 "$etc"/* "$work/etc/"
find "$work" -exec touch -h -d @0 {} +
docker build --quiet --tag secure-signer-enclave --file hardware/nitro/Dockerfile "$work"
sign=()
[ -z "${CERTIFICATE:-}" ] || sign=(--signing-certificate "$CERTIFICATE" --private-key "${KEY:?the key of CERTIFICATE}")
nitro-cli build-enclave --docker-uri secure-signer-enclave --output-file "$out/secure-signer.eif" "${sign[@]}"
"$(dirname "$signer")/signerctl" measure eif "$out/secure-signer.eif"
echo "Start it with: nitro-cli run-enclave --eif-path $out/secure-signer.eif --cpu-count 2 --memory 2048 (never with --debug-mode: PCRs would be zero)"
