package web3signer

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/secure-signer/secure-signer/bls"
	"github.com/secure-signer/secure-signer/eth2"
	"github.com/secure-signer/secure-signer/policy"
	"github.com/secure-signer/secure-signer/signer"
)

func TestIdentifiers(t *testing.T) {
	r := newRig(t, mainnet(t), 1)
	digits := pubkey0[2:]
	for name, tt := range map[string]struct {
		identifier string
		found      bool
	}{
		"with 0x":            {"0x" + digits, true},
		"without 0x":         {digits, true},
		"in upper case":      {strings.ToUpper(digits), true},
		"with 0X":            {"0X" + digits, true},
		"escaped":            {"%30x" + digits, true},
		"another key":        {commitment, false},
		"a digit short":      {digits[1:], false},
		"a digit long":       {digits + "0", false},
		"no hex":             {strings.Repeat("z", 96), false},
		"a dash":             {"-", false},
		"invalid UTF-8":      {"%ff", false},
		"a path in disguise": {"..%2f..%2fetc", false},
	} {
		t.Run(name, func(t *testing.T) {
			w := r.do(call{http.MethodPost, "/api/v1/eth2/sign/" + tt.identifier, samples()["RANDAO_REVEAL"], nil})
			if tt.found {
				signatureIn(t, w)
			} else {
				wantRefused(t, w, http.StatusNotFound, "key_not_found")
			}
		})
	}
}

// TestTheClientsMistakeIsToldBeforeTheKeyIsSought, as Web3Signer does.
func TestTheClientsMistakeIsToldBeforeTheKeyIsSought(t *testing.T) {
	r := newRig(t, mainnet(t), 1)
	for _, identifier := range []string{commitment, "nonsense"} {
		w := r.do(call{http.MethodPost, "/api/v1/eth2/sign/" + identifier, "{}", nil})
		wantRefused(t, w, http.StatusBadRequest, "malformed_request")
	}
}

func TestAKindThatIsNotAllowed(t *testing.T) {
	r := newRig(t, mainnet(t), 1)
	r.signer.Policy = policy.Duties()
	for _, name := range []string{"DEPOSIT", "VOLUNTARY_EXIT"} {
		got := wantRefused(t, r.post(strings.Replace(samples()[name], name, strings.ToLower(name), 1)), http.StatusForbidden, "kind_not_allowed")
		if !strings.Contains(got, "--allow "+name) {
			t.Errorf("the message does not tell how to allow it: %s", got)
		}
	}
}

// TestSignedOnceAndAgain: a lost answer must not cost a duty, another message
// in its place must not be signed.
func TestSignedOnceAndAgain(t *testing.T) {
	r := newRig(t, mainnet(t), 1)
	for _, name := range []string{"ATTESTATION", "BLOCK_V2 of FULU"} {
		body := samples()[name]
		first := signatureIn(t, r.post(body))
		if again := signatureIn(t, r.post(body)); again != first {
			t.Errorf("%s: %v, then %v", name, first, again)
		}
		w := r.post(strings.Replace(body, root1, root2, 1))
		wantRefused(t, w, http.StatusPreconditionFailed, map[string]string{"ATTESTATION": "double_vote", "BLOCK_V2 of FULU": "double_block"}[name])
	}
}

func TestWhileLoadingOnlyAbsentKeysWait(t *testing.T) {
	r := newRig(t, mainnet(t), 1)
	r.ready.Store(false)
	signatureIn(t, r.post(samples()["RANDAO_REVEAL"]))
	unknown := call{http.MethodPost, "/api/v1/eth2/sign/" + commitment, samples()["RANDAO_REVEAL"], nil}
	wantRefused(t, r.do(unknown), http.StatusServiceUnavailable, "loading")
	r.Ready()
	wantRefused(t, r.do(unknown), http.StatusNotFound, "key_not_found")
}

func TestAfterShutDownNothingIsSigned(t *testing.T) {
	r := newRig(t, mainnet(t), 1)
	r.ShutDown()
	w := r.post(samples()["RANDAO_REVEAL"])
	wantRefused(t, w, http.StatusServiceUnavailable, "shutting_down")
	if w.Header().Get("Connection") != "close" {
		t.Error("the connection is kept")
	}
}

// TestWhatIsInFlightAtAStop has a body that ends after ShutDown: it is answered,
// unless all was settled before.
func TestWhatIsInFlightAtAStop(t *testing.T) {
	for name, settle := range map[string]bool{"shut down": false, "settled": true} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, mainnet(t), 1)
			body, in := io.Pipe()
			w, done := httptest.NewRecorder(), make(chan struct{})
			go func() {
				defer close(done)
				r.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/api/v1/eth2/sign/"+pubkey0, body))
			}()
			text := samples()["RANDAO_REVEAL"]
			io.WriteString(in, text[:1]) // it returns once the handler reads
			r.ShutDown()
			if settle {
				r.Settle()
			}
			io.WriteString(in, text[1:])
			in.Close()
			<-done
			if settle {
				wantRefused(t, w, http.StatusServiceUnavailable, "shutting_down")
			} else {
				signatureIn(t, w)
			}
		})
	}
}

// A slow guard lets a test look while a record is being written.
type slow struct {
	signer.Guard
	begun, finish chan struct{}
}

