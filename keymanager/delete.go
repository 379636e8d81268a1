package keymanager

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/secure-signer/secure-signer/bls"
	"github.com/secure-signer/secure-signer/custody"
	"github.com/secure-signer/secure-signer/internal/httpjson"
)

type deleteRequest struct {
	Pubkeys []bls.PublicKey `json:"pubkeys"`
}

type deleteResponse struct {
	Data               []outcome `json:"data"`
	SlashingProtection string    `json:"slashing_protection"` // an interchange, as a JSON string
}

// deleteKeys takes every key out of service before the first byte of history is
// exported. A client that hangs up does not stop it half way: the same request
// again answers not_active, with the same history.
func (h *handler) deleteKeys(w http.ResponseWriter, r *http.Request) {
	var req deleteRequest
	if err := httpjson.Decode(r.Body, MaxBody, &req); err != nil {
		httpjson.WriteDecodeError(w, err)
		return
	}
	ctx := context.WithoutCancel(r.Context())
	outcomes := make([]outcome, len(req.Pubkeys))
	withHistory := make(map[bls.PublicKey]bool)
	for i, pub := range req.Pubkeys {
		status, err := h.Custody.Delete(ctx, pub)
		if err != nil {
			h.Log.Error("key not deleted", "pubkey", pub, "error", err)
			outcomes[i] = failure(err)
			continue
		}
		h.Log.Info("asked to delete a key", "pubkey", pub, "status", status)
		outcomes[i] = outcome{Status: status}
		withHistory[pub] = status != custody.NotFound
	}
	interchange, err := h.export(ctx, withHistory)
	if err != nil {
		h.Log.Error("history of deleted keys not exported", "error", err)
		for i := range outcomes {
			if withHistory[req.Pubkeys[i]] {
				outcomes[i] = failure(fmt.Errorf("the key is out of service, but its history could not be read: repeat the request, and do not use the key elsewhere before it succeeds: %w", err))
			}
		}
		interchange, err = h.export(ctx, nil) // no keys, but a valid interchange
	}
	if err != nil {
		httpjson.WriteError(w, http.StatusInternalServerError, reasonStoreUnavailable,
			"the keys are out of service, but no interchange can be written: repeat the request: "+err.Error())
		return
	}
	answer(w, deleteResponse{outcomes, interchange})
}

// export returns the interchange of some keys.
func (h *handler) export(ctx context.Context, of map[bls.PublicKey]bool) (string, error) {
	var interchange strings.Builder
	err := h.Guard.Export(ctx, &interchange, func(pub bls.PublicKey) bool { return of[pub] })
	return interchange.String(), err
}

// answer answers 200 with v. The time that its client has to read it begins now:
// the server's began with the request, and is meant for slow clients, not for slow
// work.
func answer(w http.ResponseWriter, v any) {
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(answerTime))
	httpjson.WriteJSON(w, http.StatusOK, v)
}
