package slashing_test

import (
	"math"
	"strings"
	"testing"

	"github.com/secure-signer/secure-signer/eth2"
	"github.com/secure-signer/secure-signer/slashing"
)

const maxUint64 = math.MaxUint64

func floorSlot(s eth2.Slot) slashing.Floors { return slashing.Floors{HasSlot: true, Slot: s} }

func floorVote(source, target eth2.Epoch) slashing.Floors {
	return slashing.Floors{HasSource: true, Source: source, HasTarget: true, Target: target}
}

func TestRules(t *testing.T) {
	for _, tt := range []struct {
		name   string
		signed []message
		floors slashing.Floors // raised after signing
		ask    message
		want   string // the reason, or "" if it is signed
		text   string // what a refusal must tell
	}{
		// Blocks.
		{"a first block is signed", nil, slashing.Floors{}, block(7, 1), "", ""},
		{"a first block at slot 0 is signed", nil, slashing.Floors{}, block(0, 1), "", ""},
		{"a block for a later slot is signed", []message{block(7, 1)}, slashing.Floors{}, block(8, 2), "", ""},
		{"a block with the root of an earlier slot's is signed", []message{block(7, 1)}, slashing.Floors{}, block(8, 1), "", ""},
		{"the identical block is signed again", []message{block(7, 1)}, slashing.Floors{}, block(7, 1), "", ""},
		{"the identical block at slot 0 is signed again", []message{block(0, 1)}, slashing.Floors{}, block(0, 1), "", ""},
		{"a root of zeros is a root like any other", []message{block(7, 0)}, slashing.Floors{}, block(7, 0), "", ""},
		{"another block for the last slot is a double block", []message{block(7, 1)}, slashing.Floors{}, block(7, 2), "double_block", "slot 7"},
		{"another block for slot 0 is a double block", []message{block(0, 1)}, slashing.Floors{}, block(0, 2), "double_block", "slot 0"},
		{"a block for the last slot with a root of zeros is a double block", []message{block(7, 1)}, slashing.Floors{}, block(7, 0), "double_block", root(1).String()},
		{"a block for an earlier slot is below the watermark", []message{block(7, 1)}, slashing.Floors{}, block(6, 2), "below_watermark", "slot 6 is before slot 7"},
		{"an earlier block is not signed again", []message{block(6, 1), block(7, 1)}, slashing.Floors{}, block(6, 1), "below_watermark", "slot 6 is before slot 7"},
		{"the last slot there is can be signed once", []message{block(maxUint64, 1)}, slashing.Floors{}, block(maxUint64, 2), "double_block", ""},
		{"votes do not stand in the way of blocks", []message{vote(100, 200, 1)}, floorVote(100, 200), block(1, 1), "", ""},

		// Votes.
		{"a first vote is signed", nil, slashing.Floors{}, vote(3, 5, 1), "", ""},
		{"the vote of genesis is signed", nil, slashing.Floors{}, vote(0, 0, 1), "", ""},
		{"the vote of genesis is signed again", []message{vote(0, 0, 1)}, slashing.Floors{}, vote(0, 0, 1), "", ""},
		{"another vote of genesis is a double vote", []message{vote(0, 0, 1)}, slashing.Floors{}, vote(0, 0, 2), "double_vote", "target epoch 0"},
		{"a vote after that of genesis is signed", []message{vote(0, 0, 1)}, slashing.Floors{}, vote(0, 1, 2), "", ""},
		{"a later target from the same source is signed", []message{vote(3, 5, 1)}, slashing.Floors{}, vote(3, 6, 2), "", ""},
		{"a later target from a later source is signed", []message{vote(3, 5, 1)}, slashing.Floors{}, vote(5, 6, 2), "", ""},
		{"the identical vote is signed again", []message{vote(3, 5, 1)}, slashing.Floors{}, vote(3, 5, 1), "", ""},
		{"another root for the last target is a double vote", []message{vote(3, 5, 1)}, slashing.Floors{}, vote(3, 5, 2), "double_vote", "target epoch 5"},
		{"a later source for the last target is a double vote", []message{vote(3, 5, 1)}, slashing.Floors{}, vote(4, 5, 2), "double_vote", root(1).String()},
		{"an earlier source for the last target is a double vote", []message{vote(3, 5, 1)}, slashing.Floors{}, vote(2, 5, 2), "double_vote", ""},
		{"the last root with another source is not the identical vote", []message{vote(3, 5, 1)}, slashing.Floors{}, vote(4, 5, 1), "double_vote", ""},
		{"an earlier source with a later target is a surround vote", []message{vote(3, 5, 1)}, slashing.Floors{}, vote(2, 6, 2), "surround_vote", "source epoch 2 to target epoch 6"},
		{"a surround vote tells what it would surround", []message{vote(3, 5, 1)}, slashing.Floors{}, vote(0, 9, 2), "surround_vote", "from 3 to 5"},
		{"a vote inside the last one is below the watermark", []message{vote(3, 9, 1)}, slashing.Floors{}, vote(4, 8, 2), "below_watermark", "epoch 8 is before epoch 9"},
		{"a vote before the last one is below the watermark", []message{vote(3, 5, 1)}, slashing.Floors{}, vote(2, 4, 2), "below_watermark", "epoch 4 is before epoch 5"},
		{"an earlier vote is not signed again", []message{vote(3, 4, 1), vote(3, 5, 1)}, slashing.Floors{}, vote(3, 4, 1), "below_watermark", ""},
		{"a source after the target is no vote", nil, slashing.Floors{}, vote(6, 5, 1), "source_after_target", "source epoch 6 is not before target epoch 5"},
		{"a source at the target is no vote", nil, slashing.Floors{}, vote(5, 5, 1), "source_after_target", "source epoch 5 is not before target epoch 5"},
		{"the last epoch there is can be voted for once", []message{vote(0, maxUint64, 1)}, slashing.Floors{}, vote(0, maxUint64, 2), "double_vote", ""},
		{"blocks do not stand in the way of votes", []message{block(100, 1)}, floorSlot(100), vote(0, 1, 1), "", ""},

		// Floors.
		{"a block at the floor is refused", nil, floorSlot(7), block(7, 1), "below_floor", "slot 7 is not above the floor, slot 7"},
		{"a block below the floor is refused", nil, floorSlot(7), block(6, 1), "below_floor", "slot 6 is not above the floor, slot 7"},
		{"a block above the floor is signed", nil, floorSlot(7), block(8, 1), "", ""},
		{"a block at a floor of 0 is refused", nil, floorSlot(0), block(0, 1), "below_floor", ""},
		{"a floor under the last block does not stand in the way of its retry", []message{block(7, 1)}, floorSlot(6), block(7, 1), "", ""},
		{"a floor at the last block wins over its retry", []message{block(7, 1)}, floorSlot(7), block(7, 1), "below_floor", ""},
		{"a floor above the last block wins over its retry", []message{block(7, 1)}, floorSlot(9), block(7, 1), "below_floor", ""},
		{"a target at the floor is refused", nil, floorVote(3, 5), vote(4, 5, 1), "below_floor", "target epoch 5 is not above the floor, epoch 5"},
		{"a target below the floor is refused", nil, floorVote(3, 5), vote(3, 4, 1), "below_floor", ""},
		{"a source below the floor is refused", nil, floorVote(3, 5), vote(2, 6, 1), "below_floor", "source epoch 2 is below the floor, epoch 3"},
		{"a source at the floor is signed", nil, floorVote(3, 5), vote(3, 6, 1), "", ""},
		{"the vote of genesis at a floor of 0 is refused", nil, floorVote(0, 0), vote(0, 0, 1), "below_floor", ""},
		{"a vote after that of genesis is signed above a floor of 0", nil, floorVote(0, 0), vote(0, 1, 1), "", ""},
		{"a floor at the last vote wins over its retry", []message{vote(3, 5, 1)}, floorVote(3, 5), vote(3, 5, 1), "below_floor", ""},
		{"a source floor above the last source wins over the retry", []message{vote(3, 5, 1)}, floorVote(4, 4), vote(3, 5, 1), "below_floor", ""},
		{"a floor whose source is after its target forbids by both", nil, floorVote(5, 2), vote(3, 4, 1), "below_floor", ""},
		{"a floor at the last slot there is forbids every block", nil, floorSlot(maxUint64), block(maxUint64, 1), "below_floor", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var s slashing.State
			for _, m := range tt.signed {
				var err error
				if s, err = m.apply(s); err != nil {
					t.Fatalf("%v: %v", m, err)
				}
			}
			s = s.Raise(tt.floors)
			next, err := tt.ask.apply(s)
			if got := reasonOf(t, err); got != tt.want {
				t.Fatalf("%v: reason %q (%v), want %q", tt.ask, got, err, tt.want)
			}
			if err != nil && next != s {
				t.Errorf("a refusal changed the state")
			}
			if err != nil && !strings.Contains(err.Error(), tt.text) {
				t.Errorf("refusal %q does not tell %q", err, tt.text)
			}
			if err == nil {
				if again, err := tt.ask.apply(next); err != nil || again != next {
					t.Errorf("what was signed is not signed again: %v", err)
				}
			}
		})
	}
}

