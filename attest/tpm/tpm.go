// Package tpm verifies quotes of a TPM 2.0 offline.
//
// A quote passes if its attestation key (AK) signed it and the key is trusted:
// its certificate leads to one of the Verifier's roots, or the key itself is
// pinned. No root is built in: no maker certifies AKs. Whoever certifies or pins
// one must have seen, by credential activation against the TPM's endorsement
// certificate, that it is a restricted signing key which cannot leave its TPM: an
// unrestricted key signs whatever it is given, and so any quote.
//
// It proves the values of the quoted PCRs of SHA-256, and that they belong to the
// machine of that TPM. It says nothing of whoever owns the machine: unlike the
// other formats below attest it does not keep the host out, and what a PCR means
// is up to who measured into it. A quote bears no time: its nonce alone makes it
// fresh. Nothing in a software TPM betrays that its state was restored.
//
// The report data is the qualifying data: its 64 bytes or, where a TPM takes no
// more than a digest, their SHA-256.
//
// Sources: TPM 2.0 Library Specification, part 2, 10.12 (TPMS_ATTEST), 10.6
// (TPML_PCR_SELECTION), 11.3 (TPMT_SIGNATURE); part 3, 18.4 (TPM2_Quote).
package tpm

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"time"

	"github.com/secure-signer/secure-signer/attest"
)

// The names of collateral. Of AKChain and AKPublic one comes.
const (
	AKChain    = "ak_chain"    // certificates in DER, one after the other, the AK's first and the root last
	AKPublic   = "ak_public"   // SubjectPublicKeyInfo in DER
	PCRs       = "pcrs"        // values of the quoted PCRs, one after the other, lowest first
	ReportData = "report_data" // 64 bytes, where the qualifying data is their SHA-256
)

// A Verifier implements attest.Verifier for attest.TypeTPM. Its zero value trusts
// nobody. The value of such evidence is what TPM2_Quote returns: TPM2B_ATTEST and
// TPMT_SIGNATURE.
type Verifier struct {
	Roots []attest.Digest // of certificates, or of AKs' SubjectPublicKeyInfo
}

// Verify implements attest.Verifier.
func (v Verifier) Verify(ev attest.Evidence, at time.Time) (attest.Result, error) {
	if err := ev.Expect(attest.TypeTPM); err != nil {
		return attest.Result{}, err
	}
	if err := ev.ExpectCollateral([]string{PCRs}, []string{AKChain, AKPublic, ReportData}); err != nil {
		return attest.Result{}, err
	}
	q, err := parseQuote(ev.Value)
	if err != nil {
		return attest.Result{}, fmt.Errorf("quote: %w", err)
	}
	ak, err := v.trust(ev.Collateral, at)
	if err != nil {
		return attest.Result{}, err
	}
	if err := q.checkSignature(ak.key); err != nil {
		return attest.Result{}, err
	}
	pcrs, err := q.open(ev.Collateral[PCRs])
	if err != nil {
		return attest.Result{}, err
	}
	data, err := q.reportData(ev.Collateral[ReportData])
	if err != nil {
		return attest.Result{}, err
	}
	return attest.Result{
		Kind:         attest.KindTPM,
		Measurements: pcrs,
		Details:      map[string]attest.Hex{"firmware": q.firmware, "resets": q.resets},
		TCB:          attest.TCBUnrated,
		HardwareID:   ak.id[:],
		Root:         ak.root,
		Revocation:   ak.revocation,
		VerifiedAt:   at,
		ValidUntil:   ak.until,
		ReportData:   data,
	}, nil
}

// An attestationKey is the AK, and why it is trusted.
type attestationKey struct {
	key        crypto.PublicKey
	id         attest.Digest // SHA-256 of its SubjectPublicKeyInfo
	root       attest.Digest
	revocation attest.Revocation
	until      time.Time
}

