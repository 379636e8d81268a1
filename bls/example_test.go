package bls_test

import (
	"context"
	"fmt"
	"log"

	"github.com/secure-signer/secure-signer/bls"
)

// A key is made, brought into service and signed with.
func Example() {
	ring, err := bls.OpenKeyring(bls.Config{})
	if err != nil {
		log.Fatal(err)
	}
	defer ring.Close()

	secret, err := bls.GenerateKey()
	if err != nil {
		log.Fatal(err)
	}
	key, err := ring.Add(secret.PublicKey(), secret)
	secret.Wipe() // the keyring has its own copy, outside the Go heap
	if err != nil {
		log.Fatal(err)
	}

	root := [32]byte{1, 2, 3} // a signing root that may be signed
	signature, err := ring.Sign(context.Background(), key, root)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(secret)
	fmt.Println(bls.Verify(key.PublicKey(), root, signature))
	// Output:
	// bls.SecretKey(REDACTED)
	// true
}
