package attestapi

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/secure-signer/secure-signer/attest"
)

// exporterLabel separates this use of a connection's secrets from any other.
const exporterLabel = "EXPORTER-secure-signer-attestation-v1"

// Exporter returns what only the two ends of this very connection know, for the
// nonce. TLS 1.3 only: before it, whoever chose the master secret could give two
// connections the same value. Source: RFC 8446 section 7.5; RFC 7627.
func Exporter(state *tls.ConnectionState, nonce attest.Nonce) ([]byte, error) {
	if state == nil || state.Version != tls.VersionTLS13 {
		return nil, errors.New("evidence is bound to a TLS 1.3 connection, and this is none")
	}
	return state.ExportKeyingMaterial(exporterLabel, nonce[:], sha256.Size)
}

// An AttestRequest is the body of POST /attest.
type AttestRequest struct {
	Nonce attest.Nonce `json:"nonce"` // drawn anew
}

// Attested is its answer. The import nonce lies beside the evidence: it is the
// signer's, for one import within ImportTime, and whoever replays it is refused.
type Attested struct {
	Evidence    attest.Evidence `json:"evidence"`
	ImportNonce attest.Nonce    `json:"import_nonce"`
}

// maxAttestBody is far more than a nonce and a deposit's terms need.
const maxAttestBody = 4 << 10

func (h *handler) attest(r *http.Request) (any, error) {
	var req AttestRequest
	if err := decode(r, maxAttestBody, &req); err != nil {
		return nil, err
	}
	exporter, err := Exporter(r.TLS, req.Nonce)
	if err != nil {
		return nil, fail(http.StatusBadRequest, ReasonNeedsTLS,
			"%v: start the signer with --tls-cert-file and --tls-key-file, whose certificate no CA need have issued, and ask at https:// with TLS 1.3", err)
	}
	leave, err := h.quotes.enter()
	if err != nil {
		return nil, err
	}
	defer leave()
	claims := attest.Claims{HPKEKey: h.inbox.PublicKey(), TLSKey: h.TLSKey(r), Config: h.channel}
	ev, err := h.prove(r.Context(), claims, req.Nonce, exporter)
	if err != nil {
		return nil, err
	}
	h.Log.Info("evidence given", "type", ev.Type, "address", r.RemoteAddr)
	return Attested{ev, h.nonces.draw(digest(ev))}, nil
}

// prove asks the hardware for evidence with these claims, for a request that was let in.
func (h *handler) prove(ctx context.Context, claims attest.Claims, nonce attest.Nonce, exporter []byte) (attest.Evidence, error) {
	var ev attest.Evidence
	err := h.quotes.one(ctx, func(ctx context.Context) (err error) {
		ev, err = h.Evidence(ctx, claims.ReportData(nonce, exporter))
		return err
	})
	if err != nil {
		h.Log.Error("the hardware gives no evidence", "error", err)
		return ev, fail(http.StatusServiceUnavailable, ReasonNoEvidence, "the hardware gives no evidence: %v", err)
	}
	ev.Claims = claims
	return ev, nil
}

// digest names a piece of evidence.
func digest(ev attest.Evidence) attest.Digest { return sha256.Sum256(ev.Value) }

const (
	quoteTime = 45 * time.Second // less than a client has to read its answer
	maxQuotes = 16               // being made and waited for
)

// quotes has one quote made at a time. Anybody may ask for one, and each takes
// hardware up to seconds.
type quotes struct {
	places chan struct{} // holds all who have been let in
	turn   chan struct{} // holds the one whose quote is made
}

func newQuotes(places int) *quotes {
	return &quotes{places: make(chan struct{}, places), turn: make(chan struct{}, 1)}
}

// enter lets a request in that will have a quote made, before it does anything else.
func (q *quotes) enter() (leave func(), err error) {
	select {
	case q.places <- struct{}{}:
		return func() { <-q.places }, nil
	default:
		return nil, fail(http.StatusServiceUnavailable, reasonOverloaded, "too many ask for evidence at once, which is made one after another: ask again in a moment")
	}
}

// one does the work of a request that was let in, when it is its turn.
func (q *quotes) one(ctx context.Context, work func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, quoteTime)
	defer cancel()
	select {
	case q.turn <- struct{}{}:
		defer func() { <-q.turn }()
	case <-ctx.Done():
		return fmt.Errorf("wait for those before: %w", ctx.Err())
	}
	return work(ctx)
}
