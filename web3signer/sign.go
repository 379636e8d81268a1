package web3signer

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/secure-signer/secure-signer/admission"
	"github.com/secure-signer/secure-signer/bls"
	"github.com/secure-signer/secure-signer/eth2"
	"github.com/secure-signer/secure-signer/internal/httpjson"
	"github.com/secure-signer/secure-signer/signer"
)

// A decision is what became of one request to sign.
type decision struct {
	caller    signer.Caller
	key       bls.PublicKey
	fork      *eth2.ForkInfo
	message   eth2.Message // nil if there was none to be read
	signature bls.Signature
	refusal   *signer.Refusal // nil if signed
	took      time.Duration
}

// sign answers a request only once its decision is in the log, and decides only
// what the auditor has a place for.
func (h *Handler) sign(w http.ResponseWriter, r *http.Request) {
	start := time.Now()
	d := decision{caller: callerOf(r)}
	if d.refusal = h.reserve(); d.refusal == nil {
		d.refusal = h.decide(r, &d)
		h.decided(&d)
	}
	d.took = time.Since(start)
	h.audit(r.Context(), &d)
	if d.refusal != nil {
		writeRefusal(w, d.refusal)
		return
	}
	writeSignature(w, r, d.signature)
}

// decide reads the whole request before it asks whether the key is here, as
// Web3Signer does: a client's mistake is its own, whichever key it names.
func (h *Handler) decide(r *http.Request, d *decision) *signer.Refusal {
	if h.shutdown.Load() {
		return refuseLate()
	}
	body, release, err := h.bodies.read(r)
	defer release()
	if err != nil {
		return refuseBody(err)
	}
	arrived := time.Now() // how long the client took to send is its own affair
	var req request
	if err := h.request.Decode(body, &req); err != nil {
		return refuseBody(err)
	}
	d.fork = req.ForkInfo
	d.message, err = req.message()
	if err != nil {
		return refuseBody(err)
	}
	d.key, err = bls.ParsePublicKey(r.PathValue("identifier"))
	if err != nil {
		return refuse(signer.ReasonKeyNotFound, fmt.Errorf("the identifier in the path names no key: %w", err))
	}
	h.deciding.RLock() // not while the client sends, which may take it long
	defer h.deciding.RUnlock()
	if h.settled {
		return refuseLate()
	}
	ctx := r.Context() // ends when the client hangs up
	class := admission.ClassOf(d.message.Kind())
	if err := h.cfg.Gate.Enter(ctx, class, arrived); err != nil {
		return refuseEntry(err, time.Since(arrived))
	}
	defer h.cfg.Gate.Leave()
	d.signature, err = h.cfg.Signer.Sign(ctx, signer.Request{
		Caller:       d.caller,
		Key:          d.key,
		Message:      d.message,
		Urgent:       class == admission.Proposals,
		ClaimedRoots: req.claimedRoots(),
	})
	if err != nil {
		return h.refuseSigning(err)
	}
	return nil
}

// refuseEntry is for a request of which nothing has been recorded.
func refuseEntry(err error, age time.Duration) *signer.Refusal {
	if errors.Is(err, context.Canceled) {
		return refuse(signer.ReasonClientGone, errors.New("the client hung up while its request waited"))
	}
	return refuse(signer.ReasonOverloaded, fmt.Errorf("%w: %v after it came", err, age.Round(time.Millisecond)))
}

// refuseSigning passes a refusal on. A key that is not here yet may still come:
// a client told that it is unknown might drop the validator for good.
func (h *Handler) refuseSigning(err error) *signer.Refusal {
	var refusal *signer.Refusal
	if !errors.As(err, &refusal) {
		return refuse(signer.ReasonInternal, err)
	}
	if refusal.Reason == signer.ReasonKeyNotFound && !h.ready.Load() {
		return refuse(signer.ReasonLoading, errors.New("keys are still being loaded, and this one is not among those that are"))
	}
	return refusal
}

func refuseLate() *signer.Refusal {
	return refuse(signer.ReasonShuttingDown, errors.New("the signer is shutting down"))
}

func refuse(reason signer.Reason, err error) *signer.Refusal {
	return &signer.Refusal{Reason: reason, Err: err}
}

func refuseBody(err error) *signer.Refusal {
	var limit httpjson.Limit
	switch {
	case errors.As(err, &limit):
		return refuse(signer.ReasonBodyTooLarge, err)
	case errors.Is(err, errOverloaded):
		return refuse(signer.ReasonOverloaded, err)
	}
	return refuse(signer.ReasonMalformedRequest, err)
}

// callerOf names who sent r: by the common name of its certificate, if the
// listener has asked for one and let it in, else by the address that the
// connection comes from.
func callerOf(r *http.Request) signer.Caller {
	if r.TLS != nil && len(r.TLS.PeerCertificates) > 0 {
		if name := r.TLS.PeerCertificates[0].Subject.CommonName; name != "" {
			return signer.Caller{Name: name}
		}
	}
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return signer.Caller{Name: r.RemoteAddr}
	}
	return signer.Caller{Name: host}
}

// writeSignature writes JSON or bare hex, as the client would have it.
func writeSignature(w http.ResponseWriter, r *http.Request, sig bls.Signature) {
	if prefersText(r.Header["Accept"]) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = w.Write([]byte(sig.String())) // the client has gone: nobody to tell
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write([]byte(`{"signature":"` + sig.String() + `"}`))
}
