package slashing_test

import (
	"context"
	"errors"
	"testing"

	"github.com/secure-signer/secure-signer/bls"
	"github.com/secure-signer/secure-signer/eth2"
	"github.com/secure-signer/secure-signer/record/memory"
	"github.com/secure-signer/secure-signer/slashing"
)

func TestAStateTellsWhatWasSignedFromWhatIsFloored(t *testing.T) {
	var s slashing.State
	if _, _, ok := s.LastBlock(); ok {
		t.Error("a key that has signed nothing has a last block")
	}
	if _, _, _, ok := s.LastAttestation(); ok {
		t.Error("a key that has signed nothing has a last attestation")
	}
	s = s.Raise(slashing.Floors{HasSlot: true, Slot: 99, HasTarget: true, Target: 3})
	if _, _, ok := s.LastBlock(); ok {
		t.Error("a floor passes for a block")
	}
	var err error
	if s, err = s.Attest(4, 5, root(1)); err != nil {
		t.Fatal(err)
	}
	if s, err = s.Propose(100, root(2)); err != nil {
		t.Fatal(err)
	}
	if slot, r, ok := s.LastBlock(); !ok || slot != 100 || r != root(2) {
		t.Errorf("last block: %d %v %v", slot, r, ok)
	}
	if source, target, r, ok := s.LastAttestation(); !ok || source != 4 || target != 5 || r != root(1) {
		t.Errorf("last attestation: %d %d %v %v", source, target, r, ok)
	}
	if got, want := s.Floors(), (slashing.Floors{HasSlot: true, Slot: 99, HasTarget: true, Target: 3}); got != want {
		t.Errorf("floors %+v, want %+v", got, want)
	}
}

func TestStatesAreThoseOfThisChain(t *testing.T) {
	g, store := newGuard(t, 3)
	other := *timeless()
	other.GenesisValidatorsRoot = eth2.Root{0xff}
	if err := slashing.New(store, slashing.Config{Network: &other}).Enroll(context.Background(), key(9), slashing.Generated); err != nil {
		t.Fatal(err)
	}
	if err := block(7, 1).record(g, key(1)); err != nil {
		t.Fatal(err)
	}
	var got []bls.PublicKey
	for k, err := range g.States(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if slot, _, ok := k.State.LastBlock(); ok != (k.PublicKey == key(1)) || ok && slot != 7 {
			t.Errorf("last block of %v: %d, %v", k.PublicKey, slot, ok)
		}
		got = append(got, k.PublicKey)
	}
	if len(got) != 3 || got[0] != key(0) || got[1] != key(1) || got[2] != key(2) {
		t.Errorf("keys %v", got)
	}
	for range g.States(t.Context()) {
		break // and no panic
	}
}

func TestADamagedRecordEndsTheStates(t *testing.T) {
	store := memory.New()
	if err := store.Create(t.Context(), recordKey(timeless(), key(0)), []byte("rubbish")); err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, err := range slashing.New(store, slashing.Config{Network: timeless()}).States(t.Context()) {
		if n++; err == nil {
			t.Error("it was read")
		}
	}
	if n != 1 {
		t.Errorf("%d states", n)
	}
}

func TestRaiseLowersNothingAndWantsEveryKey(t *testing.T) {
	g, _ := newGuard(t, 3)
	by := slashing.Floors{HasSlot: true, Slot: 100, HasSource: true, Source: 2, HasTarget: true, Target: 3}
	if err := g.Raise(t.Context(), []bls.PublicKey{key(0), key(8)}, by); !errors.Is(err, slashing.ErrNoRecord) {
		t.Errorf("with a key that is unknown: %v", err)
	}
	if got := watermarks(t, g, key(0)); got != (slashing.Floors{}) {
		t.Errorf("one of them was raised: %+v", got)
	}
	if err := g.Raise(t.Context(), []bls.PublicKey{key(0), key(2)}, by); err != nil {
		t.Fatal(err)
	}
	if err := g.Raise(t.Context(), []bls.PublicKey{key(0)}, slashing.Floors{HasSlot: true, Slot: 99}); err != nil {
		t.Fatal(err)
	}
	for n, want := range map[byte]slashing.Floors{0: by, 1: {}, 2: by} {
		if got := watermarks(t, g, key(n)); got != want {
			t.Errorf("key %d: %+v, want %+v", n, got, want)
		}
	}
}

func TestARaiseThatFailsSaysSo(t *testing.T) {
	store := newFaulty()
	g := slashing.New(store, slashing.Config{Network: timeless()})
	if err := g.Enroll(t.Context(), key(0), slashing.Generated); err != nil {
		t.Fatal(err)
	}
	store.failAndNotPersist = func() bool { return true }
	if err := g.Raise(t.Context(), []bls.PublicKey{key(0)}, slashing.Floors{HasSlot: true, Slot: 1}); err == nil {
		t.Error("no error")
	}
}

// TestHistoryOfAKeyThatIsNotHereWaitsForIt imports a history first and the key
// later, without any: it starts above both the history and what its arrival
// without history demands.
func TestHistoryOfAKeyThatIsNotHereWaitsForIt(t *testing.T) {
	g, _ := newGuard(t, 0)
	if _, err := importFile(g, file(entry(key(5), `{"slot":"900"}`, `{"source_epoch":"7","target_epoch":"8"}`))); err != nil {
		t.Fatal(err)
	}
	if got := reasonOf(t, block(901, 1).record(g, key(5))); got != "key_disabled" {
		t.Errorf("before the key is here: reason %q", got)
	}
	if err := g.Enroll(t.Context(), key(5), slashing.ArrivedNoFloor); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		ask  message
		want string
	}{{block(900, 1), "below_floor"}, {vote(7, 8, 1), "below_floor"}, {block(901, 1), ""}, {vote(7, 9, 1), ""}} {
		if got := reasonOf(t, tt.ask.record(g, key(5))); got != tt.want {
			t.Errorf("%v: reason %q, want %q", tt.ask, got, tt.want)
		}
	}
}
