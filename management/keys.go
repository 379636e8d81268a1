package management

import (
	"context"
	"fmt"
	"net/http"

	"github.com/secure-signer/secure-signer/bls"
	"github.com/secure-signer/secure-signer/custody"
	"github.com/secure-signer/secure-signer/internal/httpjson"
	"github.com/secure-signer/secure-signer/signer"
)

// A KeyList is the answer of GET /signer/v1/keys, ascending.
type KeyList struct {
	Keys []Key `json:"keys"`
}

// A Key is a key that is held, and what its slashing record says.
type Key struct {
	Pubkey    bls.PublicKey `json:"pubkey"`
	InService bool          `json:"in_service"`
	Problem   string        `json:"problem,omitzero"` // why it is not in service

	Record *Record `json:"record,omitzero"` // absent: nothing is known of what it has signed
}

func (h *handler) listKeys(w http.ResponseWriter, r *http.Request) {
	if !h.Custody.Ready() {
		writeLoading(w)
		return
	}
	pubs := h.Held()
	for _, pub := range pubs { // before the first byte is sent, an error still has its status
		if _, err := h.Key(r.Context(), pub); err != nil {
			httpjson.WriteError(w, http.StatusServiceUnavailable, string(signer.ReasonStoreUnavailable), err.Error())
			return
		}
	}
	httpjson.WriteList(w, "keys", func(yield func(Key, error) bool) {
		for _, pub := range pubs {
			if !yield(h.Key(r.Context(), pub)) {
				return
			}
		}
	})
}

// Held returns every key that is held, ascending.
func (c Config) Held() []bls.PublicKey { return c.Custody.Vault.List() }

// Key tells of a key that is held. It fails where a key in service cannot be told
// from one that has signed nothing. For one that is withheld the problem says as
// much. Nothing is known before Custody.Ready.
func (c Config) Key(ctx context.Context, pub bls.PublicKey) (Key, error) {
	problem := c.Custody.WhyWithheld(ctx, pub)
	k := Key{Pubkey: pub, InService: problem == nil}
	state, err := c.Guard.State(ctx, pub)
	if problem != nil {
		k.Problem = problem.Error()
	} else if err != nil {
		return k, err
	}
	if err == nil {
		record := recordOf(state)
		k.Record = &record
	}
	return k, nil
}

// MaxGenerate bounds how many keys one request draws: it is answered within
// seconds, and a client that wants more can show how far it is.
const MaxGenerate = 100

// A GenerateRequest is the body of POST /signer/v1/keys.
type GenerateRequest struct {
	Count int `json:"count"` // 1 to MaxGenerate
}

// Generated is the answer of POST /signer/v1/keys.
type Generated struct {
	Pubkeys []bls.PublicKey `json:"pubkeys"`
}

// notGenerated is the body of an error after some keys were made: they are in
// service, and nobody else knows of them.
type notGenerated struct {
	failure
	Pubkeys []bls.PublicKey `json:"pubkeys"`
}

// maxGenerateBody is far more than {"count":100} needs.
const maxGenerateBody = 1 << 10

func (h *handler) generateKeys(w http.ResponseWriter, r *http.Request) {
	var req GenerateRequest
	if err := httpjson.Decode(r.Body, maxGenerateBody, &req); err != nil {
		httpjson.WriteDecodeError(w, err)
		return
	}
	if req.Count < 1 || req.Count > MaxGenerate {
		httpjson.WriteError(w, http.StatusBadRequest, httpjson.ReasonMalformedRequest,
			fmt.Sprintf("count: want 1 to %d, got %d: draw more keys by more requests", MaxGenerate, req.Count))
		return
	}
	if !h.Custody.Ready() {
		writeLoading(w)
		return
	}
	made := Generated{Pubkeys: make([]bls.PublicKey, 0, req.Count)}
	for range req.Count {
		pub, err := h.Custody.Generate(r.Context())
		if err != nil {
			h.Log.Error("key not generated", "error", err)
			writeFailure(w, notGenerated{storeFailure(fmt.Sprintf("a key could not be generated: %v", err)), made.Pubkeys})
			return
		}
		h.Log.Info("key generated", "pubkey", pub)
		made.Pubkeys = append(made.Pubkeys, pub)
	}
	httpjson.WriteJSON(w, http.StatusOK, made)
}

func writeLoading(w http.ResponseWriter) {
	httpjson.WriteError(w, http.StatusServiceUnavailable, string(signer.ReasonLoading), custody.ErrLoading.Error())
}

// A failure is the members that every error body has.
type failure struct {
	Code    int    `json:"code"`
	Message string `json:"message"`
	Error   string `json:"error"`
	Reason  string `json:"reason"`
}

func storeFailure(message string) failure {
	return failure{http.StatusServiceUnavailable, message, message, string(signer.ReasonStoreUnavailable)}
}

// writeFailure answers a storeFailure with what was done before it.
func writeFailure(w http.ResponseWriter, body any) {
	w.Header().Set("Retry-After", "1")
	httpjson.WriteJSON(w, http.StatusServiceUnavailable, body)
}
