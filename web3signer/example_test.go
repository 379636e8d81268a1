package web3signer_test

import (
	"context"
	"fmt"
	"net/http/httptest"

	"github.com/secure-signer/secure-signer/bls"
	"github.com/secure-signer/secure-signer/eth2"
	"github.com/secure-signer/secure-signer/policy"
	"github.com/secure-signer/secure-signer/record/memory"
	"github.com/secure-signer/secure-signer/signer"
	"github.com/secure-signer/secure-signer/slashing"
	"github.com/secure-signer/secure-signer/web3signer"
)

// A signer listens at once. Until its keys are loaded it lists none of them.
func Example() {
	hoodi, _ := eth2.Builtin("hoodi")
	keyring, err := bls.OpenKeyring(bls.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer keyring.Close()
	handler := web3signer.New(web3signer.Config{
		Signer: &signer.Signer{
			Network: hoodi,
			Keys:    keyring,
			Guard:   slashing.New(memory.New(), slashing.Config{Network: hoodi}),
			Policy:  policy.Duties(),
		},
		PublicKeys: keyring.PublicKeys,
	})
	server := httptest.NewServer(handler)
	defer server.Close()

	client := web3signer.Client{URL: server.URL, HTTP: server.Client()}
	_, err = client.PublicKeys(context.Background())
	fmt.Println(err)
	handler.Ready()
	keys, err := client.PublicKeys(context.Background())
	fmt.Println(len(keys), err)
	// Output:
	// signer answered 503 Service Unavailable, loading: keys are still being loaded
	// 0 <nil>
}
