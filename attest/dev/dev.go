// Package dev makes and verifies evidence of no hardware at all: a statement
// signed by a test root, so that every path of a client runs where there is no
// trusted hardware.
//
// It proves that the holder of the test root said so, and nothing of what ran:
// whoever has the key can state any measurement. No root is built in. A policy
// accepts this evidence only if it names both the kind "dev" and the root, so
// that a development build is never taken for the real one.
//
// Every byte of the evidence is signed.
package dev

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/secure-signer/secure-signer/attest"
)

// A Statement is what the test root vouches for.
type Statement struct {
	Measurement attest.Hex        `json:"measurement"`
	Signer      attest.Hex        `json:"signer,omitempty"`
	Product     uint64            `json:"product"`
	SVN         uint64            `json:"svn"`
	Debug       bool              `json:"debug"`
	IssuedAt    time.Time         `json:"issued_at"`
	ReportData  attest.ReportData `json:"report_data"`
}

// domain begins what is signed, so that the key's other signatures say nothing.
const domain = "secure-signer dev evidence v1\x00"

// Root is the name by which a policy and a Verifier know a test root.
func Root(key ed25519.PublicKey) attest.Digest { return sha256.Sum256(key) }

// Sign makes evidence: the public key, a signature over the statement, and the
// statement in JSON.
func Sign(key ed25519.PrivateKey, s Statement) (attest.Evidence, error) {
	text, err := json.Marshal(s)
	if err != nil {
		return attest.Evidence{}, fmt.Errorf("dev evidence: %w", err)
	}
	signature := ed25519.Sign(key, append([]byte(domain), text...))
	public := key.Public().(ed25519.PublicKey)
	return attest.Evidence{Type: attest.TypeDev, Value: slices.Concat(public, signature, text)}, nil
}

// A Verifier implements attest.Verifier for attest.TypeDev. Its zero value trusts
// nobody.
type Verifier struct {
	Roots []attest.Digest
}

// Verify implements attest.Verifier.
func (v Verifier) Verify(ev attest.Evidence, at time.Time) (attest.Result, error) {
	if err := ev.Expect(attest.TypeDev); err != nil {
		return attest.Result{}, err
	}
	if err := ev.ExpectCollateral(nil, nil); err != nil {
		return attest.Result{}, err
	}
	const head = ed25519.PublicKeySize + ed25519.SignatureSize
	if len(ev.Value) < head {
		return attest.Result{}, fmt.Errorf("dev evidence: %d bytes, want at least %d", len(ev.Value), head)
	}
	public := ed25519.PublicKey(ev.Value[:ed25519.PublicKeySize])
	signature, text := ev.Value[ed25519.PublicKeySize:head], ev.Value[head:]
	root := Root(public)
	if !slices.Contains(v.Roots, root) {
		return attest.Result{}, fmt.Errorf("dev evidence: root %v is not trusted: it is of another test root", root)
	}
	if !ed25519.Verify(public, append([]byte(domain), text...), signature) {
		return attest.Result{}, errors.New("dev evidence: the test root did not sign it")
	}
	var s Statement
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&s); err != nil {
		return attest.Result{}, fmt.Errorf("dev evidence: %w", err)
	}
	if len(s.Measurement) == 0 || s.IssuedAt.IsZero() {
		return attest.Result{}, errors.New("dev evidence: measurement and time of issue are needed")
	}
	return attest.Result{
		Kind:         attest.KindDev,
		Measurements: map[string]attest.Hex{"measurement": s.Measurement},
		Signer:       s.Signer,
		Product:      s.Product,
		SVN:          s.SVN,
		Debug:        s.Debug,
		TCB:          attest.TCBUnrated,
		Root:         root,
		Revocation:   attest.RevocationNone,
		VerifiedAt:   at,
		IssuedAt:     s.IssuedAt,
		ReportData:   s.ReportData,
	}, nil
}
