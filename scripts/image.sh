#!/usr/bin/env bash
# Builds a container image of both programs, FROM scratch, by buildah, podman or
# docker, whichever is there.
#
#   VERSION=v1.2.3 scripts/image.sh NAME
set -euo pipefail
cd "$(dirname "$0")/.."

name=${1:?usage: VERSION=v1.2.3 scripts/image.sh NAME}
for tool in buildah podman docker; do
	command -v "$tool" >/dev/null && break
	tool=
done
[ -n "$tool" ] || { echo "neither buildah nor podman nor docker is here: apt-get install buildah" >&2 && exit 1; }
context=$(mktemp -d)
trap 'rm -rf "$context"' EXIT

scripts/release.sh "$context"
mkdir "$context/data"
"$tool" build --tag "$name" --file packaging/image/Containerfile "$context"
