package slashing_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/secure-signer/secure-signer/bls"
	"github.com/secure-signer/secure-signer/eth2"
	"github.com/secure-signer/secure-signer/record"
	"github.com/secure-signer/secure-signer/record/memory"
	"github.com/secure-signer/secure-signer/slashing"
)

// genesis is when the chain of these tests began. Its epochs have 8 slots of 6
// seconds, so that nothing passes that assumes mainnet's 32.
var genesis = time.Unix(1_700_000_000, 0)

func chain() *eth2.Network {
	return &eth2.Network{
		Name: "test", Preset: eth2.MinimalPreset(), SecondsPerSlot: 6,
		GenesisTime: uint64(genesis.Unix()), GenesisValidatorsRoot: eth2.Root{0: 0xaa, 31: 0x01},
	}
}

// timeless is the chain where the time of genesis is not known.
func timeless() *eth2.Network {
	n := chain()
	n.GenesisTime = 0
	return n
}

func at(slot eth2.Slot) func() time.Time {
	return func() time.Time { return genesis.Add(time.Duration(slot) * 6 * time.Second) }
}

func key(n byte) bls.PublicKey { return bls.PublicKey{0: 0xa0, 47: n} }

func root(n byte) eth2.Root { return eth2.Root{31: n} }

// A message is what a judge must know of a block or a vote.
type message struct {
	vote           bool
	slot           eth2.Slot // of a block
	source, target eth2.Epoch
	root           eth2.Root
}

func block(slot eth2.Slot, n byte) message { return message{slot: slot, root: root(n)} }

func vote(source, target eth2.Epoch, n byte) message {
	return message{vote: true, source: source, target: target, root: root(n)}
}

func (m message) String() string {
	if m.vote {
		return fmt.Sprintf("vote %d→%d (%x)", m.source, m.target, m.root[31])
	}
	return fmt.Sprintf("block %d (%x)", m.slot, m.root[31])
}

// typed returns m as the guard sees it.
func (m message) typed() eth2.Message {
	if m.vote {
		return &eth2.Attestation{Data: eth2.AttestationData{
			Source: eth2.Checkpoint{Epoch: m.source}, Target: eth2.Checkpoint{Epoch: m.target},
		}}
	}
	return &eth2.Block{Header: &eth2.BeaconBlockHeader{Slot: m.slot}}
}

// apply asks the pure rules.
func (m message) apply(s slashing.State) (slashing.State, error) {
	if m.vote {
		return s.Attest(m.source, m.target, m.root)
	}
	return s.Propose(m.slot, m.root)
}

func (m message) record(g *slashing.Guard, pub bls.PublicKey) error {
	return g.Record(context.Background(), pub, m.typed(), m.root)
}

// reasonOf returns the reason of a refusal, "" for nil, and fails the test for
// any other error.
func reasonOf(t testing.TB, err error) string {
	t.Helper()
	if err == nil {
		return ""
	}
	var r *slashing.Refusal
	if !errors.As(err, &r) || !errors.Is(err, slashing.ErrSlashable) {
		t.Fatalf("not a refusal: %v", err)
	}
	return r.Reason()
}

// newGuard returns a guard of the timeless chain and its store, with key(0) to
// key(n-1) enrolled as generated here.
func newGuard(t testing.TB, n byte) (*slashing.Guard, *memory.Store) {
	t.Helper()
	store := memory.New()
	g := slashing.New(store, slashing.Config{Network: timeless()})
	for i := range n {
		if err := g.Enroll(context.Background(), key(i), slashing.Generated); err != nil {
			t.Fatal(err)
		}
	}
	return g, store
}

func watermarks(t testing.TB, g *slashing.Guard, pub bls.PublicKey) slashing.Floors {
	t.Helper()
	s, err := g.State(context.Background(), pub)
	if err != nil {
		t.Fatal(err)
	}
	return s.Watermarks()
}

func recordKey(n *eth2.Network, pub bls.PublicKey) record.Key {
	return record.Key(n.GenesisValidatorsRoot[:]) + record.Key(pub[:])
}
