package web3signer

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/secure-signer/secure-signer/bls"
	"github.com/secure-signer/secure-signer/eth2"
	"github.com/secure-signer/secure-signer/signer"
)

// wire is the status of every reason, as clients were told.
var wire = map[signer.Reason]int{
	"double_block": 412, "double_vote": 412, "surround_vote": 412, "below_watermark": 412, "below_floor": 412,
	"source_after_target": 412, "too_far_future": 412, "high_watermark": 412, "key_disabled": 412, "no_record": 412, "foreign_chain": 412, "horizon_source": 412,
	"malformed_request": 400, "invalid_message": 400, "unknown_fork": 400, "signing_root_mismatch": 400, "pubkey_mismatch": 400,
	"body_too_large":   413,
	"kind_not_allowed": 403, "key_not_allowed": 403,
	"key_not_found":     404,
	"store_unavailable": 503, "horizon_not_owned": 503, "loading": 503, "shutting_down": 503, "overloaded": 503, "audit_unavailable": 503,
	"client_gone": 503, "internal": 500,
}

func TestEveryReasonHasItsStatus(t *testing.T) {
	for _, reason := range signer.Reasons() {
		t.Run(string(reason), func(t *testing.T) {
			w := httptest.NewRecorder()
			writeRefusal(w, refuse(reason, errors.New("because")))
			wantRefused(t, w, wire[reason], string(reason))
		})
	}
	if len(wire) != len(signer.Reasons()) || len(statuses) != len(wire) {
		t.Errorf("%d reasons, %d with a status, %d documented", len(signer.Reasons()), len(statuses), len(wire))
	}
	w := httptest.NewRecorder()
	writeRefusal(w, refuse("new", errors.New("because")))
	wantRefused(t, w, http.StatusInternalServerError, "new")
}

// A saying is a guard that says no, for a reason of its own or none.
type saying struct{ reason, text string }

func (s saying) Record(context.Context, bls.PublicKey, eth2.Message, eth2.Root) error {
	if s.reason == "" {
		return errors.New(s.text)
	}
	return fmt.Errorf("guard: %w", s)
}

func (s saying) Error() string  { return s.text }
func (s saying) Reason() string { return s.reason }

// TestTheGuardsReasonReachesTheClient through the whole of signer and handler.
func TestTheGuardsReasonReachesTheClient(t *testing.T) {
	r := newRig(t, mainnet(t), 1)
	for _, reason := range []string{"double_vote", "surround_vote", "below_floor", "key_disabled", "no_record", "too_far_future"} {
		r.signer.Guard = saying{reason, "target 7 after 6"}
		if got := wantRefused(t, r.post(samples()["ATTESTATION"]), wire[signer.Reason(reason)], reason); !strings.Contains(got, "target 7 after 6") {
			t.Errorf("%s: %s", reason, got)
		}
	}
}

// TestInternalsStayInside: what broke is in the log, and not in the answer.
func TestInternalsStayInside(t *testing.T) {
	r := newRig(t, mainnet(t), 1)
	r.signer.Guard = saying{text: "fsync /var/lib/signer/journal/7: input/output error"}
	if got := wantRefused(t, r.post(samples()["ATTESTATION"]), 503, "store_unavailable"); strings.Contains(got, "/var") {
		t.Errorf("the answer says %s", got)
	}
	line := r.log.take(t)[0]
	if got := fmt.Sprint(line["error"]); !strings.Contains(got, "/var/lib/signer/journal/7") {
		t.Errorf("the log says %s", got)
	}
}
