package slashing

import (
	"errors"
	"math"
	"testing"
	"time"

	"github.com/secure-signer/secure-signer/bls"
	"github.com/secure-signer/secure-signer/eth2"
	"github.com/secure-signer/secure-signer/record/memory"
)

// Whatever a record holds, and whatever is asked for: what is said of a message
// is what signing it then does, and the asking changed nothing.
func TestAVerdictIsWhatSigningSays(t *testing.T) {
	network, _ := eth2.Builtin("hoodi")
	now := time.Unix(int64(network.GenesisTime+8*network.SecondsPerSlot*network.SlotsPerEpoch()), 0) // epoch 8
	records := map[string]State{
		"new":       {},
		"disabled":  {disabled: true},
		"signed":    {block: signedBlock{true, 200, eth2.Root{1}}, attestation: signedAttestation{true, 5, 7, eth2.Root{1}}},
		"floored":   State{}.Raise(Floors{HasSlot: true, Slot: 260, HasSource: true, Source: 6, HasTarget: true, Target: 8}),
		"for ever":  State{}.Raise(Floors{HasSlot: true, Slot: math.MaxUint64, HasSource: true, Source: math.MaxUint64, HasTarget: true, Target: math.MaxUint64}),
		"no target": State{}.Raise(Floors{HasSource: true, Source: 8}),
	}
	for _, mark := range []HighWatermark{{}, {Set: true, Slot: 270, Epoch: 9}} {
		for name, s := range records {
			for slot := eth2.Slot(190); slot < 330; slot++ {
				agree(t, name, s, Config{Network: network, MaxFutureEpochs: 1, HighWatermark: mark, Now: func() time.Time { return now }},
					&eth2.Block{Header: &eth2.BeaconBlockHeader{Slot: slot}},
					func(g *Guard, pub bls.PublicKey) error { return g.MayPropose(t.Context(), nil, pub, slot) })
			}
			for source := range eth2.Epoch(12) {
				for target := range eth2.Epoch(12) {
					m := &eth2.Attestation{Data: eth2.AttestationData{Source: eth2.Checkpoint{Epoch: source}, Target: eth2.Checkpoint{Epoch: target}}}
					agree(t, name, s, Config{Network: network, MaxFutureEpochs: 1, HighWatermark: mark, Now: func() time.Time { return now }}, m,
						func(g *Guard, pub bls.PublicKey) error { return g.MayAttest(t.Context(), nil, pub, source, target) })
				}
			}
		}
	}
}

func agree(t *testing.T, name string, s State, cfg Config, m eth2.Message, ask func(*Guard, bls.PublicKey) error) {
	t.Helper()
	pub := bls.PublicKey{1}
	g := New(memory.New(), cfg)
	if err := g.write(t.Context(), pub, noRecord, s); err != nil {
		t.Fatal(err)
	}
	verdict := ask(g, pub)
	if after, err := g.State(t.Context(), pub); err != nil || after != s {
		t.Fatalf("%s, %v: asking changed the record: %+v, %v", name, m, after, err)
	}
	err := g.Record(t.Context(), pub, m, eth2.Root{9})
	if (verdict == nil) != (err == nil) || reasonOf(verdict) != reasonOf(err) || verdict != nil && !errors.Is(verdict, ErrSlashable) {
		t.Errorf("%s, %v: said %v, then signing says %v", name, m, verdict, err)
	}
}

func TestAVerdictOnAKeyWithoutARecord(t *testing.T) {
	network, _ := eth2.Builtin("hoodi")
	g := New(memory.New(), Config{Network: network, Unbounded: true})
	if err := g.MayPropose(t.Context(), nil, bls.PublicKey{1}, 5); reasonOf(err) != reasonNoRecord {
		t.Errorf("a block: %v", err)
	}
	if err := g.MayAttest(t.Context(), nil, bls.PublicKey{1}, 4, 5); reasonOf(err) != reasonNoRecord {
		t.Errorf("a vote: %v", err)
	}
	if slot, ok := g.NextBlock(t.Context(), bls.PublicKey{1}, 5); ok {
		t.Errorf("a block of slot %d is to be signed some day", slot)
	}
	if epoch, ok := g.NextVote(t.Context(), bls.PublicKey{1}, 5); ok {
		t.Errorf("a vote to epoch %d is to be signed some day", epoch)
	}
}

// What is to be signed next is signed then, and nothing from the one asked for
// until then is.
func TestTheNextIsTheFirst(t *testing.T) {
	network, _ := eth2.Builtin("hoodi")
	pub := bls.PublicKey{1}
	for _, tt := range []struct {
		name  string
		state State
		mark  HighWatermark
		slot  int64 // -1: none
		epoch int64
	}{
		{"a new key", State{}, HighWatermark{}, 10, 4},
		{"one that has signed less", State{block: signedBlock{present: true, slot: 9}, attestation: signedAttestation{present: true, source: 1, target: 3}}, HighWatermark{}, 10, 4},
		{"one that has signed that", State{block: signedBlock{present: true, slot: 10}, attestation: signedAttestation{present: true, source: 1, target: 4}}, HighWatermark{}, 11, 5},
		{"floors", State{}.Raise(Floors{HasSlot: true, Slot: 30, HasSource: true, Source: 7, HasTarget: true, Target: 5}), HighWatermark{}, 31, 8},
		{"floors at the end of time", State{}.Raise(Floors{HasSlot: true, Slot: math.MaxUint64, HasTarget: true, Target: math.MaxUint64}), HighWatermark{}, -1, -1},
		{"a deleted key", State{disabled: true}, HighWatermark{}, -1, -1},
		{"a planned move", State{}, HighWatermark{Set: true, Slot: 10, Epoch: 4}, -1, -1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			g := New(memory.New(), Config{Network: network, Unbounded: true, HighWatermark: tt.mark})
			if err := g.write(t.Context(), pub, noRecord, tt.state); err != nil {
				t.Fatal(err)
			}
			slot, ok := g.NextBlock(t.Context(), pub, 10)
			if ok != (tt.slot >= 0) || ok && int64(slot) != tt.slot {
				t.Errorf("next block: slot %d, %v, want %d", slot, ok, tt.slot)
			}
			epoch, ok := g.NextVote(t.Context(), pub, 4)
			if ok != (tt.epoch >= 0) || ok && int64(epoch) != tt.epoch {
				t.Errorf("next vote: epoch %d, %v, want %d", epoch, ok, tt.epoch)
			}
			for e := eth2.Epoch(4); ok && e < epoch; e++ {
				if err := g.MayAttest(t.Context(), nil, pub, LatestSource(e), e); err == nil {
					t.Errorf("a vote to epoch %d may be signed before", e)
				}
			}
		})
	}
}
