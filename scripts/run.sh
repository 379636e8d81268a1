#!/usr/bin/env bash
# Starts the signer on the data folder DATA, and makes the folder if there is
# none. The passphrase that seals its keys is made up then, and kept beside the
# folder: a copy of the folder alone opens nothing.
set -euo pipefail
cd "$(dirname "$0")/.."

data=${DATA:-data}
passphrase=$data-passphrase.txt

if [ ! -e "$data" ]; then
	mkdir -p "$(dirname "$data")"
	if [ ! -e "$passphrase" ]; then
		(umask 077 && head -c 32 /dev/urandom | base64 >"$passphrase")
		echo "Made up a passphrase and wrote it to $passphrase, beside the data folder and not in it."
		echo "Whoever loses it loses the keys: for keys that matter, choose your own and keep it elsewhere."
	fi
	bin/secure-signer init --data-dir "$data" --network "${NETWORK:-hoodi}" --passphrase-file "$passphrase" | sed "/^Next: /d"
elif [ -n "${NETWORK:-}" ] && ! grep -qsx "network: $NETWORK" "$data/config.yaml"; then
	echo "$data is of another network than $NETWORK: give that one a folder of its own, as with DATA=data-$NETWORK" >&2
	exit 1
elif [ ! -e "$passphrase" ]; then
	echo "$data is here but $passphrase is not; start it yourself:" >&2
	echo "  bin/secure-signer serve --data-dir $data --passphrase-file FILE" >&2
	exit 1
fi

exec bin/secure-signer serve --data-dir "$data" --passphrase-file "$passphrase"
