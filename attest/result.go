package attest

import (
	"maps"
	"slices"
	"time"
)

// A Kind is a kind of trusted hardware.
type Kind string

// The kinds.
const (
	KindSGX   Kind = "sgx"
	KindTDX   Kind = "tdx"
	KindSNP   Kind = "sev-snp"
	KindNitro Kind = "nitro"
	KindTPM   Kind = "tpm"
	KindDev   Kind = "dev" // proves nothing: for tests and for trying out
)

// A TCBStatus is what the maker of the hardware says of its firmware and
// microcode, in Intel's words.
type TCBStatus string

// The statuses, from best to worst. Where the maker publishes none it is
// TCBUnrated, and Identity.MinTCB is the way to ask for a level.
const (
	TCBUpToDate                          TCBStatus = "UpToDate"
	TCBSWHardeningNeeded                 TCBStatus = "SWHardeningNeeded"
	TCBConfigurationNeeded               TCBStatus = "ConfigurationNeeded"
	TCBConfigurationAndSWHardeningNeeded TCBStatus = "ConfigurationAndSWHardeningNeeded"
	TCBOutOfDate                         TCBStatus = "OutOfDate"
	TCBOutOfDateConfigurationNeeded      TCBStatus = "OutOfDateConfigurationNeeded"
	TCBRevoked                           TCBStatus = "Revoked"
	TCBUnrated                           TCBStatus = "Unrated"
)

// Revocation says whether the certificates were held against revocation lists.
type Revocation string

// What Revocation may be.
const (
	RevocationChecked   Revocation = "checked"
	RevocationUnchecked Revocation = "unchecked" // the maker publishes lists, none came with the evidence
	RevocationNone      Revocation = "none"      // the maker publishes no lists for these certificates
)

// A Result is what evidence proves. It accepts nothing: see Policy.
type Result struct {
	Kind Kind `json:"kind"`

	// Measurements are all registers that together say what ran; a policy must
	// name each. Details say more of its set-up; a policy may name some.
	Measurements map[string]Hex `json:"measurements"`
	Details      map[string]Hex `json:"details,omitempty"`

	Signer  Hex    `json:"signer,omitempty"` // who signed the program; empty if nobody did or the hardware does not say
	Product uint64 `json:"product"`          // the signer's number for it
	SVN     uint64 `json:"svn"`              // its security version, given by the signer

	Debug      bool   `json:"debug"`      // the host may read and change everything inside
	Migratable bool   `json:"migratable"` // another program may take its state to another machine
	Level      uint32 `json:"level"`      // privilege level inside the guest (VMPL), 0 the highest

	TCB        TCBStatus         `json:"tcb"`
	TCBVersion map[string]uint64 `json:"tcb_version,omitempty"` // versions that MinTCB can ask for
	TCBDate    time.Time         `json:"tcb_date,omitzero"`     // all holes known at this date are closed if up to date
	Advisories []string          `json:"advisories,omitempty"`  // known holes that apply

	HardwareID Hex        `json:"hardware_id,omitempty"`
	Root       Digest     `json:"root"` // SHA-256 of the root's certificate, or of its public key where it has none
	Revocation Revocation `json:"revocation"`

	VerifiedAt time.Time `json:"verified_at"`          // the time it was judged for
	IssuedAt   time.Time `json:"issued_at,omitzero"`   // of the evidence; zero if it bears no time: only the nonce makes it fresh
	Collateral time.Time `json:"collateral,omitzero"`  // when the oldest collateral was issued
	ValidUntil time.Time `json:"valid_until,omitzero"` // first end of validity of anything it rests on

	ReportData ReportData `json:"report_data"`
}

// severity orders the statuses that a maker gives to one part of a platform.
func (s TCBStatus) severity() int {
	return slices.Index([]TCBStatus{
		TCBUpToDate, TCBSWHardeningNeeded, TCBConfigurationNeeded, TCBConfigurationAndSWHardeningNeeded,
		TCBOutOfDate, TCBOutOfDateConfigurationNeeded, TCBRevoked,
	}, s)
}

// Known reports whether s is a status that a maker gives.
func (s TCBStatus) Known() bool { return s.severity() >= 0 }

// Worse is the status of a platform of which one part has status s and another
// has t. What is out of date and also needs configuration needs both.
func (s TCBStatus) Worse(t TCBStatus) TCBStatus {
	if s.severity() > t.severity() {
		s, t = t, s
	}
	needsConfiguration := s == TCBConfigurationNeeded || s == TCBConfigurationAndSWHardeningNeeded
	switch {
	case t == TCBOutOfDate && needsConfiguration:
		return TCBOutOfDateConfigurationNeeded
	case t == TCBConfigurationNeeded && s == TCBSWHardeningNeeded:
		return TCBConfigurationAndSWHardeningNeeded
	}
	return t
}

// names returns the sorted names of registers.
func names[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
