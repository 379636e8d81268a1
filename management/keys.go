package management

import (
	"fmt"
	"net/http"

	"github.com/secure-signer/secure-signer/bls"
	"github.com/secure-signer/secure-signer/custody"
	"github.com/secure-signer/secure-signer/eth2"
	"github.com/secure-signer/secure-signer/internal/httpjson"
)

// A KeyList is the answer of GET /signer/v1/keys: the keys in service,
// ascending.
type KeyList struct {
	Data []Key `json:"data"`
}

// A Key is a key in service and the highest that it has signed or may not sign
// any more. A member is absent where there is neither.
type Key struct {
	Pubkey bls.PublicKey `json:"pubkey"`
	Slot   *eth2.Slot    `json:"slot,omitzero"`   // of a block
	Source *eth2.Epoch   `json:"source,omitzero"` // of an attestation
	Target *eth2.Epoch   `json:"target,omitzero"`
}

func (h *handler) keys(w http.ResponseWriter, r *http.Request) {
	if !h.Custody.Ready() {
		httpjson.WriteError(w, http.StatusServiceUnavailable, reasonLoading, custody.ErrLoading.Error())
		return
	}
	pubs := h.Custody.List()
	list := KeyList{Data: make([]Key, len(pubs))}
	for i, pub := range pubs {
		state, err := h.Guard.State(r.Context(), pub)
		if err != nil {
			httpjson.WriteError(w, http.StatusServiceUnavailable, reasonStoreUnavailable, err.Error())
			return
		}
		k, marks := Key{Pubkey: pub}, state.Watermarks()
		if marks.HasSlot {
			k.Slot = &marks.Slot
		}
		if marks.HasSource {
			k.Source = &marks.Source
		}
		if marks.HasTarget {
			k.Target = &marks.Target
		}
		list.Data[i] = k
	}
	httpjson.WriteJSON(w, http.StatusOK, list)
}

// A GenerateRequest is the body of POST /signer/v1/keys.
type GenerateRequest struct {
	Count int `json:"count"` // 1 to MaxGenerate
}

// A Generated is its answer. If Error is set, the keys before it are in service
// all the same.
type Generated struct {
	Data  []bls.PublicKey `json:"data"`
	Error string          `json:"error,omitzero"`
}

// generate draws keys inside this process. A client that hangs up gets no more
// keys than those already drawn: GET lists them.
func (h *handler) generate(w http.ResponseWriter, r *http.Request) {
	var req GenerateRequest
	if err := httpjson.Decode(r.Body, maxBody, &req); err != nil {
		httpjson.WriteDecodeError(w, err)
		return
	}
	if req.Count < 1 || req.Count > MaxGenerate {
		httpjson.WriteError(w, http.StatusBadRequest, httpjson.ReasonMalformedRequest,
			fmt.Sprintf("count is %d: ask for 1 to %d keys", req.Count, MaxGenerate))
		return
	}
	if !h.Custody.Ready() {
		httpjson.WriteError(w, http.StatusServiceUnavailable, reasonLoading, custody.ErrLoading.Error())
		return
	}
	made := Generated{Data: []bls.PublicKey{}}
	for range req.Count {
		pub, err := h.Custody.Generate(r.Context())
		if err != nil {
			h.Log.Error("key not generated", "error", err)
			made.Error = err.Error()
			break
		}
		h.Log.Info("key generated", "pubkey", pub)
		made.Data = append(made.Data, pub)
	}
	status := http.StatusOK
	if made.Error != "" {
		status = http.StatusServiceUnavailable
	}
	httpjson.WriteJSON(w, status, made)
}
