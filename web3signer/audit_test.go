package web3signer

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/secure-signer/secure-signer/eth2"
	"github.com/secure-signer/secure-signer/signer"
)

// A ledger is an auditor with so many places.
type ledger struct {
	places int
	kept   []signer.Decision
}

func (l *ledger) Reserve() error {
	if l.places == 0 {
		return errors.New("no place left")
	}
	l.places--
	return nil
}

func (l *ledger) Decided(d signer.Decision) { l.kept = append(l.kept, d) }

func TestEveryDecisionIsKeptWithItsRootAndItsReason(t *testing.T) {
	n := mainnet(t)
	r := newRig(t, n, 1)
	l := &ledger{places: 4}
	r.cfg.Auditor = l
	first := samples()["ATTESTATION"]
	for _, body := range []string{first, first, strings.Replace(first, root1, root2, 1), "{}"} {
		r.post(body)
	}
	var got []signer.Reason
	for _, d := range l.kept {
		got = append(got, "")
		if d.Refusal != nil {
			got[len(got)-1] = d.Refusal.Reason
		}
	}
	if diff := cmp.Diff([]signer.Reason{"", "", signer.ReasonDoubleVote, signer.ReasonMalformedRequest}, got); diff != "" {
		t.Fatalf("reasons (-want +got):\n%s", diff)
	}
	root, err := l.kept[2].Message.SigningRoot(n)
	if err != nil || l.kept[2].Root != root || l.kept[2].Key != r.keys[0] || l.kept[2].Caller.Name == "" || l.kept[2].Time.IsZero() {
		t.Errorf("got %+v, want root %v", l.kept[2], root)
	}
	if l.kept[3].Message != nil || l.kept[3].Root != (eth2.Root{}) {
		t.Errorf("what could not be read: got %+v", l.kept[3])
	}
}

func TestNothingIsSignedThatCannotBeKept(t *testing.T) {
	n := mainnet(t)
	r := newRig(t, n, 1)
	l := &ledger{}
	r.cfg.Auditor = l
	body := samples()["ATTESTATION"]
	wantRefused(t, r.post(body), http.StatusServiceUnavailable, "audit_unavailable")
	l.places = 1
	signatureIn(t, r.post(strings.Replace(body, root1, root2, 1))) // so the refused one has left no record
	r.ShutDown()
	wantRefused(t, r.post(body), http.StatusServiceUnavailable, "shutting_down")
}
