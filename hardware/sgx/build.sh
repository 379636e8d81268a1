#!/usr/bin/env bash
# Makes an SGX enclave of the signer, signs it, and says what it measures as.
#
#   hardware/sgx/build.sh ETC KEY FOLDER
#
#   ETC                         the enclave's /etc: secure-signer.yaml, the settings of init
#                               and serve, and the certificates that they name
#   KEY                         your signing key: gramine-sgx-gen-private-key KEY
#   SIGNER=dist/secure-signer   as `make release` has built it; built if left out; signerctl lies beside it
#   DATA=/var/lib/secure-signer on the host, in which the data folder will lie
#   SVN=1 PROCESSORS=4
#   TPM=/dev/tpmrm0             the TPM of --horizon tpm; none if left out
set -euo pipefail
[ $# -eq 3 ] || { echo "usage: hardware/sgx/build.sh ETC KEY FOLDER" >&2 && exit 2; }
etc=$(realpath -m "$1") key=$(realpath -m "$2") out=$(realpath -m "$3")
cd "$(dirname "$0")/../.."

for tool in gramine-manifest gramine-sgx-sign; do
	command -v "$tool" >/dev/null || {
		echo "$tool is missing. Gramine is in neither Debian nor npm: install the package gramine, 1.8 or later, from the Gramine project, as its documentation says" >&2
		exit 1
	}
done
[ -f "$etc/secure-signer.yaml" ] || { echo "$etc/secure-signer.yaml is missing: the settings, as docs/hardware.md has them" >&2 && exit 1; }
[ -f "$key" ] || { echo "$key is missing: make a key that only you have, on a machine that stays offline: gramine-sgx-gen-private-key $key" >&2 && exit 1; }

# The programs, unless they are there already.
[ -n "${SIGNER:-}" ] || scripts/release.sh dist
signer=${SIGNER:-dist/secure-signer}

mkdir -p "$out/etc"
install -m 0755 "$signer" "$out/secure-signer"
install -m 0644 "$etc"/* "$out/etc/"
gramine-manifest -Ddata="${DATA:-/var/lib/secure-signer}" -Dsvn="${SVN:-1}" -Dprocessors="${PROCESSORS:-4}" -Dtpm="${TPM:-}" \
	hardware/sgx/secure-signer.manifest.template "$out/secure-signer.manifest"
(cd "$out" && gramine-sgx-sign --manifest secure-signer.manifest --output secure-signer.manifest.sgx --key "$key")

# Refuses a debug enclave, and a key whose private half is public.
"$(dirname "$signer")/signerctl" measure sigstruct "$out/secure-signer.sig" || {
	rm -f "$out/secure-signer.sig" "$out/secure-signer.manifest.sgx"
	exit 1
}
echo "Start it with: cd $out && gramine-sgx secure-signer"
