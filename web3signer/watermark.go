package web3signer

import (
	"net/http"

	"github.com/secure-signer/secure-signer/eth2"
	"github.com/secure-signer/secure-signer/internal/httpjson"
)

// A HighWatermark is where a signer stops: nothing at or past it is signed.
type HighWatermark struct {
	Epoch eth2.Epoch `json:"epoch"`
	Slot  eth2.Slot  `json:"slot"`
}

// highWatermark answers {} if there is none.
func (h *Handler) highWatermark(w http.ResponseWriter, _ *http.Request) {
	if h.cfg.HighWatermark == nil {
		httpjson.WriteJSON(w, http.StatusOK, struct{}{})
		return
	}
	httpjson.WriteJSON(w, http.StatusOK, h.cfg.HighWatermark)
}
