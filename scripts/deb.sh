#!/usr/bin/env bash
# Builds the Debian package of both programs, for the machine that it runs on. The
# same commit gives the same bytes, wherever and whenever.
#
#   VERSION=v1.2.3 scripts/deb.sh FOLDER
set -euo pipefail
cd "$(dirname "$0")/.."

out=$(realpath -m "${1:?usage: VERSION=v1.2.3 scripts/deb.sh FOLDER}")
stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT
umask 022
chmod 755 "$stage"

scripts/release.sh "$stage"
version=$("$stage/secure-signer" version | sed -n '1s/.* //p')
case $version in # a commit without a tag is before every release
v[0-9]*) version=${version#v} ;;
*) version=0~$version ;;
esac
version=${version/-rc/\~rc}
export DEB_VERSION=${version//-/+} DEB_ARCH STAGE=$stage SOURCE_DATE_EPOCH
DEB_ARCH=$(go env GOARCH)
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}

completions=$stage/completions
mkdir -p "$completions"/{bash-completion/completions,zsh/vendor-completions,fish/vendor_completions.d}
for program in secure-signer signerctl; do
	"$stage/$program" completion bash >"$completions/bash-completion/completions/$program"
	"$stage/$program" completion zsh >"$completions/zsh/vendor-completions/_$program"
	"$stage/$program" completion fish >"$completions/fish/vendor_completions.d/$program.fish"
done

mkdir "$stage/doc"
cp README.md CHANGELOG.md packaging/deb/copyright "$stage/doc"
cp -r docs packaging/prometheus packaging/grafana "$stage/doc"
maintainer=$(sed -n 's/^maintainer: //p' packaging/deb/nfpm.yaml)
printf 'secure-signer (%s) unstable; urgency=medium\n\n  * See CHANGELOG.md.\n\n -- %s  %s\n' \
	"$DEB_VERSION" "$maintainer" "$(LC_ALL=C date -uRd "@$SOURCE_DATE_EPOCH")" | gzip -9n >"$stage/doc/changelog.gz"

find "$stage" -type d -exec chmod 755 {} + -o -type f -exec chmod u=rwX,go=rX {} +
find "$stage" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
mkdir -p "$out"
package=$out/secure-signer_${DEB_VERSION}_$DEB_ARCH.deb
go tool -modfile=tools/nfpm/go.mod nfpm package --config packaging/deb/nfpm.yaml --packager deb --target "$package" >/dev/null
sha256sum "$package"
