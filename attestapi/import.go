package attestapi

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/secure-signer/secure-signer/attest"
	"github.com/secure-signer/secure-signer/bls"
	"github.com/secure-signer/secure-signer/custody"
	"github.com/secure-signer/secure-signer/slashing"
)

// An ImportRequest is the body of POST /import. It holds no secret in the open.
type ImportRequest struct {
	ImportNonce attest.Nonce  `json:"import_nonce"`
	Pubkey      bls.PublicKey `json:"pubkey"`
	Sealed      Base64        `json:"sealed"` // by Seal
}

// Imported is its answer: the receipt, and the nonce of the next import under the
// same evidence.
type Imported struct {
	SignedReceipt
	ImportNonce attest.Nonce `json:"import_nonce"`
}

const (
	maxImportBody = 16 << 20 // one key with its history
	maxBodies     = 4        // at a time
)

// importKey works in the one order that never brings a key into service before its
// history:
//
//  1. the nonce is taken: whatever happens now, this request does not happen twice;
//  2. the bundle opens, and is what it was sent for, which changes nothing;
//  3. its history is valid and durable;
//  4. only now is the key brought into service.
func (h *handler) importKey(r *http.Request) (any, error) {
	select {
	case h.bodies <- struct{}{}:
		defer func() { <-h.bodies }()
	default:
		return nil, fail(http.StatusServiceUnavailable, reasonOverloaded, "other imports are still being worked on: send them one after another")
	}
	var req ImportRequest
	if err := decode(r, maxImportBody, &req); err != nil {
		return nil, err
	}
	if !h.Custody.Ready() {
		return nil, fail(http.StatusServiceUnavailable, reasonLoading, "%v", custody.ErrLoading)
	}
	evidence, ok := h.nonces.take(req.ImportNonce)
	if !ok {
		return nil, fail(http.StatusConflict, ReasonImportNonce,
			"this import nonce has been used, is older than %v, or was drawn by another run: nothing was imported; ask for evidence again, and seal the key anew", ImportTime)
	}
	bundle, err := openBundle(h.inbox, Address{h.Network.GenesisValidatorsRoot, evidence, req.ImportNonce, req.Pubkey}, req.Sealed)
	if err != nil {
		return nil, fail(http.StatusBadRequest, ReasonBundleRefused, "the sealed key was not imported: %v", err)
	}
	defer bundle.Secret.Wipe()
	ctx := context.WithoutCancel(r.Context()) // what has begun is finished
	if err := h.importHistory(ctx, req.Pubkey, bundle.History); err != nil {
		return nil, err
	}
	return h.bringIn(ctx, bundle, req, evidence)
}

// importHistory makes the history of the key durable.
func (h *handler) importHistory(ctx context.Context, pub bls.PublicKey, past History) error {
	if past.None {
		return nil
	}
	imported, err := h.Guard.Import(ctx, strings.NewReader(past.SlashingProtection), func(p bls.PublicKey) bool { return p == pub })
	if imported == nil {
		if errors.Is(err, slashing.ErrInterchange) {
			return fail(http.StatusBadRequest, ReasonBundleRefused, "nothing was imported: slashing protection data: %v", err)
		}
		return fail(http.StatusBadRequest, reasonForeignChain, "nothing was imported: slashing protection data: %v", err)
	}
	err, named := imported[pub]
	switch {
	case !named:
		return fail(http.StatusBadRequest, ReasonBundleRefused, "nothing was imported: its slashing protection data does not name the key")
	case err != nil:
		return fail(http.StatusServiceUnavailable, reasonStoreUnavailable, "its slashing protection data could not be made durable, so the key was not activated; try again: %v", err)
	}
	return nil
}

// bringIn brings the key into service and says so.
func (h *handler) bringIn(ctx context.Context, b Bundle, req ImportRequest, evidence attest.Digest) (any, error) {
	origin := slashing.WithHistory
	if b.History.None {
		origin = slashing.Arrived
	}
	status, err := h.Custody.Import(ctx, b.Secret, origin)
	if err != nil {
		h.Log.Error("key not imported", "pubkey", req.Pubkey, "error", err)
		return nil, fail(http.StatusServiceUnavailable, reasonStoreUnavailable, "%v", err)
	}
	h.Log.Info("key imported", "pubkey", req.Pubkey, "status", status, "history", !b.History.None, "attested", true)
	state, err := h.Guard.State(ctx, req.Pubkey)
	if err != nil {
		return nil, fail(http.StatusServiceUnavailable, reasonStoreUnavailable, "the key is in service, and its record cannot be read for the receipt: %v", err)
	}
	signed, err := h.sign(Receipt{
		Pubkey:                req.Pubkey,
		Status:                status,
		GenesisValidatorsRoot: h.Network.GenesisValidatorsRoot,
		Horizon:               h.Settings.Horizon,
		History:               !b.History.None,
		Floors:                FloorsOf(state.Watermarks()),
		ImportNonce:           req.ImportNonce,
		Evidence:              evidence,
		Time:                  time.Now().UTC().Truncate(time.Second),
	})
	if err != nil {
		return nil, err
	}
	return Imported{signed, h.nonces.draw(evidence)}, nil
}