func (v Verifier) trust(collateral map[string][]byte, at time.Time) (*attestationKey, error) {
	chain, public := collateral[AKChain], collateral[AKPublic]
	switch {
	case (len(chain) > 0) == (len(public) > 0):
		return nil, fmt.Errorf("%w: one of %s and %s must come with the quote, and not both", attest.ErrCollateral, AKChain, AKPublic)
	case len(public) > 0:
		id := attest.Digest(sha256.Sum256(public))
		if !slices.Contains(v.Roots, id) {
			return nil, fmt.Errorf("attestation key %v is not trusted: pin it once its TPM has proved to hold it", id)
		}
		key, err := x509.ParsePKIXPublicKey(public)
		if err != nil {
			return nil, fmt.Errorf("%w: %s: %w", attest.ErrCollateral, AKPublic, err)
		}
		return &attestationKey{key: key, id: id, root: id, revocation: attest.RevocationNone}, nil
	}
	certs, err := x509.ParseCertificates(chain)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", attest.ErrCollateral, AKChain, err)
	}
	root, err := attest.VerifyChain(certs, v.Roots, at)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", AKChain, err)
	}
	if certs[0].IsCA {
		return nil, fmt.Errorf("%s: its first certificate is a CA's, not an attestation key's", AKChain)
	}
	ak := &attestationKey{
		key: certs[0].PublicKey, id: sha256.Sum256(certs[0].RawSubjectPublicKeyInfo),
		root: root, revocation: attest.RevocationUnchecked, until: certs[0].NotAfter,
	}
	for _, c := range certs {
		if c.NotAfter.Before(ak.until) {
			ak.until = c.NotAfter
		}
	}
	return ak, nil
}

// checkSignature verifies the quote with the AK, in the scheme that the
// signature names.
func (q *quote) checkSignature(ak crypto.PublicKey) error {
	digest := q.digest(q.signed)
	ok := false
	switch key := ak.(type) {
	case *rsa.PublicKey:
		if key.N.BitLen() < 2048 {
			return fmt.Errorf("quote: an attestation key of %d bits is too weak: 2048 at least", key.N.BitLen())
		}
		switch q.scheme {
		case schemeRSASSA:
			ok = rsa.VerifyPKCS1v15(key, q.hash, digest, q.signature[0]) == nil
		case schemeRSAPSS:
			ok = rsa.VerifyPSS(key, q.hash, digest, q.signature[0], nil) == nil
		}
	case *ecdsa.PublicKey:
		if q.scheme == schemeECDSA {
			ok = ecdsa.Verify(key, digest, new(big.Int).SetBytes(q.signature[0]), new(big.Int).SetBytes(q.signature[1]))
		}
	}
	if !ok {
		return errors.New("quote: the attestation key did not sign it")
	}
	return nil
}

// open returns the PCRs, whose digest is what was signed.
func (q *quote) open(values []byte) (map[string]attest.Hex, error) {
	if len(values) != len(q.selected)*sha256.Size {
		return nil, fmt.Errorf("%w: %s has %d bytes, the quote is of %d registers of 32", attest.ErrCollateral, PCRs, len(values), len(q.selected))
	}
	if !bytes.Equal(q.digest(values), q.pcrDigest) {
		return nil, fmt.Errorf("%w: %s are not the values that were quoted", attest.ErrCollateral, PCRs)
	}
	pcrs := make(map[string]attest.Hex)
	for i, value := range slices.Collect(slices.Chunk(values, sha256.Size)) {
		pcrs[fmt.Sprintf("pcr%d", q.selected[i])] = value
	}
	return pcrs, nil
}

// reportData is what the quote is bound to. Qualifying data of another length
// than these two is nobody's here: it stays zero, which no policy accepts.
func (q *quote) reportData(whole []byte) (attest.ReportData, error) {
	var data attest.ReportData
	if len(whole) == 0 {
		if len(q.qualifying) == len(data) {
			copy(data[:], q.qualifying)
		}
		return data, nil
	}
	digest := sha256.Sum256(whole)
	if len(whole) != len(data) || !bytes.Equal(q.qualifying, digest[:]) {
		return data, fmt.Errorf("%w: %s is not what the qualifying data is the SHA-256 of", attest.ErrCollateral, ReportData)
	}
	copy(data[:], whole)
	return data, nil
}
