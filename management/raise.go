package management

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/secure-signer/secure-signer/bls"
	"github.com/secure-signer/secure-signer/eth2"
	"github.com/secure-signer/secure-signer/internal/httpjson"
	"github.com/secure-signer/secure-signer/slashing"
)

// A RaiseRequest is the body of POST /signer/v1/slashing/raise: to now, or to the
// numbers that are given.
type RaiseRequest struct {
	Pubkeys []bls.PublicKey `json:"pubkeys,omitzero"` // absent: every key that has a record

	To *string `json:"to,omitzero"` // only ToNow

	Slot        *eth2.Slot  `json:"slot,omitzero"`
	SourceEpoch *eth2.Epoch `json:"source_epoch,omitzero"`
	TargetEpoch *eth2.Epoch `json:"target_epoch,omitzero"`
}

// ToNow raises over all that a signer like this one may have signed until now.
const ToNow = "now"

// Raised is the answer of POST /signer/v1/slashing/raise.
type Raised struct {
	Keys   int    `json:"keys"`   // whose floors are at least as high now
	Floors Floors `json:"floors"` // as asked for; before genesis nothing can be too low
}

// maxRaiseBody has room for every key that a signer can hold.
const maxRaiseBody = 64 << 20

func (h *handler) raise(w http.ResponseWriter, r *http.Request) {
	var req RaiseRequest
	if err := httpjson.Decode(r.Body, maxRaiseBody, &req); err != nil {
		httpjson.WriteDecodeError(w, err)
		return
	}
	floors, err := h.floors(req)
	if err != nil {
		httpjson.WriteError(w, http.StatusBadRequest, httpjson.ReasonMalformedRequest, err.Error())
		return
	}
	ctx := context.WithoutCancel(r.Context()) // half a raise helps nobody
	keys := req.Pubkeys
	if keys == nil {
		if keys, err = h.recorded(ctx); err != nil {
			writeStateError(w, err)
			return
		}
	}
	err = h.Guard.Raise(ctx, keys, floors)
	w = &outgoing{ResponseWriter: w}
	if err != nil {
		h.Log.Error("floors not raised", "error", err)
		writeStateError(w, err)
		return
	}
	h.Log.Warn("floors raised", "keys", len(keys), "slot", floors.Slot, "source", floors.Source, "target", floors.Target)
	httpjson.WriteJSON(w, http.StatusOK, Raised{Keys: len(keys), Floors: floorsOf(floors)})
}

// floors returns what a request asks for.
func (h *handler) floors(req RaiseRequest) (slashing.Floors, error) {
	numbers := req.Slot != nil || req.SourceEpoch != nil || req.TargetEpoch != nil
	switch {
	case req.Pubkeys != nil && len(req.Pubkeys) == 0:
		return slashing.Floors{}, errors.New("pubkeys: empty: leave it out to raise every key")
	case req.To != nil && *req.To != ToNow:
		return slashing.Floors{}, fmt.Errorf("to: want %q, got %.32q", ToNow, *req.To)
	case (req.To != nil) == numbers:
		return slashing.Floors{}, errors.New("want either to, or at least one of slot, source_epoch and target_epoch")
	case req.To != nil:
		return h.Guard.SignedUntil(time.Now())
	}
	var floors slashing.Floors
	if req.Slot != nil {
		floors.HasSlot, floors.Slot = true, *req.Slot
	}
	if req.SourceEpoch != nil {
		floors.HasSource, floors.Source = true, *req.SourceEpoch
	}
	if req.TargetEpoch != nil {
		floors.HasTarget, floors.Target = true, *req.TargetEpoch
	}
	return floors, nil
}

// recorded returns every key that has a record.
func (h *handler) recorded(ctx context.Context) ([]bls.PublicKey, error) {
	var keys []bls.PublicKey
	for k, err := range h.Guard.States(ctx) {
		if err != nil {
			return nil, err
		}
		keys = append(keys, k.PublicKey)
	}
	return keys, nil
}
