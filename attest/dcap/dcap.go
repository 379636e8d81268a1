// Package dcap verifies quotes of Intel SGX and TDX offline: versions 3 and 4 of
// SGX, 4 and 5 of TDX (1.0 and 1.5), signed with ECDSA on P-256.
//
// A quote passes if the attestation key signed it, Intel's quoting enclave vouches
// for that key, the PCK certificate vouches for the quoting enclave, and Intel's
// root for the certificate; if the quoting enclave is the one that Intel
// describes; and if the platform has at least one of the TCB levels that Intel
// lists. The status of that level, its date and its advisories are the result's:
// whether they are good enough is for an attest.Policy, and so are debug mode and
// measurements.
//
// Everything that is read is under a signature or has one form only: bytes after
// the quote, certificates written in any other way than Intel does, members of
// collateral out of their order are refused, so that no byte can be changed.
//
// Not done: EPID quotes; quotes that carry an encrypted PPID instead of the PCK
// certificate (fetch the certificate first); QE identities of third parties;
// fetching collateral. Of a TD whose module was updated while it ran, the worse of
// the two levels counts (Intel would say TDRelaunchAdvised).
//
// Sources: Intel SGX DCAP ECDSA Quote Library API (quote version 3, PCK
// certificate data), Intel TDX DCAP Quoting Library API (versions 4 and 5), Intel
// SGX PCK Certificate and CRL Profile, PCS API v4 (TCB info v3, enclave identity
// v2).
package dcap

import (
	"fmt"
	"time"

	"github.com/secure-signer/secure-signer/attest"
)

// The names of collateral. TCB info and QE identity are the documents as Intel's
// service sends them, the chain is its TCB-Info-Issuer-Chain in PEM, the
// revocation lists are DER. Either both lists come or none.
const (
	TCBInfo    = "tcb_info"
	QEIdentity = "qe_identity"
	TCBChain   = "tcb_chain"
	PCKCRL     = "pck_crl"
	RootCRL    = "root_crl"
)

// IntelRoot is the SHA-256 of the Intel SGX Root CA's certificate, valid until
// the end of 2049.
func IntelRoot() attest.Digest {
	return attest.MustDigest("44a0196b2b99f889b8e149e95b807a350e7424964399e885a7cbb8ccfab674d3")
}

// A Verifier implements attest.Verifier for attest.TypeSGX and attest.TypeTDX. Its
// zero value trusts Intel's root.
type Verifier struct {
	Roots []attest.Digest // instead of Intel's: for tests
}

// Verify implements attest.Verifier.
//
// It goes from the root down: nothing is read of a document before its
// signature holds.
func (v Verifier) Verify(ev attest.Evidence, at time.Time) (attest.Result, error) {
	if err := ev.Expect(attest.TypeSGX, attest.TypeTDX); err != nil {
		return attest.Result{}, err
	}
	if err := ev.ExpectCollateral([]string{TCBInfo, QEIdentity, TCBChain}, []string{PCKCRL, RootCRL}); err != nil {
		return attest.Result{}, err
	}
	q, err := parseQuote(ev.Value)
	if err != nil {
		return attest.Result{}, fmt.Errorf("quote: %w", err)
	}
	if (q.kind == attest.KindSGX) != (ev.Type == attest.TypeSGX) {
		return attest.Result{}, fmt.Errorf("quote: it is of %s, the evidence says %s", q.kind, ev.Type)
	}
	span := &validity{at: at}
	trust, err := v.trust(q, ev.Collateral, span)
	if err != nil {
		return attest.Result{}, err
	}
	if err := q.checkSignatures(trust.pck.PublicKey); err != nil {
		return attest.Result{}, err
	}
	platform, err := parsePCK(trust.pck)
	if err != nil {
		return attest.Result{}, fmt.Errorf("PCK certificate: %w", err)
	}
	docs, err := openDocuments(ev.Collateral, trust.tcb.PublicKey, q.kind, span)
	if err != nil {
		return attest.Result{}, err
	}
	status, err := docs.rate(q, platform)
	if err != nil {
		return attest.Result{}, err
	}

	r := q.result()
	r.TCB, r.TCBDate, r.Advisories = status.tcb, status.date, status.advisories
	r.TCBVersion = map[string]uint64{"evaluation": docs.evaluation()}
	r.HardwareID = platform.ppid
	r.Root, r.Revocation = trust.root, trust.revocation
	r.VerifiedAt, r.Collateral, r.ValidUntil = at, span.issued, span.until
	return r, nil
}

// A validity is the time for which evidence is judged, and what it leaves of the
// dates of all that was read.
type validity struct {
	at     time.Time
	issued time.Time // oldest collateral
	until  time.Time // first end
}

// covers checks a document that says for how long it is valid.
func (v *validity) covers(what string, from, until time.Time) error {
	switch {
	case v.at.Before(from):
		return fmt.Errorf("%s is valid from %v, it is judged for %v", what, from, v.at)
	case v.at.After(until):
		return fmt.Errorf("%s ended at %v, it is judged for %v: fetch it again", what, until, v.at)
	}
	if v.until.IsZero() || until.Before(v.until) {
		v.until = until
	}
	return nil
}

// coversFresh is covers for what is issued anew every month, whose age a policy
// bounds.
func (v *validity) coversFresh(what string, from, until time.Time) error {
	if err := v.covers(what, from, until); err != nil {
		return err
	}
	if v.issued.IsZero() || from.Before(v.issued) {
		v.issued = from
	}
	return nil
}
