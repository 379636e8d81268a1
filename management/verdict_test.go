package management

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/secure-signer/secure-signer/bls"
	"github.com/secure-signer/secure-signer/eth2"
	"github.com/secure-signer/secure-signer/slashing"
)

// verdict asks, and leaves out the key and the messages.
func (s *testSigner) verdict(t *testing.T, pub bls.PublicKey, query string) object {
	t.Helper()
	var got object
	if code := s.ask(t, "GET", "/signer/v1/slashing/"+pub.String()+"/verdict"+query, "", &got); code != http.StatusOK {
		t.Fatalf("%s: %d %v", query, code, got)
	}
	if got["pubkey"] != pub.String() {
		t.Errorf("%s: for key %v", query, got["pubkey"])
	}
	delete(got, "pubkey")
	for name, v := range got {
		judged := v.(object)
		if (judged["message"] == nil) != (judged["allowed"] == true) {
			t.Errorf("%s: %s: message %v", query, name, judged["message"])
		}
		delete(judged, "message")
	}
	return got
}

func TestAVerdictNamesTheReasonAndTheEnd(t *testing.T) {
	s := newSigner(t)
	s.load(t)
	pub := s.generate(t)
	if err := s.signBlock(t, pub, 70); err != nil {
		t.Fatal(err)
	}
	if err := s.vote(t, pub, 4, 6); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		query string
		want  object
	}{
		{"?slot=71", object{"block": object{"slot": "71", "allowed": true}}},
		{"?slot=70", object{"block": object{"slot": "70", "allowed": false, "reason": "double_block", "from_slot": "71", "from_time": "2025-03-17T12:24:12Z"}}},
		{"?slot=7", object{"block": object{"slot": "7", "allowed": false, "reason": "below_watermark", "from_slot": "71", "from_time": "2025-03-17T12:24:12Z"}}},
		{"?source=3&target=7", object{"attestation": object{"source_epoch": "3", "target_epoch": "7", "allowed": false, "reason": "surround_vote", "from_epoch": "7", "from_time": "2025-03-17T12:54:48Z"}}},
		{"?source=4&target=7", object{"attestation": object{"source_epoch": "4", "target_epoch": "7", "allowed": true}}},
		{"?epoch=6", object{
			"block":       object{"slot": "192", "allowed": true},
			"attestation": object{"source_epoch": "5", "target_epoch": "6", "allowed": false, "reason": "double_vote", "from_epoch": "7", "from_time": "2025-03-17T12:54:48Z"},
		}},
		{"?epoch=0", object{
			"block":       object{"slot": "0", "allowed": false, "reason": "below_watermark", "from_slot": "71", "from_time": "2025-03-17T12:24:12Z"},
			"attestation": object{"source_epoch": "0", "target_epoch": "0", "allowed": false, "reason": "below_watermark", "from_epoch": "7", "from_time": "2025-03-17T12:54:48Z"},
		}},
		{"?slot=18446744073709551615", object{"block": object{"slot": "18446744073709551615", "allowed": true}}},
	} {
		if diff := cmp.Diff(tt.want, s.verdict(t, pub, tt.query)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.query, diff)
		}
	}
	// A floor at the end of time has none, and is in no calendar.
	if err := s.guard.Raise(t.Context(), []bls.PublicKey{pub}, slashing.Floors{HasSlot: true, Slot: 1<<64 - 2}); err != nil {
		t.Fatal(err)
	}
	want := object{"block": object{"slot": "5", "allowed": false, "reason": "below_floor", "from_slot": "18446744073709551615"}}
	if diff := cmp.Diff(want, s.verdict(t, pub, "?slot=5")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestAVerdictIsOfTheClockUnlessAskedOtherwise(t *testing.T) {
	s := newSignerThat(t, slashing.Config{MaxFutureEpochs: 1})
	s.load(t)
	pub := s.generate(t)
	network, _ := eth2.Builtin("hoodi")
	slot, _ := network.SlotAt(time.Now().Unix())
	got := s.verdict(t, pub, "")
	if b := got["block"].(object); b["allowed"] != true || b["slot"] != fmt.Sprint(slot) && b["slot"] != fmt.Sprint(slot+1) {
		t.Errorf("at slot %d: %v", slot, b)
	}
	ahead := network.EpochOf(slot) + 9
	b := s.verdict(t, pub, "?epoch="+fmt.Sprint(ahead))["block"].(object)
	if b["reason"] != "too_far_future" || b["from_slot"] != fmt.Sprint(network.FirstSlot(ahead)) || b["from_time"] == nil {
		t.Errorf("nine epochs ahead: %v", b)
	}
}

func TestAVerdictOnAKeyThatSignsNothing(t *testing.T) {
	s := newSigner(t)
	both := func(reason string) object {
		return object{
			"block":       object{"slot": "32", "allowed": false, "reason": reason},
			"attestation": object{"source_epoch": "0", "target_epoch": "1", "allowed": false, "reason": reason},
		}
	}
	if diff := cmp.Diff(both("loading"), s.verdict(t, stranger, "?epoch=1")); diff != "" {
		t.Errorf("while keys load (-want +got):\n%s", diff)
	}
	s.load(t)
	if diff := cmp.Diff(both("key_not_found"), s.verdict(t, stranger, "?epoch=1")); diff != "" {
		t.Errorf("a stranger (-want +got):\n%s", diff)
	}
	pub := s.generate(t)
	if err := s.guard.Disable(t.Context(), pub); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(both("key_disabled"), s.verdict(t, pub, "?epoch=1")); diff != "" {
		t.Errorf("a key whose deletion has begun (-want +got):\n%s", diff)
	}
}

func TestAVerdictHeedsTheHorizon(t *testing.T) {
	s := newSigner(t)
	s.load(t)
	pub := s.generate(t)
	first, last, floor := eth2.Epoch(5), eth2.Epoch(7), eth2.Epoch(4)
	s.horizon = &Horizon{Kind: "tpm", First: &first, Last: &last, SourceFloor: &floor}
	for query, want := range map[string]object{
		"?slot=160":          {"block": object{"slot": "160", "allowed": true}},
		"?slot=255":          {"block": object{"slot": "255", "allowed": true}},
		"?slot=159":          {"block": object{"slot": "159", "allowed": false, "reason": "horizon_not_owned"}},
		"?slot=256":          {"block": object{"slot": "256", "allowed": false, "reason": "horizon_not_owned"}},
		"?source=4&target=5": {"attestation": object{"source_epoch": "4", "target_epoch": "5", "allowed": true}},
		"?source=3&target=5": {"attestation": object{"source_epoch": "3", "target_epoch": "5", "allowed": false, "reason": "horizon_source"}},
		"?source=4&target=8": {"attestation": object{"source_epoch": "4", "target_epoch": "8", "allowed": false, "reason": "horizon_not_owned"}},
	} {
		if diff := cmp.Diff(want, s.verdict(t, pub, query)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", query, diff)
		}
	}
	s.horizon = &Horizon{Kind: "tpm"}
	if got := s.verdict(t, pub, "?slot=160")["block"].(object)["reason"]; got != "horizon_not_owned" {
		t.Errorf("before the first claim: %v", got)
	}
}

func TestAVerdictThatIsNotClearIsNone(t *testing.T) {
	s := newSigner(t)
	s.load(t)
	pub := s.generate(t)
	path := "/signer/v1/slashing/" + pub.String() + "/verdict"
	for _, query := range []string{"?epoch=x", "?epoch=-1", "?epoch=1&epoch=2", "?slot=1&epoch=2", "?source=1", "?target=1", "?slot=1&source=1&target=2", "?when=1", "?epoch="} {
		s.wantError(t, "GET", path+query, "", http.StatusBadRequest, "malformed_request", "want")
	}
	s.wantError(t, "GET", "/signer/v1/slashing/0x12/verdict", "", http.StatusBadRequest, "malformed_request", "pubkey")
	s.store.unreadable.Store(true)
	s.wantError(t, "GET", path+"?slot=1", "", http.StatusServiceUnavailable, "store_unavailable", "no space")
}
