package slashing_test

import "testing"

// The judge knows only what a beacon chain would punish. It shares nothing with
// the rules it judges.

// slashable tells whether a chain slashes the validator that signed both.
//
// Source: consensus-specs phase0/beacon-chain.md: process_proposer_slashing asks
// for two different headers of one slot; is_slashable_attestation_data is
//
//	(data_1 != data_2 and data_1.target.epoch == data_2.target.epoch)
//	or (data_1.source.epoch < data_2.source.epoch and data_2.target.epoch < data_1.target.epoch)
//
// and is asked for each order of the two. EIP-3076 compares signing roots, which
// differ whenever the data do.
func slashable(a, b message) bool {
	if a.vote != b.vote {
		return false
	}
	if !a.vote {
		return a.slot == b.slot && a.root != b.root
	}
	double := a.target == b.target && (a.root != b.root || a.source != b.source)
	surrounds := func(a, b message) bool { return a.source < b.source && b.target < a.target }
	return double || surrounds(a, b) || surrounds(b, a)
}

// judge fails the test for every pair that could be slashed, and returns how many
// pairs it looked at.
func judge(t testing.TB, signed []message) (pairs int) {
	t.Helper()
	for i, a := range signed {
		for _, b := range signed[:i] {
			pairs++
			if slashable(a, b) {
				t.Errorf("signed both %v and %v", b, a)
			}
		}
	}
	return pairs
}

func TestJudge(t *testing.T) {
	for _, tt := range []struct {
		name string
		a, b message
		want bool
	}{
		{"two blocks for one slot", block(5, 1), block(5, 2), true},
		{"one block twice", block(5, 1), block(5, 1), false},
		{"blocks for two slots", block(5, 1), block(6, 1), false},
		{"two votes for one target", vote(1, 5, 1), vote(1, 5, 2), true},
		{"two votes for one target from two sources", vote(1, 5, 1), vote(2, 5, 2), true},
		{"one vote twice", vote(1, 5, 1), vote(1, 5, 1), false},
		{"a vote around another", vote(1, 6, 1), vote(2, 5, 2), true},
		{"a vote inside another", vote(2, 5, 1), vote(1, 6, 2), true},
		{"a vote that shares the source of a longer one", vote(1, 6, 1), vote(1, 5, 2), false},
		{"a vote that begins where another ends", vote(1, 5, 1), vote(5, 6, 2), false},
		{"overlapping votes", vote(1, 5, 1), vote(2, 6, 2), false},
		{"a block and a vote", block(5, 1), vote(1, 5, 2), false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := slashable(tt.a, tt.b); got != tt.want {
				t.Errorf("slashable(%v, %v) = %v", tt.a, tt.b, got)
			}
			if got := slashable(tt.b, tt.a); got != tt.want {
				t.Errorf("slashable(%v, %v) = %v", tt.b, tt.a, got)
			}
		})
	}
}
