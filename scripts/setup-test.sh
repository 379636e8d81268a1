#!/usr/bin/env bash
# Installs what the tests need beyond Go: Debian packages by name, Node where
# this machine's is not of a version that Lodestar runs on, and Lodestar. What is
# here already is left alone, so that a second run takes no time.
set -euo pipefail
cd "$(dirname "$0")/.."

# need COMMAND PACKAGE...: the packages are installed if the command is missing.
packages=()
need() {
	command -v "$1" >/dev/null || packages+=("${@:2}")
}

# npm_tree NAME: installs what test/devnet/NAME/package-lock.json pins, into a
# folder that is named for the content of that file and is there only when it is
# complete.
npm_tree() {
	local from=test/devnet/$1 tree
	tree=.cache/$1/$(sha256sum "$from/package-lock.json" | cut -c1-12)
	[ ! -e "$tree" ] || return 0
	echo "installing $1 from npm"
	rm -rf "$tree.part"
	mkdir -p "$tree.part"
	cp "$from/package.json" "$from/package-lock.json" "$tree.part/"
	(cd "$tree.part" && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error)
	mv "$tree.part" "$tree"
}

# promtool_alone unpacks the tool that checks rules: installed, its package would start
# a server here.
promtool_alone() {
	local tree=.cache/prometheus root=()
	if command -v promtool >/dev/null || [ -e "$tree" ]; then return 0; fi
	echo "unpacking promtool from Debian"
	rm -rf "$tree.part"
	mkdir -p "$tree.part/package"
	[ "$(id -u)" = 0 ] || root=(sudo)
	(cd "$tree.part/package" && { apt-get download -qq prometheus || { "${root[@]}" apt-get update -qq && apt-get download -qq prometheus; }; }) 2>/dev/null
	dpkg-deb -x "$tree.part/package/"*.deb "$tree.part"
	rm -r "$tree.part/package"
	mv "$tree.part" "$tree"
}

need gcc gcc libc6-dev
need make make
need git git
need npm npm
need curl curl
need strace strace
need chromium chromium
need swtpm swtpm
need swtpm_setup swtpm-tools
need systemd-analyze systemd
need lintian lintian
if [ ${#packages[@]} -gt 0 ]; then
	echo "installing ${packages[*]} from Debian"
	root=()
	[ "$(id -u)" = 0 ] || root=(sudo)
	"${root[@]}" apt-get update -qq
	DEBIAN_FRONTEND=noninteractive "${root[@]}" apt-get install -y -qq --no-install-recommends "${packages[@]}" >/dev/null
fi
promtool_alone

case $(node -p 'process.versions.node.split(".")[0]' 2>/dev/null) in
20 | 22) ;; # what Lodestar's native BLS is built for
*) npm_tree node ;;
esac
npm_tree lodestar
