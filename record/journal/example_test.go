package journal_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/secure-signer/secure-signer/record/journal"
)

func Example() {
	folder, err := os.MkdirTemp("", "example")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(folder)
	dir, key := filepath.Join(folder, "journal"), [32]byte{ /* 32 secret bytes */ }

	// Once, when the validator's keys are made.
	if err := journal.Create(dir, key); err != nil {
		panic(err)
	}

	store, err := journal.Open(dir, key)
	if err != nil {
		panic(err)
	}
	defer store.Close()
	ctx := context.Background()
	if err := store.Create(ctx, "validator", []byte("slot 7")); err != nil {
		panic(err)
	}
	r, err := store.Load(ctx, "validator")
	if err != nil {
		panic(err)
	}
	fmt.Printf("%s at version %d\n", r.Value, r.Version)
	fmt.Println(store.Replace(ctx, "validator", r.Version, []byte("slot 8")))
	fmt.Println(store.Replace(ctx, "validator", r.Version, []byte("slot 9")))
	// Output:
	// slot 7 at version 1
	// <nil>
	// record has changed meanwhile
}
