package slashing_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/secure-signer/secure-signer/bls"
	"github.com/secure-signer/secure-signer/eth2"
	"github.com/secure-signer/secure-signer/record/memory"
	"github.com/secure-signer/secure-signer/slashing"
)

// The rules alone, for a signer that keeps its records in its own way.
func ExampleState_Attest() {
	var state slashing.State // a key that has never signed anything anywhere
	root := eth2.Root{0x11}

	state, err := state.Attest(10, 11, root)
	fmt.Println("from 10 to 11:", err)

	_, err = state.Attest(10, 11, root)
	fmt.Println("the same again:", err)

	_, err = state.Attest(9, 12, eth2.Root{0x22})
	fmt.Println("from 9 to 12:", err)
	// Output:
	// from 10 to 11: <nil>
	// the same again: <nil>
	// from 9 to 12: attestation from source epoch 9 to target epoch 12 would surround the last one signed, from 10 to 11
}

// A guard over a store: nothing is signed before Record has returned nil.
func ExampleGuard() {
	ctx := context.Background()
	hoodi, _ := eth2.Builtin("hoodi")
	guard := slashing.New(memory.New(), slashing.Config{
		Network:         hoodi,
		MaxFutureEpochs: slashing.DefaultMaxFutureEpochs,
	})
	var pub bls.PublicKey // of a key that was drawn just now
	if err := guard.Enroll(ctx, pub, slashing.Generated); err != nil {
		fmt.Println(err)
		return
	}
	block := &eth2.Block{Header: &eth2.BeaconBlockHeader{Slot: 1000}}

	err := guard.Record(ctx, pub, block, eth2.Root{0x11})
	fmt.Println("first block of slot 1000:", err)

	err = guard.Record(ctx, pub, block, eth2.Root{0x22})
	var refusal *slashing.Refusal
	if errors.As(err, &refusal) {
		fmt.Println("second block of slot 1000:", refusal.Reason())
	}
	// Output:
	// first block of slot 1000: <nil>
	// second block of slot 1000: double_block
}

// A key that arrives with its history: import, enroll, and only then sign.
func ExampleGuard_Import() {
	ctx := context.Background()
	hoodi, _ := eth2.Builtin("hoodi")
	guard := slashing.New(memory.New(), slashing.Config{Network: hoodi})
	interchange := fmt.Sprintf(`{
		"metadata": {"interchange_format_version": "5", "genesis_validators_root": "%v"},
		"data": [{
			"pubkey": "%v",
			"signed_blocks": [{"slot": "1000"}],
			"signed_attestations": [{"source_epoch": "29", "target_epoch": "30"}]
		}]
	}`, hoodi.GenesisValidatorsRoot, bls.PublicKey{})

	imported, err := guard.Import(ctx, strings.NewReader(interchange), nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	for pub := range imported {
		if err := guard.Enroll(ctx, pub, slashing.WithHistory); err != nil {
			fmt.Println(err)
		}
		fmt.Println(guard.Record(ctx, pub, &eth2.Block{Header: &eth2.BeaconBlockHeader{Slot: 1000}}, eth2.Root{0x11}))
	}
	// Output:
	// block slot 1000 is not above the floor, slot 1000
}

func ExampleGuard_Export() {
	ctx := context.Background()
	hoodi, _ := eth2.Builtin("hoodi")
	guard := slashing.New(memory.New(), slashing.Config{Network: hoodi})
	if err := guard.Enroll(ctx, bls.PublicKey{}, slashing.Generated); err != nil {
		fmt.Println(err)
		return
	}
	if err := guard.Export(ctx, os.Stdout, nil); err != nil {
		fmt.Println(err)
	}
	// Output:
	// {"metadata":{"interchange_format_version":"5","genesis_validators_root":"0x212f13fc4df078b6cb7db228f1c8307566dcecf900867401a92023d7ba99cb5f"},"data":[{"pubkey":"0x000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000","signed_blocks":[],"signed_attestations":[]}]}
}
