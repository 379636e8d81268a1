// Package attest judges evidence of trusted hardware offline: what ran, on what,
// how fresh, and whether it may be given a key.
//
// Two steps that are never one. A Verifier turns Evidence into a Result: every
// signature was followed to a pinned root, every date held against the time that
// the caller states. A Policy then says whether what is proved is wanted. A
// Result that no policy has judged means nothing: a debug enclave, a stranger's
// program and a machine with known holes all verify. The zero value of Policy
// refuses everything, and every input it needs is asked for by name.
//
// What is bound to a connection is told in Claims.
//
// Nothing here reads a clock, a network or a disk. Each format is a package
// below this one and imports nothing else of this module, so that any project
// can take the one it needs: dcap (Intel SGX and TDX), snp (AMD SEV-SNP), nitro
// (AWS Nitro Enclaves), tpm (TPM 2.0 quotes) and dev (a test root). The other
// packages of Secure Signer are not needed.
//
// Not promised: attestation says nothing against somebody who opens the machine
// and reads its memory bus, and it cannot tell a clone or an older disk from the
// original.
package attest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// A Verifier proves what one kind of evidence says.
//
// Verify judges at the given time, which should be a trusted one: stale
// collateral passes when judged in its past. It returns a Result only if every
// byte of the evidence is covered by a signature or by a fixed form. It may be
// called concurrently and neither waits nor keeps anything.
type Verifier interface {
	Verify(ev Evidence, at time.Time) (Result, error)
}

// ErrCollateral says that what must come with the evidence is missing, stale or
// does not belong to it: fetching it again may help. Every other error of a
// Verifier is final for this evidence.
var ErrCollateral = errors.New("collateral")

// The types of evidence, which name their verifier.
const (
	TypeSGX   = "application/vnd.intel.sgx-quote"
	TypeTDX   = "application/vnd.intel.tdx-quote"
	TypeSNP   = "application/vnd.amd.sev-snp-report"
	TypeNitro = "application/vnd.amazon.nitro-attestation+cose"
	TypeTPM   = "application/vnd.tcg.tpm2-quote"
	TypeDev   = "application/vnd.secure-signer.dev-evidence"
)

// Evidence is what hardware signed, with all that is needed to verify it
// without a network.
type Evidence struct {
	Type       string            `json:"type"`
	Value      []byte            `json:"value"`                // in the form of its maker
	Collateral map[string][]byte `json:"collateral,omitempty"` // certificates, revocation lists, TCB data; names per type
	Claims     Claims            `json:"claims,omitzero"`
}

// MaxEvidence is the most that ParseEvidence reads, in bytes. Real evidence with
// its collateral takes 30 KiB.
const MaxEvidence = 1 << 20

// ParseEvidence reads evidence from JSON, strictly: unknown and repeated members
// are errors.
func ParseEvidence(text []byte) (Evidence, error) {
	if len(text) > MaxEvidence {
		return Evidence{}, fmt.Errorf("evidence has %d bytes, at most %d are read", len(text), MaxEvidence)
	}
	var ev Evidence
	if err := unmarshalStrict(text, &ev); err != nil {
		return Evidence{}, fmt.Errorf("evidence: %w", err)
	}
	if ev.Type == "" || len(ev.Value) == 0 {
		return Evidence{}, errors.New(`evidence: members "type" and "value" are needed`)
	}
	return ev, nil
}

// Expect returns an error unless the evidence is of one of the types, and not
// too long. Every Verifier begins with it.
func (ev Evidence) Expect(types ...string) error {
	if !slices.Contains(types, ev.Type) {
		return fmt.Errorf("evidence of type %q, want %s: use the verifier for that type", ev.Type, strings.Join(types, " or "))
	}
	if len(ev.Value) > MaxEvidence {
		return fmt.Errorf("evidence has %d bytes, at most %d are read", len(ev.Value), MaxEvidence)
	}
	return nil
}

// ExpectCollateral returns an ErrCollateral unless all that is required came with
// the evidence, and nothing but what is required or optional.
func (ev Evidence) ExpectCollateral(required, optional []string) error {
	for _, name := range required {
		if len(ev.Collateral[name]) == 0 {
			return fmt.Errorf("%w: %s did not come with the evidence: add it to the collateral", ErrCollateral, name)
		}
	}
	size := 0
	for _, name := range names(ev.Collateral) {
		if !slices.Contains(required, name) && !slices.Contains(optional, name) {
			return fmt.Errorf("%w: %q is no part of it: leave it out", ErrCollateral, name)
		}
		size += len(ev.Collateral[name])
	}
	if size > MaxEvidence {
		return fmt.Errorf("%w: it has %d bytes, at most %d are read", ErrCollateral, size, MaxEvidence)
	}
	return nil
}

// A Set is a Verifier for several types of evidence.
type Set map[string]Verifier

// Verify lets the verifier for the evidence's type speak.
func (s Set) Verify(ev Evidence, at time.Time) (Result, error) {
	v, ok := s[ev.Type]
	if !ok {
		return Result{}, fmt.Errorf("no verifier for evidence of type %q", ev.Type)
	}
	return v.Verify(ev, at)
}

// unmarshalStrict decodes one JSON value and refuses members that v does not
// have, members that come twice, and anything after the value. Of two members
// with one name readers disagree which counts, and an attacker picks.
func unmarshalStrict(text []byte, v any) error {
	var value json.RawMessage
	if err := json.Unmarshal(text, &value); err != nil { // one value, not too deep
		return err
	}
	if err := refuseRepeats(json.NewDecoder(bytes.NewReader(value))); err != nil {
		return err
	}
	d := json.NewDecoder(bytes.NewReader(value))
	d.DisallowUnknownFields()
	return d.Decode(v)
}

// refuseRepeats walks one value. Names that differ in case only count as one,
// as they do for encoding/json.
func refuseRepeats(d *json.Decoder) error {
	token, err := d.Token()
	if err != nil {
		return err
	}
	delim, ok := token.(json.Delim)
	if !ok {
		return nil
	}
	seen := make(map[string]bool)
	for d.More() {
		if delim == '{' {
			name, err := d.Token()
			if err != nil {
				return err
			}
			key := strings.ToUpper(strings.ToLower(fmt.Sprint(name)))
			if seen[key] {
				return fmt.Errorf("member %q comes twice", name)
			}
			seen[key] = true
		}
		if err := refuseRepeats(d); err != nil {
			return err
		}
	}
	_, err = d.Token()
	return err
}
