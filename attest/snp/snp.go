// Package snp verifies attestation reports of AMD SEV-SNP offline, of the product
// lines Milan, Genoa and Turin, signed with a VCEK (a chip's key) or a VLEK (a
// cloud provider's).
//
// A report passes if its key signed it, if the key's certificate leads through
// AMD's ASK to the ARK that is pinned for the product line, and if certificate
// and report agree on line, chip and TCB. AMD publishes no status of a TCB: the
// versions are in the result, and an attest.Policy must say for each which is
// enough (min_tcb).
//
// The measurements are that of the initial memory and the host data, which the
// host chose at the start and the guest may act on. The digest of the key that
// signed the ID block is the signer; its guest SVN the security version. Policy
// bits that let others look in are the result's debug and migratable; the VMPL
// is its level.
//
// Every byte is signed or must be zero: what follows the two numbers of the
// signature, and anything after the report, is refused otherwise.
//
// Genoa, Turin and VLEK are tested against generated roots only: no real report
// of theirs was at hand. With the VLEK nothing says which chip it was.
//
// Sources: AMD 56860, SEV-SNP Firmware ABI, tables "ATTESTATION_REPORT",
// "TCB_VERSION" and "GUEST_POLICY"; AMD 57230, VCEK Certificate and KDS Interface.
package snp

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha512"
	"crypto/x509"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"time"

	"github.com/secure-signer/secure-signer/attest"
)

// The names of collateral: certificates and the revocation list in DER, as AMD's
// service and the kernel's certificate table hold them. Of VCEK and VLEK one
// comes. ASK is the one that belongs to it. Without the list, the result says
// that revocation is unchecked.
const (
	VCEK = "vcek"
	VLEK = "vlek"
	ASK  = "ask"
	ARK  = "ark"
	CRL  = "crl"
)

// A Line is a product line of EPYC.
type Line string

// The lines.
const (
	Milan Line = "Milan"
	Genoa Line = "Genoa" // also Bergamo and Siena
	Turin Line = "Turin"
)

// AMDRoots are the SHA-256 of the certificates of AMD's root keys (ARK), valid
// until 2045-10-22, 2047-01-26 and 2048-05-15.
func AMDRoots() map[Line]attest.Digest {
	return map[Line]attest.Digest{
		Milan: attest.MustDigest("69d063b45344d26a2e94e1f4210de49ef555308287d4c174445c95639a540bcd"),
		Genoa: attest.MustDigest("4c6598d19c18719c5dfd4a7d335f674e5bfe1d8f800cea2cf270c10d103db2f1"),
		Turin: attest.MustDigest("1f084161a44bb6d93778a904877d4819cafa5d05ef4193b2ded9dd9c73dd3f6a"),
	}
}

// A Verifier implements attest.Verifier for attest.TypeSNP. Its zero value trusts
// AMD's roots.
type Verifier struct {
	Roots map[Line]attest.Digest // instead of AMD's: for tests
}

// Verify implements attest.Verifier.
func (v Verifier) Verify(ev attest.Evidence, at time.Time) (attest.Result, error) {
	if err := ev.Expect(attest.TypeSNP); err != nil {
		return attest.Result{}, err
	}
	if err := ev.ExpectCollateral([]string{ASK, ARK}, []string{VCEK, VLEK, CRL}); err != nil {
		return attest.Result{}, err
	}
	r, err := parseReport(ev.Value)
	if err != nil {
		return attest.Result{}, fmt.Errorf("report: %w", err)
	}
	t, err := v.trust(ev.Collateral, at)
	if err != nil {
		return attest.Result{}, fmt.Errorf("%w: %w", attest.ErrCollateral, err)
	}
	if err := t.checkRevoked(ev.Collateral[CRL], at); err != nil {
		return attest.Result{}, err
	}
	if err := r.checkSignature(t.certs[0]); err != nil {
		return attest.Result{}, err
	}
	if err := t.agrees(r); err != nil {
		return attest.Result{}, err
	}

	out := r.result(t.line)
	out.Root, out.Revocation, out.Collateral, out.ValidUntil = t.root, t.revocation, t.issued, t.until
	if t.name == VCEK {
		out.HardwareID = r.chipID()
	}
	out.VerifiedAt = at
	return out, nil
}

// A trust is what leads from AMD's root to the key that signs reports.
type trust struct {
	certs      []*x509.Certificate // VCEK or VLEK, ASK, ARK
	name       string              // VCEK or VLEK
	line       Line
	root       attest.Digest
	revocation attest.Revocation
	issued     time.Time // of the revocation list
	until      time.Time
	says       endorsement
}

