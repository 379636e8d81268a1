module github.com/secure-signer/secure-signer/tools

go 1.26.0
