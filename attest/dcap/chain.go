package dcap

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"time"

	"github.com/secure-signer/secure-signer/attest"
)

// A trust is what leads from the root to the two keys that count: the PCK, which
// signs for one platform, and the TCB signing key, which signs Intel's documents.
type trust struct {
	pck, tcb   *x509.Certificate
	root       attest.Digest
	revocation attest.Revocation
}

// The names that Intel gives its certificates. One root signs for several
// purposes: without the names, any of its keys could stand for any other.
const (
	namePCK       = "Intel SGX PCK Certificate"
	nameProcessor = "Intel SGX PCK Processor CA"
	namePlatform  = "Intel SGX PCK Platform CA"
	nameTCB       = "Intel SGX TCB Signing"
)

func (v Verifier) trust(q *quote, collateral map[string][]byte, span *validity) (trust, error) {
	// The quoting library ends the text with a zero byte.
	pck, err := v.chain("PCK chain", bytes.TrimSuffix(q.chain, []byte{0}), 3, span)
	if err != nil {
		return trust{}, err
	}
	leaf, ca, root := pck[0], pck[1], pck[2]
	if leaf.Subject.CommonName != namePCK || ca.Subject.CommonName != nameProcessor && ca.Subject.CommonName != namePlatform {
		return trust{}, fmt.Errorf("PCK chain: certificate %q by %q is none for a PCK", leaf.Subject.CommonName, ca.Subject.CommonName)
	}
	tcb, err := v.chain("TCB signing chain", collateral[TCBChain], 2, span)
	if err != nil {
		return trust{}, fmt.Errorf("%w: %w", attest.ErrCollateral, err)
	}
	if tcb[0].Subject.CommonName != nameTCB {
		return trust{}, fmt.Errorf("%w: TCB signing chain: certificate %q is none for TCB data", attest.ErrCollateral, tcb[0].Subject.CommonName)
	}
	if !tcb[1].Equal(root) {
		return trust{}, fmt.Errorf("%w: TCB signing chain: it has another root than the PCK chain", attest.ErrCollateral)
	}
	t := trust{pck: leaf, tcb: tcb[0], root: sha256.Sum256(root.Raw), revocation: attest.RevocationUnchecked}
	pckCRL, rootCRL := collateral[PCKCRL], collateral[RootCRL]
	if len(pckCRL) == 0 && len(rootCRL) == 0 {
		return t, nil
	}
	if err := checkRevoked("root CRL", rootCRL, root, span.covers, ca, t.tcb); err != nil {
		return trust{}, err
	}
	if err := checkRevoked("PCK CRL", pckCRL, ca, span.coversFresh, leaf); err != nil {
		return trust{}, err
	}
	t.revocation = attest.RevocationChecked
	return t, nil
}

// chain reads n certificates, from the leaf to a pinned root, and verifies them.
func (v Verifier) chain(what string, text []byte, n int, span *validity) ([]*x509.Certificate, error) {
	certs, err := parseChain(text, n)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	for _, c := range certs { // before VerifyChain, for the better message
		if err := span.covers(fmt.Sprintf("%s: certificate %q", what, c.Subject.CommonName), c.NotBefore, c.NotAfter); err != nil {
			return nil, err
		}
	}
	pinned := v.Roots
	if len(pinned) == 0 {
		pinned = []attest.Digest{IntelRoot()}
	}
	if _, err := attest.VerifyChain(certs, pinned, span.at); err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	return certs, nil
}

// parseChain reads exactly n certificates in PEM, written as encoding/pem writes
// them. PEM leaves much open (white space, text between blocks, unused bits): of
// all ways to write the same certificates one is accepted.
func parseChain(text []byte, n int) ([]*x509.Certificate, error) {
	var certs []*x509.Certificate
	var again []byte
	for rest := text; len(certs) < n; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return nil, fmt.Errorf("it has %d certificates, want %d", len(certs), n)
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		certs = append(certs, c)
		again = append(again, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: block.Bytes})...)
	}
	if !bytes.Equal(again, text) {
		return nil, errors.New("it is not plain PEM with the leaf first and the root last")
	}
	return certs, nil
}

// checkRevoked refuses certificates that their issuer's list names, and a list
// that is missing, stale or not the issuer's.
func checkRevoked(what string, der []byte, issuer *x509.Certificate, covers func(what string, from, until time.Time) error, certs ...*x509.Certificate) error {
	if len(der) == 0 {
		return fmt.Errorf("%w: %s did not come with the evidence, the other list did", attest.ErrCollateral, what)
	}
	list, err := x509.ParseRevocationList(der)
	if err != nil {
		return fmt.Errorf("%w: %s: %w", attest.ErrCollateral, what, err)
	}
	if err := list.CheckSignatureFrom(issuer); err != nil {
		return fmt.Errorf("%w: %s: it is not by %q: %w", attest.ErrCollateral, what, issuer.Subject.CommonName, err)
	}
	if err := covers(what, list.ThisUpdate, list.NextUpdate); err != nil {
		return fmt.Errorf("%w: %w", attest.ErrCollateral, err)
	}
	for _, entry := range list.RevokedCertificateEntries {
		for _, c := range certs {
			if entry.SerialNumber.Cmp(c.SerialNumber) == 0 {
				return fmt.Errorf("%s: certificate %q was revoked at %v: this platform must not be trusted again", what, c.Subject.CommonName, entry.RevocationTime)
			}
		}
	}
	return nil
}
