package attestapi

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"

	jsonv2 "github.com/go-json-experiment/json"

	"github.com/secure-signer/secure-signer/attest"
	"github.com/secure-signer/secure-signer/deposit"
	"github.com/secure-signer/secure-signer/eth2"
)

// Settings are all that decides what this signer signs and what becomes of its keys,
// apart from the program itself: the right program with the wrong flags is the wrong
// signer. Two runs with the same settings have the same text, so that a policy can
// know it beforehand.
//
// The schedule of forks after genesis is not among them: requests bring the version
// of their fork, and a wrong schedule costs what they ask for, never a conflict.
type Settings struct {
	Network               string        `json:"network"`
	GenesisValidatorsRoot eth2.Root     `json:"genesis_validators_root"`
	GenesisTime           uint64        `json:"genesis_time"` // unix seconds; floors by the clock count from it
	GenesisForkVersion    eth2.Version  `json:"genesis_fork_version"`
	SecondsPerSlot        uint64        `json:"seconds_per_slot"`
	SlotsPerEpoch         uint64        `json:"slots_per_epoch"`
	Horizon               Keeper        `json:"horizon"`           // what any copy may have signed
	Sealing               Keeper        `json:"sealing"`           // who keeps the sealing key, if not the hardware
	Release               Release       `json:"release"`           // whose leave a successor needs
	NewKeyFloor           string        `json:"new_key_floor"`     // clock or none
	MaxFutureEpochs       string        `json:"max_future_epochs"` // a number or off
	Allow                 []string      `json:"allow"`             // kinds of message beyond duties, sorted
	HighWatermark         HighWatermark `json:"high_watermark"`    // where it stops
	KeyExport             string        `json:"key_export"`        // none or owner
	Hardening             string        `json:"hardening"`         // best-effort, require or off
}

// A Keeper is somebody outside who keeps what a data folder cannot.
type Keeper struct {
	Kind     string          `json:"kind"` // none, or its package
	Identity json.RawMessage `json:"identity,omitempty"`
}

// NoKeeper is that of a folder which has none.
const NoKeeper = "none"

// A Release is whose leave another version of the program needs to take the keys
// over: so many of these Ed25519 keys.
type Release struct {
	Threshold int          `json:"threshold"`
	Keys      []attest.Hex `json:"keys"` // ascending
}

// A HighWatermark is where the signer stops; nil is nowhere.
type HighWatermark struct {
	Epoch *eth2.Epoch `json:"epoch"`
	Slot  *eth2.Slot  `json:"slot"`
}

// What may become of secret keys that are here.
const (
	KeyExportNone  = "none"  // they never leave
	KeyExportOwner = "owner" // whoever owns the machine may have the vault sealed by a passphrase of his (secure-signer reseal)
)

// canonical fills in what the network says, and orders what has no order.
func (s Settings) canonical(n *eth2.Network) Settings {
	s.Network, s.GenesisValidatorsRoot, s.GenesisTime = n.Name, n.GenesisValidatorsRoot, n.GenesisTime
	s.GenesisForkVersion, s.SecondsPerSlot, s.SlotsPerEpoch = n.Forks[0].Version, n.SecondsPerSlot, n.SlotsPerEpoch()
	s.Allow = append([]string{}, s.Allow...) // never null
	slices.Sort(s.Allow)
	s.Release.Keys = append([]attest.Hex{}, s.Release.Keys...)
	slices.SortFunc(s.Release.Keys, func(a, b attest.Hex) int { return bytes.Compare(a, b) })
	return s
}

// A Document is what Claims.Config holds: the settings, which a policy names one by
// one, and statements, which are of one piece of evidence and which no policy can
// know beforehand. See attest.Policy.JudgeClaims.
//
// The receipt key stands here and not among the claims, because it is one use of
// evidence among others (a sealing key is released against evidence that has none);
// and not among the settings, because then a policy would have to leave a setting
// open.
type Document struct {
	Settings   Settings      `json:"settings"`
	ReceiptKey attest.Hex    `json:"receipt_key,omitempty"` // Ed25519, of this run
	Generated  *deposit.Data `json:"generated,omitempty"`   // the deposit of a key that was drawn inside
}

// The names of the statements.
const (
	StatesReceiptKey = "receipt_key"
	StatesGenerated  = "generated"
)

func (d Document) encode() ([]byte, error) {
	text, err := json.Marshal(d)
	if err != nil {
		return nil, fmt.Errorf("write the configuration document: %w", err)
	}
	return text, nil
}

// ReadDocument reads what evidence is bound to, strictly.
func ReadDocument(config []byte) (Document, error) {
	var d Document
	if err := jsonv2.Unmarshal(config, &d, jsonv2.RejectUnknownMembers(true)); err != nil {
		return Document{}, fmt.Errorf("the configuration of the evidence: %w", err)
	}
	return d, nil
}
