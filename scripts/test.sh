#!/usr/bin/env bash
# Runs the tests: the one place that lists them. It says what it does, how long
# each step took, and stops at the first that fails.
#
#   scripts/test.sh short|long|devnet|lint|fuzz|soak
set -euo pipefail
cd "$(dirname "$0")/.."
mode=${1:-short}

step() { # step NAME COMMAND...
	local begun=$SECONDS
	printf '\n=== %s\n' "$1"
	if ! "${@:2}"; then
		printf '=== %s: FAILED after %d s\n' "$1" $((SECONDS - begun))
		exit 1
	fi
	printf '=== %s: %d s\n' "$1" $((SECONDS - begun))
}

# in_test COMMAND...: the same in the module of the heavy tests.
in_test() { (cd test && "$@"); }

formatted() {
	local files
	files=$(git ls-files '*.go' | xargs gofmt -l)
	[ -z "$files" ] || { echo "gofmt would change:" && echo "$files" && return 1; }
}

lint() {
	go tool -modfile=tools/go.mod golangci-lint run &&
		in_test go tool -modfile=../tools/go.mod golangci-lint run --disable=gocyclo
}

# The race detector makes everything ten times as slow: what only repeats itself
# is left to the plain run, unless there is time.
raced() {
	if [ "$1" = long ]; then go test -race ./...; else go test -race -short ./...; fi
}

# Real chains share the two cores with nothing else: one package, one test at a
# time. -count=1, because the cache does not see the daemon that they build.
devnet() { in_test env SECURE_SIGNER_DEVNET="$1" go test -count=1 -timeout=30m -v ./devnet; }

# Everything that builds or drives the daemon from outside, and where there is time
# in its long form.
outside() {
	if [ "$1" = long ]; then
		in_test env SECURE_SIGNER_LONG=1 go test -count=1 -timeout=4h ./...
	else
		in_test go test -count=1 -timeout=30m ./...
	fi
}

# Days of duties in compressed time: files, memory and pauses.
soak() { in_test env SECURE_SIGNER_LONG=1 go test -count=1 -timeout=2h -v ./soak; }

fuzz() {
	local package target
	for package in $(go list ./...); do
		for target in $(go test -list '^Fuzz' "$package" | grep '^Fuzz'); do
			go test -run='^$' -fuzz="^$target\$" -fuzztime="${FUZZTIME:-30s}" "$package" || return 1
		done
	done
}

case $mode in
lint) step "golangci-lint" lint ;;
fuzz) step "fuzz, ${FUZZTIME:-30s} each" fuzz ;;
soak) step "days of duties" soak ;;
devnet)
	step "what the tests need" scripts/setup-test.sh
	step "real chains" devnet long
	;;
short | long)
	step "what the tests need" scripts/setup-test.sh
	step "build" make --no-print-directory build
	step "gofmt" formatted
	step "golangci-lint" lint
	step "unit tests" go test ./...
	step "unit tests under the race detector" raced "$mode"
	step "the daemon over HTTP, oracles" outside "$mode"
	step "real chains" devnet "$mode"
	;;&
long)
	step "oracles under the race detector" in_test go test -race -count=1 -timeout=2h ./...
	step "fuzz, ${FUZZTIME:=5m} each" fuzz
	;;
short) ;;
*)
	echo "usage: scripts/test.sh short|long|devnet|lint|fuzz|soak" >&2
	exit 2
	;;
esac
printf '\n=== all passed: %d s\n' "$SECONDS"
