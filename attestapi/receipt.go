package attestapi

import (
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	jsonv2 "github.com/go-json-experiment/json"

	"github.com/secure-signer/secure-signer/attest"
	"github.com/secure-signer/secure-signer/bls"
	"github.com/secure-signer/secure-signer/custody"
	"github.com/secure-signer/secure-signer/eth2"
	"github.com/secure-signer/secure-signer/slashing"
)

// A Receipt says what the signer has taken over.
type Receipt struct {
	Pubkey                bls.PublicKey  `json:"pubkey"`
	Status                custody.Status `json:"status"` // imported, or duplicate: it was in service already
	GenesisValidatorsRoot eth2.Root      `json:"genesis_validators_root"`
	Horizon               Keeper         `json:"horizon"`
	History               bool           `json:"history"` // whether it came with one
	Floors                Floors         `json:"floors"`
	ImportNonce           attest.Nonce   `json:"import_nonce"`
	Evidence              attest.Digest  `json:"evidence"` // SHA-256 of the value of the evidence that it was sealed for
	Time                  time.Time      `json:"time"`     // by the signer's clock, which is its host's
}

// Floors are what the key will not sign any more: blocks at this slot or before,
// votes from before the source or to the target or before. An absent one is none.
type Floors struct {
	Slot   *eth2.Slot  `json:"slot,omitzero"`
	Source *eth2.Epoch `json:"source_epoch,omitzero"`
	Target *eth2.Epoch `json:"target_epoch,omitzero"`
}

// FloorsOf is f as a receipt has it.
func FloorsOf(f slashing.Floors) Floors {
	return Floors{present(f.HasSlot, f.Slot), present(f.HasSource, f.Source), present(f.HasTarget, f.Target)}
}

func present[N any](has bool, n N) *N {
	if !has {
		return nil
	}
	return &n
}

// AtLeast reports whether f forbids all that g does.
func (f Floors) AtLeast(g Floors) bool {
	return atLeast(f.Slot, g.Slot) && atLeast(f.Source, g.Source) && atLeast(f.Target, g.Target)
}

func atLeast[N ~uint64](a, b *N) bool { return b == nil || a != nil && *a >= *b }

// A SignedReceipt is the very text that was signed, so that nobody has to write it
// again in the same way.
type SignedReceipt struct {
	Receipt   string     `json:"receipt"`   // a Receipt in JSON
	Signature attest.Hex `json:"signature"` // Ed25519, over receiptDomain and that text
}

const receiptDomain = "secure-signer receipt v1\x00"

func (h *handler) sign(r Receipt) (SignedReceipt, error) {
	text, err := json.Marshal(r) // as the document is written, so that its horizon is the same text
	if err != nil {
		return SignedReceipt{}, fmt.Errorf("write the receipt: %w", err)
	}
	return SignedReceipt{string(text), ed25519.Sign(h.receipt, append([]byte(receiptDomain), text...))}, nil
}

// Verify returns what the receipt says, if the holder of the key has signed it: the
// receipt key of a document that evidence is bound to.
func (s SignedReceipt) Verify(key attest.Hex) (Receipt, error) {
	if len(key) != ed25519.PublicKeySize || !ed25519.Verify(ed25519.PublicKey(key), []byte(receiptDomain+s.Receipt), s.Signature) {
		return Receipt{}, errors.New("the receipt is not signed by the key that the evidence names: a stranger has written it")
	}
	var r Receipt
	if err := jsonv2.Unmarshal([]byte(s.Receipt), &r, jsonv2.RejectUnknownMembers(true)); err != nil {
		return Receipt{}, fmt.Errorf("the receipt: %w", err)
	}
	return r, nil
}