func (g slow) Record(ctx context.Context, pub bls.PublicKey, m eth2.Message, root eth2.Root) error {
	close(g.begun)
	<-g.finish
	return g.Guard.Record(context.WithoutCancel(ctx), pub, m, root)
}

// TestWhatIsRecordedIsAnswered, through a shutdown and a client that hung up.
func TestWhatIsRecordedIsAnswered(t *testing.T) {
	r := newRig(t, mainnet(t), 1)
	guard := slow{r.signer.Guard, make(chan struct{}), make(chan struct{})}
	r.signer.Guard = guard
	ctx, hangUp := context.WithCancel(context.Background())
	req := httptest.NewRequestWithContext(ctx, http.MethodPost, "/api/v1/eth2/sign/"+pubkey0, strings.NewReader(samples()["ATTESTATION"]))
	w, done := httptest.NewRecorder(), make(chan struct{})
	go func() {
		defer close(done)
		r.ServeHTTP(w, req)
	}()
	select {
	case <-guard.begun:
	case <-done:
		t.Fatalf("answered without a record: %d %s", w.Code, w.Body)
	}
	hangUp()
	r.ShutDown()
	settled := make(chan struct{})
	go func() {
		defer close(settled)
		r.Settle()
	}()
	select {
	case <-settled:
		t.Error("settled while a request is being decided")
	case <-time.After(50 * time.Millisecond):
	}
	close(guard.finish)
	<-done
	<-settled
	signatureIn(t, w)
}

func TestABodyThatBreaksOff(t *testing.T) {
	r := newRig(t, mainnet(t), 1)
	req := httptest.NewRequest(http.MethodPost, "/api/v1/eth2/sign/"+pubkey0, iotest.ErrReader(errors.New("connection reset")))
	w := httptest.NewRecorder()
	r.ServeHTTP(w, req)
	wantRefused(t, w, http.StatusBadRequest, "malformed_request")
}

func TestOneLineADecision(t *testing.T) {
	const mainnetRoot = "0x4b363db94e286120d76eb905340fdd4e54bfe9f06bf33ff6cf5ad27f511bfe95"
	newer := strings.NewReplacer("0x05000000", "0x06000000", "0x06000000", "0x63000000").Replace(samples()["RANDAO_REVEAL"])
	for name, tt := range map[string]struct {
		body string
		want map[string]any
		seen outcome
	}{
		"signed": {samples()["ATTESTATION"], map[string]any{
			"level": "INFO", "msg": "signed", "kind": "ATTESTATION", "pubkey": pubkey0, "caller": "192.0.2.1",
			"slot": 13164544.0, "source": 411391.0, "target": 411392.0,
		}, outcome{eth2.KindAttestation, ""}},
		"refused": {strings.Replace(samples()["BLOCK_V2 of FULU"], mainnetRoot, root1, 1), map[string]any{
			"level": "WARN", "msg": "refused", "kind": "BLOCK_V2", "pubkey": pubkey0, "reason": "foreign_chain", "slot": 13164545.0,
		}, outcome{eth2.KindBlock, signer.ReasonForeignChain}},
		"malformed": {`{"type":"\u001b[2J"}`, map[string]any{
			"level": "WARN", "msg": "refused", "kind": nil, "reason": "malformed_request", "error": `type: unknown type "\x1b[2J"`,
		}, outcome{0, signer.ReasonMalformedRequest}},
		"an unknown fork": {newer, map[string]any{
			"level": "WARN", "msg": "signed under a fork that this release does not know: update the signer",
			"kind": "RANDAO_REVEAL", "epoch": 411392.0, "current_version": "0x63000000",
		}, outcome{eth2.KindRandaoReveal, ""}},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, mainnet(t), 1)
			w := r.post(tt.body)
			got := r.log.take(t)
			if len(got) != 1 {
				t.Fatalf("%d lines: %v", len(got), got)
			}
			for key, want := range tt.want {
				if got[0][key] != want {
					t.Errorf("%s: got %v, want %v", key, got[0][key], want)
				}
			}
			if _, ok := got[0]["took"]; !ok {
				t.Error("no duration")
			}
			if r.seen.count(tt.seen.kind, tt.seen.reason) != 1 || len(r.seen.outcomes) != 1 {
				t.Errorf("seen %v", r.seen.outcomes)
			}
			if newer := name == "an unknown fork"; newer != (r.seen.unknownForks == 1) {
				t.Errorf("%d unknown forks", r.seen.unknownForks)
			}
			if w.Code == 200 {
				if sig := signatureIn(t, w).String(); strings.Contains(lineText(got[0]), sig[2:34]) {
					t.Error("the signature is in the log")
				}
			}
		})
	}
}

func lineText(line map[string]any) string {
	var b bytes.Buffer
	for _, v := range line {
		if s, ok := v.(string); ok {
			b.WriteString(s)
		}
	}
	return b.String()
}

// TestTheLineSaysWhen for every kind that has a slot or an epoch.
func TestTheLineSaysWhen(t *testing.T) {
	for name, body := range samples() {
		if name == "DEPOSIT" || name == "VALIDATOR_REGISTRATION" {
			continue
		}
		r := newRig(t, gloasNetwork(t), 1)
		signatureIn(t, r.post(body))
		line := r.log.take(t)[0]
		if line["slot"] == nil && line["epoch"] == nil {
			t.Errorf("%s: neither slot nor epoch in %v", name, line)
		}
	}
}
