package main

import (
	"strings"
	"testing"

	"github.com/secure-signer/secure-signer/bls"
)

// TestADeletedKeyWithoutHistoryIsNoSuccess: the file that is kept is what stands
// between the key's next signer and a conflict.
func TestADeletedKeyWithoutHistoryIsNoSuccess(t *testing.T) {
	a, err := bls.ParsePublicKey(keyA)
	if err != nil {
		t.Fatal(err)
	}
	stranger := bls.PublicKey{1}
	for _, tt := range []struct {
		name, history string
		keys          []deleted
		want          string // in the error; empty for none
	}{
		{"every deleted key has its entry", history, []deleted{{Pubkey: a, Status: "deleted"}}, ""},
		{"a key that was never here needs none", history, []deleted{{Pubkey: a, Status: "not_active"}, {Pubkey: stranger, Status: "not_found"}}, ""},
		{"a deleted key has no entry", history, []deleted{{Pubkey: a, Status: "deleted"}, {Pubkey: stranger, Status: "deleted"}}, "lacks the history of " + stranger.String()},
		{"a key that was deleted before has no entry", history, []deleted{{Pubkey: stranger, Status: "not_active"}}, "lacks the history"},
		{"there is no history", ``, nil, "not slashing protection data"},
		{"the history is cut off", history[:len(history)-1], nil, "not slashing protection data"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := checkHistory(t.Context(), tt.history, tt.keys)
			if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
		})
	}
}
