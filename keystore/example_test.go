package keystore_test

import (
	"fmt"
	"log"

	"github.com/secure-signer/secure-signer/bls"
	"github.com/secure-signer/secure-signer/keystore"
)

// A key is written as a keystore and read back.
func Example() {
	secret, err := bls.GenerateKey()
	if err != nil {
		log.Fatal(err)
	}
	defer secret.Wipe()
	text, err := keystore.Encrypt(secret, "drawn at random", keystore.WithPBKDF2(), keystore.WithPath("m/12381/3600/0/0/0"))
	if err != nil {
		log.Fatal(err)
	}

	k, err := keystore.Parse(text)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(k.Path())
	opened, err := k.Decrypt("drawn at random")
	if err != nil {
		log.Fatal(err)
	}
	defer opened.Wipe()
	fmt.Println(opened.PublicKey() == secret.PublicKey())
	// Output:
	// m/12381/3600/0/0/0
	// true
}
