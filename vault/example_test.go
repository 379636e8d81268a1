package vault_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/secure-signer/secure-signer/bls"
	"github.com/secure-signer/secure-signer/vault"
)

func Example() {
	dir, err := os.MkdirTemp("", "vault")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	path, passphrase := filepath.Join(dir, "vault"), vault.Passphrase([]byte("correct horse battery staple"))

	if err := vault.Create(path, passphrase); err != nil {
		log.Fatal(err)
	}
	v, err := vault.Open(path, passphrase)
	if err != nil {
		log.Fatal(err)
	}
	defer v.Close()

	sk, err := bls.GenerateKey()
	if err != nil {
		log.Fatal(err)
	}
	defer sk.Wipe()
	if err := v.Add(context.Background(), sk, sk.PublicKey()); err != nil {
		log.Fatal(err)
	}
	err = v.Keys(func(pub bls.PublicKey, sk *bls.SecretKey) bool {
		fmt.Println(pub == sk.PublicKey(), sk)
		return true
	})
	if err != nil {
		log.Fatal(err)
	}
	// Output: true bls.SecretKey(REDACTED)
}
