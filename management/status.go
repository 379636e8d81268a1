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
	Version       string    `json:"version"`
	UptimeSeconds int64     `json:"uptime_seconds"`
	Ready         bool      `json:"ready"` // keys are loaded and the store takes records
	Network       Network   `json:"network"`
	Keys          Keys      `json:"keys"`
	Store         Store     `json:"store"`
	Platform      Platform  `json:"platform"`
	Hardening     Hardening `json:"hardening"`
	Horizon       *Horizon  `json:"horizon,omitzero"`

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

// A Hardening is what the signer's process has given up, part by part.
type Hardening struct {
	Took    []string `json:"took"`
	Missing []string `json:"missing"` // part and reason
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
	Size  *Size  `json:"size,omitzero"`
}

// A Head names everything that was ever recorded.
type Head struct {
	Sequence eth2.Uint64 `json:"sequence"`
	Hash     string      `json:"hash"`
}

// A Size is what the store takes, and what room there is for more.
type Size struct {
	Records       int     `json:"records"` // also of keys that are not held any more
	FileBytes     uint64  `json:"file_bytes"`
	DiskFreeBytes *uint64 `json:"disk_free_bytes,omitzero"` // absent: the disk does not say
}

func (h *handler) status(w http.ResponseWriter, _ *http.Request) {
	httpjson.WriteJSON(w, http.StatusOK, h.Status(time.Now()))
}

// Status tells what the signer is, holds and can do.
func (c Config) Status(now time.Time) Status {
	s := Status{
		Version:       c.Release,
		UptimeSeconds: int64(now.Sub(c.Started).Seconds()),
		Network:       c.network(now),
		Keys:          c.keys(),
		Store:         c.store(),
		Platform:      c.Platform,
		Hardening:     c.Hardening,
		Horizon:       c.horizon(),
		HighWatermark: c.highWatermark(),
	}
	s.Ready = s.Store.Up && !s.Keys.Loading
	return s
}

func (c Config) horizon() *Horizon {
	if c.Horizon == nil {
		return nil
	}
	return c.Horizon()
}

func (c Config) network(now time.Time) Network {
	n := Network{
		Name:                  c.Network.Name,
		GenesisValidatorsRoot: c.Network.GenesisValidatorsRoot,
		GenesisTime:           eth2.Uint64(c.Network.GenesisTime),
		SecondsPerSlot:        c.Network.SecondsPerSlot,
		SlotsPerEpoch:         c.Network.SlotsPerEpoch(),
	}
	if slot, started := c.Network.SlotAt(now.Unix()); started {
		epoch := c.Network.EpochOf(slot)
		n.Slot, n.Epoch = &slot, &epoch
	}
	return n
}

func (c Config) keys() Keys {
	k := Keys{Held: len(c.Custody.Vault.List()), InService: len(c.Custody.List()), Loading: !c.Custody.Ready()}
	if !k.Loading {
		k.Withheld = k.Held - k.InService
	}
	return k
}

func (c Config) store() Store {
	s := Store{Up: true}
	if err := c.StoreErr(); err != nil {
		s.Up, s.Error = false, err.Error()
	}
	if c.Head != nil {
		sequence, hash := c.Head()
		s.Head = &Head{eth2.Uint64(sequence), "0x" + hex.EncodeToString(hash[:])}
	}
	if c.Size != nil {
		size := c.Size()
		s.Size = &size
	}
	return s
}
