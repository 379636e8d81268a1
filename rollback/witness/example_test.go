package witness_test

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"log/slog"
	"net/http/httptest"

	"github.com/secure-signer/secure-signer/record/memory"
	"github.com/secure-signer/secure-signer/rollback/witness"
)

// Three witnesses, of which each would run at somebody else's and keep its records
// in a journal, and a signer that claims an epoch.
func Example() {
	ctx := context.Background()
	signer := newKey(1)
	config := witness.Config{Signer: signer}
	for i := range byte(3) {
		key, store := newKey(2+i), memory.New()
		if err := witness.Enrol(ctx, store, signer.Public().(ed25519.PublicKey)); err != nil {
			panic(err)
		}
		server := &witness.Server{Key: key, Store: store, Log: slog.New(slog.DiscardHandler)}
		listener := httptest.NewServer(server.Handler())
		defer listener.Close()
		config.Witnesses = append(config.Witnesses, witness.Witness{URL: listener.URL, Key: key.Public().(ed25519.PublicKey)})
	}

	client, err := witness.New(config)
	if err != nil {
		panic(err)
	}
	defer client.Close()
	if err := client.Provision(ctx, 411_392); err != nil {
		panic(err)
	}
	fmt.Println("first:", client.Epochs().Advance(ctx, 411_393))
	fmt.Println("again:", client.Epochs().Advance(ctx, 411_393))
	// Output:
	// first: <nil>
	// again: the counter was moved by another copy of this signer: it is at 411393, and not at 411392
}