func TestRaiseLowersNothing(t *testing.T) {
	high := slashing.Floors{HasSlot: true, Slot: 9, HasSource: true, Source: 3, HasTarget: true, Target: 5}
	for _, tt := range []struct {
		name     string
		by, want slashing.Floors
	}{
		{"by nothing", slashing.Floors{}, high},
		{"by absent floors that hold a number", slashing.Floors{Slot: 99, Source: 99, Target: 99}, high},
		{"by lower floors", slashing.Floors{HasSlot: true, Slot: 8, HasSource: true, Source: 2, HasTarget: true, Target: 4}, high},
		{"by a lower slot and a higher source", slashing.Floors{HasSlot: true, HasSource: true, Source: 4}, slashing.Floors{HasSlot: true, Slot: 9, HasSource: true, Source: 4, HasTarget: true, Target: 5}},
		{"by higher floors", slashing.Floors{HasSlot: true, Slot: 10, HasSource: true, Source: 4, HasTarget: true, Target: 6}, slashing.Floors{HasSlot: true, Slot: 10, HasSource: true, Source: 4, HasTarget: true, Target: 6}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := slashing.State{}.Raise(high).Raise(tt.by).Watermarks()
			if got != tt.want {
				t.Errorf("floors %+v, want %+v", got, tt.want)
			}
		})
	}
	t.Run("absent floors stay absent", func(t *testing.T) {
		if got := (slashing.State{}).Raise(slashing.Floors{Slot: 99, Source: 99, Target: 99}); got != (slashing.State{}) {
			t.Errorf("state %+v", got)
		}
	})
}

func TestWatermarksAreTheHigherOfSignedAndFloors(t *testing.T) {
	s := slashing.State{}.Raise(slashing.Floors{HasSlot: true, Slot: 5, HasSource: true, Source: 7, HasTarget: true, Target: 8})
	s, err := s.Propose(9, root(1))
	if err != nil {
		t.Fatal(err)
	}
	if s, err = s.Attest(7, 12, root(1)); err != nil {
		t.Fatal(err)
	}
	s = s.Raise(slashing.Floors{HasSource: true, Source: 10})
	want := slashing.Floors{HasSlot: true, Slot: 9, HasSource: true, Source: 10, HasTarget: true, Target: 12}
	if got := s.Watermarks(); got != want {
		t.Errorf("watermarks %+v, want %+v", got, want)
	}
}
