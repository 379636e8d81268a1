package management

import (
	"encoding/hex"
	"net/http"
	"time"

	"github.com/secure-signer/secure-signer/eth2"
	"github.com/secure-signer/secure-signer/internal/httpjson"
)

// A Status is the answer of GET /signer/v1/status.
type Status struct {
	Version       string   `json:"version"`
	UptimeSeconds int64    `json:"uptime_seconds"`
	Ready         bool     `json:"ready"` // keys are loaded and the store takes records
	Network       Network  `json:"network"`
	Keys          Keys     `json:"keys"`
	Store         Store    `json:"store"`
	Platform      Platform `json:"platform"`
	Horizon       *Horizon `json:"horizon,omitzero"`

	HighWatermark *HighWatermark `json:"high_watermark,omitzero"`
}

// A Network is the chain that a signer signs for.
type Network struct {
	Name                  string      `json:"name"`
	GenesisValidatorsRoot eth2.Root   `json:"genesis_validators_root"`
	GenesisTime           eth2.Uint64 `json:"genesis_time"` // unix seconds; 0: unknown
	SecondsPerSlot        uint64      `json:"seconds_per_slot"`
	SlotsPerEpoch         uint64      `json:"slots_per_epoch"`
	Slot                  *eth2.Slot  `json:"slot,omitzero"`  // by the signer's clock, from genesis on
	Epoch                 *eth2.Epoch `json:"epoch,omitzero"` // likewise
}

// A Platform is the trusted hardware that a signer runs in.
type Platform struct {
	Kind        string   `json:"kind"`                 // none, or as in attest.Kind
	Measurement string   `json:"measurement,omitzero"` // which program it is, by the hardware's registers
	Lacks       []string `json:"lacks"`                // what it cannot do, in a sentence each
}

// A Horizon says in which epochs this signer may sign blocks and votes, of all
// copies of it. Absent: in all, and nothing keeps copies from signing, too.
type Horizon struct {
	Kind        string      `json:"kind"`                  // tpm, tpm-unverified or witness
	Keeper      string      `json:"keeper"`                // which one, for people
	Owned       bool        `json:"owned"`                 // the present epoch is
	First       *eth2.Epoch `json:"first_epoch,omitzero"`  // that it owns; absent if it owns none
	Last        *eth2.Epoch `json:"last_epoch,omitzero"`   // likewise
	SourceFloor *eth2.Epoch `json:"source_floor,omitzero"` // it votes from no earlier source; absent until the keeper has answered
	Error       string      `json:"error,omitzero"`        // why no block and no vote is signed, or no further epoch is claimed
}

// Keys counts keys. While they load, those in service tell how far that is, and
// none counts as withheld.
type Keys struct {
	Held      int  `json:"held"`       // in the vault
	InService int  `json:"in_service"` // sign
	Withheld  int  `json:"withheld"`   // held, but not in service: GET /signer/v1/keys says why
	Loading   bool `json:"loading"`
}

// A Store is the state of the slashing protection's store.
type Store struct {
	Up    bool   `json:"up"`
	Error string `json:"error,omitzero"`
	Head  *Head  `json:"head,omitzero"`
}

// A Head names everything that was ever recorded.
type Head struct {
	Sequence eth2.Uint64 `json:"sequence"`
	Hash     string      `json:"hash"`
}

func (h *handler) status(w http.ResponseWriter, _ *http.Request) {
	now := time.Now()
	s := Status{
		Version:       h.Release,
		UptimeSeconds: int64(now.Sub(h.Started).Seconds()),
		Network:       h.network(now),
		Keys:          h.keys(),
		Store:         h.store(),
		Platform:      h.Platform,
		Horizon:       h.horizon(),
		HighWatermark: h.highWatermark(),
	}
	s.Ready = s.Store.Up && !s.Keys.Loading
	httpjson.WriteJSON(w, http.StatusOK, s)
}

func (h *handler) horizon() *Horizon {
	if h.Horizon == nil {
		return nil
	}
	return h.Horizon()
}

func (h *handler) network(now time.Time) Network {
	n := Network{
		Name:                  h.Network.Name,
		GenesisValidatorsRoot: h.Network.GenesisValidatorsRoot,
		GenesisTime:           eth2.Uint64(h.Network.GenesisTime),
		SecondsPerSlot:        h.Network.SecondsPerSlot,
		SlotsPerEpoch:         h.Network.SlotsPerEpoch(),
	}
	if slot, started := h.Network.SlotAt(now.Unix()); started {
		epoch := h.Network.EpochOf(slot)
		n.Slot, n.Epoch = &slot, &epoch
	}
	return n
}

func (h *handler) keys() Keys {
	k := Keys{Held: len(h.Custody.Vault.List()), InService: len(h.Custody.List()), Loading: !h.Custody.Ready()}
	if !k.Loading {
		k.Withheld = k.Held - k.InService
	}
	return k
}

func (h *handler) store() Store {
	s := Store{Up: true}
	if err := h.StoreErr(); err != nil {
		s.Up, s.Error = false, err.Error()
	}
	if h.Head != nil {
		sequence, hash := h.Head()
		s.Head = &Head{eth2.Uint64(sequence), "0x" + hex.EncodeToString(hash[:])}
	}
	return s
}
