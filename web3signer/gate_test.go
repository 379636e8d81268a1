package web3signer

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/secure-signer/secure-signer/admission"
	"github.com/secure-signer/secure-signer/bls"
	"github.com/secure-signer/secure-signer/eth2"
	"github.com/secure-signer/secure-signer/policy"
	"github.com/secure-signer/secure-signer/signer"
)

// A desk signs one message at a time, each when it is told to go on, and notes
// what it began, with a mark if it was signed before all others.
type desk struct {
	free
	begun []string
	next  chan struct{}
}

func (d *desk) SignFirst(context.Context, *bls.Key, [32]byte) (bls.Signature, error) {
	d.begun[len(d.begun)-1] += " first"
	return bls.Signature{}, nil
}

func (d *desk) Record(_ context.Context, _ bls.PublicKey, m eth2.Message, _ eth2.Root) error {
	d.begun = append(d.begun, m.Kind().String())
	<-d.next
	return nil
}

// An overloaded handler has one place, and a desk.
type overloaded struct {
	*Handler
	desk *desk
	log  bytes.Buffer
}

func overload(t *testing.T) *overloaded {
	n := mainnet(t)
	o := &overloaded{desk: &desk{next: make(chan struct{})}}
	o.Handler = New(Config{
		Signer: &signer.Signer{Network: n, Keys: o.desk, Guard: o.desk, Policy: policy.Duties()},
		Gate:   admission.New(admission.Config{InFlight: 1}),
		Log:    slog.New(slog.NewTextHandler(&o.log, nil)),
	})
	o.Ready()
	return o
}

// send asks for a sample to be signed and returns where the answer will be.
func (o *overloaded) send(ctx context.Context, sample string) answer {
	req := httptest.NewRequestWithContext(ctx, http.MethodPost, "/api/v1/eth2/sign/"+pubkey0, strings.NewReader(samples()[sample]))
	w := make(answer, 1)
	go func() {
		recorder := httptest.NewRecorder()
		o.ServeHTTP(recorder, req)
		w <- recorder
	}()
	synctest.Wait()
	return w
}

// An answer holds one, once there is one.
type answer chan *httptest.ResponseRecorder

func (a answer) wantStatus(t *testing.T, status int) {
	t.Helper()
	synctest.Wait()
	select {
	case w := <-a:
		if w.Code != status {
			t.Errorf("got %d %s, want %d", w.Code, w.Body, status)
		}
	default:
		t.Errorf("there is no answer yet, want %d", status)
	}
}

func (a answer) wantNone(t *testing.T) {
	t.Helper()
	synctest.Wait()
	if len(a) != 0 {
		w := <-a
		t.Fatalf("answered already: %d %s", w.Code, w.Body)
	}
}

// signOne lets the message on the desk be signed.
func (o *overloaded) signOne() {
	o.desk.next <- struct{}{}
	synctest.Wait()
}

func TestUnderLoadBlocksGoFirstAndRegistrationsLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := overload(t)
		answers := []answer{o.send(t.Context(), "ATTESTATION")}
		for _, sample := range []string{"VALIDATOR_REGISTRATION", "AGGREGATION_SLOT", "AGGREGATE_AND_PROOF", "ATTESTATION", "BLOCK_V2 of FULU"} {
			answers = append(answers, o.send(t.Context(), sample))
		}
		for range answers {
			o.signOne()
		}
		want := []string{"ATTESTATION", "BLOCK_V2 first", "ATTESTATION", "AGGREGATE_AND_PROOF", "AGGREGATION_SLOT", "VALIDATOR_REGISTRATION"}
		if diff := cmp.Diff(want, o.desk.begun); diff != "" {
			t.Errorf("order (-want +got):\n%s", diff)
		}
		for _, a := range answers {
			a.wantStatus(t, http.StatusOK)
		}
	})
}

func TestARequestThatWaitedForFourSecondsIsNotBegun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := overload(t)
		first := o.send(t.Context(), "ATTESTATION")
		late := o.send(t.Context(), "BLOCK_V2 of FULU")
		time.Sleep(4*time.Second - 1)
		late.wantNone(t)
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		wantRefused(t, <-late, http.StatusServiceUnavailable, "overloaded")

		o.signOne()
		first.wantStatus(t, http.StatusOK)
		fresh := o.send(t.Context(), "BLOCK_V2 of FULU")
		o.signOne()
		fresh.wantStatus(t, http.StatusOK)
		if got, want := fmt.Sprint(o.desk.begun), "[ATTESTATION BLOCK_V2 first]"; got != want {
			t.Errorf("begun: %s, want %s", got, want)
		}
	})
}

func TestAClientThatHasGoneIsDroppedOnlyWhileItWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := overload(t)
		ctx, hangUp := context.WithCancel(t.Context())
		begun := o.send(ctx, "ATTESTATION")
		waiting := o.send(ctx, "BLOCK_V2 of FULU")
		hangUp()
		synctest.Wait()
		wantRefused(t, <-waiting, http.StatusServiceUnavailable, "client_gone")
		begun.wantNone(t) // its record is being written
		o.signOne()
		begun.wantStatus(t, http.StatusOK)
		if !strings.Contains(o.log.String(), "reason=client_gone") {
			t.Errorf("log:\n%s", &o.log)
		}
	})
}