func (v Verifier) trust(collateral map[string][]byte, at time.Time) (*trust, error) {
	t := &trust{name: VCEK}
	if len(collateral[VLEK]) > 0 {
		t.name = VLEK
	}
	if (len(collateral[VCEK]) > 0) == (len(collateral[VLEK]) > 0) {
		return nil, errors.New("one of vcek and vlek must come with the report, and not both")
	}
	for _, name := range []string{t.name, ASK, ARK} {
		c, err := x509.ParseCertificate(collateral[name])
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		if c.SignatureAlgorithm != x509.SHA384WithRSAPSS {
			return nil, fmt.Errorf("%s: signed with %v, AMD signs with RSASSA-PSS over SHA-384", name, c.SignatureAlgorithm)
		}
		if t.until.IsZero() || c.NotAfter.Before(t.until) {
			t.until = c.NotAfter
		}
		t.certs = append(t.certs, c)
	}
	pinned := v.Roots
	if len(pinned) == 0 {
		pinned = AMDRoots()
	}
	roots := make([]attest.Digest, 0, len(pinned))
	for _, root := range pinned {
		roots = append(roots, root)
	}
	root, err := attest.VerifyChain(t.certs, roots, at)
	if err != nil {
		return nil, err
	}
	t.root = root
	for line, digest := range pinned {
		if digest == root {
			t.line = line
		}
	}
	if t.says, err = parseEndorsement(t.certs[0], t.name, t.line); err != nil {
		return nil, fmt.Errorf("%s: %w", t.name, err)
	}
	return t, t.checkNames()
}

// checkNames keeps the keys of one root apart: of a line, the ASK for chips signs
// no VLEK, and the other way round.
func (t *trust) checkNames() error {
	leaf, ask := "SEV-VCEK", "SEV-"+string(t.line)
	if t.name == VLEK {
		leaf, ask = "SEV-VLEK", "SEV-VLEK-"+string(t.line)
	}
	for i, want := range []string{leaf, ask} {
		if got := t.certs[i].Subject.CommonName; got != want {
			return fmt.Errorf("%s chain: certificate of %q, want %q", t.name, got, want)
		}
	}
	return nil
}

// checkRevoked holds the ASK, and whatever else the ARK signs, against its list.
func (t *trust) checkRevoked(der []byte, at time.Time) error {
	t.revocation = attest.RevocationUnchecked
	if len(der) == 0 {
		return nil
	}
	list, err := x509.ParseRevocationList(der)
	if err == nil {
		err = list.CheckSignatureFrom(t.certs[2])
	}
	if err == nil && (at.Before(list.ThisUpdate) || at.After(list.NextUpdate)) {
		err = fmt.Errorf("valid from %v to %v, it is judged for %v: fetch it again", list.ThisUpdate, list.NextUpdate, at)
	}
	if err != nil {
		return fmt.Errorf("%w: crl: %w", attest.ErrCollateral, err)
	}
	for _, entry := range list.RevokedCertificateEntries {
		if entry.SerialNumber.Cmp(t.certs[1].SerialNumber) == 0 {
			return fmt.Errorf("%s chain: AMD revoked %q at %v: no report of it must be trusted again", t.name, t.certs[1].Subject.CommonName, entry.RevocationTime)
		}
	}
	t.revocation, t.issued = attest.RevocationChecked, list.ThisUpdate
	if list.NextUpdate.Before(t.until) {
		t.until = list.NextUpdate
	}
	return nil
}

// agrees holds the report against what AMD wrote into the certificate. A VCEK is
// derived from the chip and the TCB that the report names: a certificate for
// another TCB is for another key, and one without the chip proves nothing of it.
func (t *trust) agrees(r report) error {
	signer := map[uint32]string{0: VCEK, 1: VLEK}[r.signingKey()]
	if signer != t.name {
		return fmt.Errorf("report: it is signed with key %d, the certificate is of a %s", r.signingKey(), t.name)
	}
	if line, ok := r.line(); ok && line != t.line {
		return fmt.Errorf("report: the CPU is of %s, the certificate is for %s", line, t.line)
	}
	got := t.line.versions(r.reportedTCB())
	for name, want := range t.says.tcb {
		if got[name] != want {
			return fmt.Errorf("%w: the report is of TCB version %s %d, the %s is for %d: fetch the certificate for the reported TCB", attest.ErrCollateral, name, got[name], t.name, want)
		}
	}
	if t.name == VCEK && !slices.Equal(r.chipID(), t.says.chip) {
		return errors.New("report: it is of another chip than the VCEK, or the host masks the chip's identity")
	}
	return nil
}

// checkSignature verifies ECDSA on P-384 with SHA-384, whose two numbers are
// written with the least byte first.
func (r report) checkSignature(leaf *x509.Certificate) error {
	key, ok := leaf.PublicKey.(*ecdsa.PublicKey)
	if !ok || key.Curve != elliptic.P384() {
		return errors.New("report: the certificate's key is not on P-384")
	}
	digest := sha512.Sum384(r.signed())
	first, second := r.signature()
	if !ecdsa.Verify(key, digest[:], littleEndian(first), littleEndian(second)) {
		return errors.New("report: the certificate's key did not sign it")
	}
	return nil
}

func littleEndian(b []byte) *big.Int {
	b = slices.Clone(b)
	slices.Reverse(b)
	return new(big.Int).SetBytes(b)
}
