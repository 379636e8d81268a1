package management

import (
	"errors"
	"net/http"
	"slices"

	"github.com/secure-signer/secure-signer/bls"
	"github.com/secure-signer/secure-signer/eth2"
	"github.com/secure-signer/secure-signer/internal/httpjson"
	"github.com/secure-signer/secure-signer/signer"
	"github.com/secure-signer/secure-signer/slashing"
)

// A Record is what the slashing protection remembers of a key: what was signed
// here, and floors, which come from elsewhere. A block is signed only above both
// slots, an attestation only above both targets and not from below either source;
// of what was signed here the identical message is signed again, unless a floor
// has passed it.
type Record struct {
	Disabled        bool         `json:"disabled"` // nothing that could be slashed is signed: deleted, or only history
	LastBlock       *Block       `json:"last_block,omitzero"`
	LastAttestation *Attestation `json:"last_attestation,omitzero"`
	Floors          Floors       `json:"floors"`
}

// A Block is the last one signed here.
type Block struct {
	Slot        eth2.Slot `json:"slot"`
	SigningRoot eth2.Root `json:"signing_root"`
}

// An Attestation is the last one signed here.
type Attestation struct {
	SourceEpoch eth2.Epoch `json:"source_epoch"`
	TargetEpoch eth2.Epoch `json:"target_epoch"`
	SigningRoot eth2.Root  `json:"signing_root"`
}

// Floors are bounds from an import, from the clock at a key's arrival, or raised
// by hand. What is absent bounds nothing.
type Floors struct {
	Slot        *eth2.Slot  `json:"slot,omitzero"`
	SourceEpoch *eth2.Epoch `json:"source_epoch,omitzero"`
	TargetEpoch *eth2.Epoch `json:"target_epoch,omitzero"`
}

// A KeyRecord is the record of a key, which may not be held here any more, or not
// yet.
type KeyRecord struct {
	Pubkey bls.PublicKey `json:"pubkey"`
	Held   bool          `json:"held"` // in the vault
	Record Record        `json:"record"`
}

// A HighWatermark is where this signer stops: nothing at or past it is signed.
type HighWatermark struct {
	Slot  eth2.Slot  `json:"slot"`
	Epoch eth2.Epoch `json:"epoch"`
}

// Shown is the answer of GET /signer/v1/slashing/{pubkey}.
type Shown struct {
	KeyRecord
	HighWatermark *HighWatermark `json:"high_watermark,omitzero"`
}

// A RecordList is the answer of GET /signer/v1/slashing/records, ascending.
type RecordList struct {
	Records       []KeyRecord    `json:"records"`
	HighWatermark *HighWatermark `json:"high_watermark,omitzero"`
}

func (h *handler) showRecord(w http.ResponseWriter, r *http.Request) {
	var pub bls.PublicKey
	if err := pub.UnmarshalText([]byte(r.PathValue("pubkey"))); err != nil {
		httpjson.WriteError(w, http.StatusBadRequest, httpjson.ReasonMalformedRequest, "pubkey: "+err.Error())
		return
	}
	state, err := h.Guard.State(r.Context(), pub)
	if err != nil {
		writeStateError(w, err)
		return
	}
	httpjson.WriteJSON(w, http.StatusOK, Shown{
		KeyRecord:     KeyRecord{pub, slices.Contains(h.Custody.Vault.List(), pub), recordOf(state)},
		HighWatermark: h.highWatermark(),
	})
}

func (h *handler) listRecords(w http.ResponseWriter, r *http.Request) {
	held := h.held()
	list := RecordList{Records: []KeyRecord{}, HighWatermark: h.highWatermark()}
	for k, err := range h.Guard.States(r.Context()) {
		if err != nil {
			writeStateError(w, err)
			return
		}
		list.Records = append(list.Records, KeyRecord{k.PublicKey, held[k.PublicKey], recordOf(k.State)})
	}
	httpjson.WriteJSON(&outgoing{ResponseWriter: w}, http.StatusOK, list)
}

// writeStateError answers for a record that cannot be read, or that is not there.
func writeStateError(w http.ResponseWriter, err error) {
	if errors.Is(err, slashing.ErrNoRecord) {
		httpjson.WriteError(w, http.StatusNotFound, string(signer.ReasonNoRecord), err.Error()+": neither the key nor its history was ever here")
		return
	}
	httpjson.WriteError(w, http.StatusServiceUnavailable, string(signer.ReasonStoreUnavailable), err.Error())
}

// held returns the keys of the vault.
func (h *handler) held() map[bls.PublicKey]bool {
	pubs := h.Custody.Vault.List()
	held := make(map[bls.PublicKey]bool, len(pubs))
	for _, pub := range pubs {
		held[pub] = true
	}
	return held
}

func (c Config) highWatermark() *HighWatermark {
	mark := c.Guard.HighWatermark()
	if !mark.Set {
		return nil
	}
	return &HighWatermark{Slot: mark.Slot, Epoch: mark.Epoch}
}

func recordOf(s slashing.State) Record {
	r := Record{Disabled: s.Disabled(), Floors: floorsOf(s.Floors())}
	if slot, root, ok := s.LastBlock(); ok {
		r.LastBlock = &Block{slot, root}
	}
	if source, target, root, ok := s.LastAttestation(); ok {
		r.LastAttestation = &Attestation{source, target, root}
	}
	return r
}

func floorsOf(f slashing.Floors) Floors {
	var out Floors
	if f.HasSlot {
		out.Slot = &f.Slot
	}
	if f.HasSource {
		out.SourceEpoch = &f.Source
	}
	if f.HasTarget {
		out.TargetEpoch = &f.Target
	}
	return out
}
