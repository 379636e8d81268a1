#!/usr/bin/env bash
# Builds both programs as they are released: static, for any x86-64 or arm64
# machine, and the same bytes from any folder. What else decides the bytes is
# printed: the versions of Go, of the C compiler and of the C library.
#
#   VERSION=v1.2.3 scripts/release.sh FOLDER [PROGRAM...]
set -euo pipefail
cd "$(dirname "$0")/.."

out=${1:?usage: VERSION=v1.2.3 scripts/release.sh FOLDER [PROGRAM...]}
programs=("${@:2}")
[ ${#programs[@]} -gt 0 ] || programs=(secure-signer signerctl)
version=${VERSION:-$(git describe --tags --always --dirty)}
case $version in
*-dirty | '') echo "the tree has changes that no commit holds: nobody could build the same; commit them, or give VERSION" >&2 && exit 1 ;;
*[!A-Za-z0-9.+-]*) echo "VERSION=$version: letters, digits and . + - only" >&2 && exit 1 ;;
esac

# Nothing of the builder's own settings; no instructions that older processors
# lack; no debug sections, which would name folders.
export GOFLAGS= GOEXPERIMENT= GOAMD64=v1 GOARM64=v8.0 GOWORK=off CGO_ENABLED=1
export CGO_CFLAGS="-O2 -D__BLST_PORTABLE__" CGO_CPPFLAGS= CGO_CXXFLAGS= CGO_LDFLAGS=
stamp=github.com/secure-signer/secure-signer/internal/cli.release=$version
go build -o "$out/" -mod=readonly -trimpath -buildvcs=false -tags=netgo,osusergo \
	-ldflags="-s -w -buildid= -X $stamp -linkmode=external -extldflags=-static" "${programs[@]/#/./cmd/}"

echo "$version: $(go env GOVERSION) $(go env GOOS)/$(go env GOARCH), ${CC:-gcc} $(${CC:-gcc} -dumpfullversion), $(ldd --version | head -n 1)"
(cd "$out" && sha256sum "${programs[@]}" | tee SHA256SUMS)
