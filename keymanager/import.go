package keymanager

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/secure-signer/secure-signer/bls"
	"github.com/secure-signer/secure-signer/custody"
	"github.com/secure-signer/secure-signer/internal/httpjson"
	"github.com/secure-signer/secure-signer/slashing"
)

type importRequest struct {
	Keystores          []string `json:"keystores"` // each a JSON string that holds a keystore
	Passwords          []string `json:"passwords"` // of the keystore at the same index
	SlashingProtection string   `json:"slashing_protection,omitzero"`
}

// importKeystores works in the one order that never activates a key before its
// history:
//
//  1. the interchange is valid as a whole, or the request is a 400;
//  2. the keystores are opened, which changes nothing;
//  3. the history of those that could be opened is durable;
//  4. only now is any key brought into service.
//
// A client that hangs up ends it before 3, and not any more from there on.
func (h *handler) importKeystores(w http.ResponseWriter, r *http.Request) {
	var req importRequest
	if err := httpjson.Decode(r.Body, MaxBody, &req); err != nil {
		httpjson.WriteDecodeError(w, err)
		return
	}
	if len(req.Keystores) != len(req.Passwords) {
		httpjson.WriteError(w, http.StatusBadRequest, httpjson.ReasonMalformedRequest,
			fmt.Sprintf("%d keystores and %d passwords: passwords[i] has to open keystores[i]", len(req.Keystores), len(req.Passwords)))
		return
	}
	if err := h.checkHistory(r.Context(), req.SlashingProtection); err != nil {
		h.Log.Warn("import refused", "error", err)
		writeHistoryError(w, err)
		return
	}
	candidates := h.open(r.Context(), req.Keystores, req.Passwords)
	defer wipe(candidates)
	if r.Context().Err() != nil {
		return // nobody reads the answer, and nothing has changed
	}
	ctx := context.WithoutCancel(r.Context())
	history, err := h.importHistory(ctx, req.SlashingProtection, candidates)
	if err != nil { // it was valid a moment ago
		h.Log.Error("import refused", "error", err)
		writeHistoryError(w, err)
		return
	}
	outcomes := make([]outcome, len(candidates))
	for i, c := range candidates {
		outcomes[i] = h.activate(ctx, c, history)
	}
	answer(w, struct {
		Data []outcome `json:"data"`
	}{outcomes})
}

// checkHistory reads an interchange and applies none of it.
func (h *handler) checkHistory(ctx context.Context, interchange string) error {
	if interchange == "" {
		return nil
	}
	_, err := h.Guard.Import(ctx, strings.NewReader(interchange), func(bls.PublicKey) bool { return false })
	return err
}

// importHistory makes the history of the candidates durable, also of those that
// are in service already: their floors rise. Whether that succeeded is said for
// each key; an error means that nothing was applied.
func (h *handler) importHistory(ctx context.Context, interchange string, candidates []candidate) (slashing.Imported, error) {
	if interchange == "" {
		return nil, nil
	}
	wanted := make(map[bls.PublicKey]bool)
	for _, c := range candidates {
		if c.err == nil {
			wanted[c.pub] = true
		}
	}
	history, err := h.Guard.Import(ctx, strings.NewReader(interchange), func(pub bls.PublicKey) bool { return wanted[pub] })
	if history == nil {
		return nil, err
	}
	return history, nil
}

// writeHistoryError answers for an interchange of which nothing was applied: it
// is malformed, or else another chain's.
func writeHistoryError(w http.ResponseWriter, err error) {
	reason := reasonForeignChain
	if errors.Is(err, slashing.ErrInterchange) {
		reason = httpjson.ReasonMalformedRequest
	}
	httpjson.WriteError(w, http.StatusBadRequest, reason, "slashing_protection: nothing was imported: "+err.Error())
}

// activate brings one candidate into service. A key that the interchange does not
// name arrives without history, whatever else the interchange holds.
func (h *handler) activate(ctx context.Context, c candidate, history slashing.Imported) outcome {
	if c.err != nil {
		h.Log.Warn("key not imported", "error", c.err)
		return failure(c.err)
	}
	historyErr, named := history[c.pub]
	if historyErr != nil {
		h.Log.Error("key not imported", "pubkey", c.pub, "error", historyErr)
		return failure(fmt.Errorf("its slashing protection data could not be made durable, so it was not activated by this request; try again: %w", historyErr))
	}
	if c.held {
		return outcome{Status: custody.Duplicate, Message: "in service already: the keystore was not opened"}
	}
	origin := slashing.Arrived
	if named {
		origin = slashing.WithHistory
	}
	status, err := h.Custody.Import(ctx, c.secret, origin)
	if err != nil {
		h.Log.Error("key not imported", "pubkey", c.pub, "error", err)
		return failure(err)
	}
	h.Log.Info("key imported", "pubkey", c.pub, "status", status, "history", named)
	return outcome{Status: status}
}
