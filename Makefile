# What a person or CI runs. `make` alone says what there is.

# NETWORK=hoodi  of a data folder that `make run` creates
# DATA=data      the data folder of `make run`
# VERSION=v1.2.3 of `make release`; what git says if left out
# FUZZTIME=30s   for each target of `make fuzz`

# blst without instructions that older processors lack; the same for every
# build, so that the build cache serves them all.
export CGO_CFLAGS := -O2 -D__BLST_PORTABLE__

.PHONY: help run build release deb image sgx vm nitro test test-long devnet lint fuzz soak bench clean

help: ## say what there is
	@sed -n -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/p; s/^# ([A-Z]+=\S+) +(.*)/  \1\t\2/p' Makefile | expand -t 20

run: build ## start a signer on 127.0.0.1:9000, with a new data folder if there is none
	@scripts/run.sh

build: ## build both programs into bin/
	go build -o bin/ ./cmd/...

release: ## build both programs into dist/ as they are released: static, the same bytes from any folder
	@scripts/release.sh dist

deb: ## the Debian package of both, in dist/
	@scripts/deb.sh dist

image: ## a container image FROM scratch, secure-signer:latest
	@scripts/image.sh secure-signer:latest

sgx: ## an SGX enclave in dist/sgx, where Gramine is installed: ETC=folder KEY=file (docs/hardware.md)
	@hardware/sgx/build.sh "$(or $(ETC),hardware/example)" "$(or $(KEY),enclave-key.pem)" dist/sgx

vm: ## the image of a TDX or SEV-SNP guest in dist/vm: ETC=folder
	@hardware/vm/build.sh "$(or $(ETC),hardware/example)" dist/vm

nitro: ## the image of a Nitro enclave in dist/nitro, where nitro-cli is installed: ETC=folder
	@hardware/nitro/build.sh "$(or $(ETC),hardware/example)" dist/nitro

test: ## all tests, as CI runs them: 15 minutes on two cores
	@scripts/test.sh short

test-long: ## the same with every race and every long test, fuzzing and a longer chain: hours
	@scripts/test.sh long

devnet: ## a real chain of Lodestar nodes whose keys are only in the signer
	@scripts/test.sh devnet

lint: ## golangci-lint, as pinned in tools/go.mod
	@scripts/test.sh lint

fuzz: ## every fuzz target, each for FUZZTIME
	@scripts/test.sh fuzz

soak: ## a week of duties for 10,000 keys in compressed time: minutes
	@scripts/test.sh soak

bench: ## the benchmarks
	go test -run '^$$' -bench . -benchmem ./...

clean: ## remove what was built or installed here; the data folder stays
	rm -rf bin dist .cache
