// Package nitro verifies attestation documents of AWS Nitro Enclaves offline.
//
// A document passes if the certificate in it signed it (COSE_Sign1 with ES384)
// and its CA bundle leads to AWS's root at the time that the document names. That
// time is IssuedAt: certificates of enclaves live three hours, and how old a
// document may be is for the policy's MaxAge. AWS publishes no revocation lists
// for these certificates and no status of its firmware.
//
// PCR0 to PCR2 are the measurements: the image, its kernel and boot ramdisk, and
// its application. An enclave in debug mode has zeros there, and the result says
// debug. PCR8, the certificate that signed the image, is the signer. PCR3 (the
// parent's role) and PCR4 (the parent instance) are details.
//
// The report data is the document's user data, which must have 64 bytes; a
// document with any other user data verifies and matches no policy.
//
// Every byte is signed or has one form only: CBOR written in another way than the
// shortest, in indefinite length, with tags or with more than the four parts of
// a COSE_Sign1 is refused.
//
// Sources: AWS Nitro Enclaves NSM API, "Attestation process"; RFC 9052, section
// 4.4; RFC 9053, section 2.1.
package nitro

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha512"
	"crypto/x509"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"time"

	"github.com/fxamacker/cbor/v2"

	"github.com/secure-signer/secure-signer/attest"
)

// AWSRoot is the SHA-256 of the certificate of AWS Nitro Enclaves' root, valid
// until 2049-10-28.
func AWSRoot() attest.Digest {
	return attest.MustDigest("641a0321a3e244efe456463195d606317ed7cdcc3c1756e09893f3c68f79bb5b")
}

// A Verifier implements attest.Verifier for attest.TypeNitro. Its zero value
// trusts AWS's root.
type Verifier struct {
	Roots []attest.Digest // instead of AWS's: for tests
}

// maxDocument is more than the largest document, in bytes: 12 KiB is what the
// device returns at most.
const maxDocument = 16 << 10

// es384 is the protected header {1: -35}: ECDSA with SHA-384, and nothing else.
const es384 = "\xa1\x01\x38\x22"

// A signedMessage is a COSE_Sign1.
type signedMessage struct {
	_           struct{} `cbor:",toarray"`
	Protected   []byte
	Unprotected map[int64]cbor.RawMessage
	Payload     []byte
	Signature   []byte
}

// A document is what an enclave signed.
type document struct {
	ModuleID    string            `cbor:"module_id"`
	Digest      string            `cbor:"digest"`
	Timestamp   uint64            `cbor:"timestamp"` // milliseconds since 1970
	PCRs        map[uint64][]byte `cbor:"pcrs"`
	Certificate []byte            `cbor:"certificate"`
	CABundle    [][]byte          `cbor:"cabundle"` // the root first
	PublicKey   []byte            `cbor:"public_key"`
	UserData    []byte            `cbor:"user_data"`
	Nonce       []byte            `cbor:"nonce"`
}

// Verify implements attest.Verifier.
//
// The document names the key and the time that it is verified with. That is
// sound because the key counts only if it leads to the root, and a time in the
// past is for the policy to refuse. The key's own signature is checked first
// because it is the cheapest.
func (v Verifier) Verify(ev attest.Evidence, at time.Time) (attest.Result, error) {
	if err := ev.Expect(attest.TypeNitro); err != nil {
		return attest.Result{}, err
	}
	if err := ev.ExpectCollateral(nil, nil); err != nil {
		return attest.Result{}, err
	}
	message, err := parseMessage(ev.Value)
	if err != nil {
		return attest.Result{}, fmt.Errorf("COSE: %w", err)
	}
	d, err := parseDocument(message.Payload)
	if err != nil {
		return attest.Result{}, fmt.Errorf("attestation document: %w", err)
	}
	certs, err := d.chain()
	if err != nil {
		return attest.Result{}, fmt.Errorf("attestation document: %w", err)
	}
	if err := message.checkSignature(certs[0]); err != nil {
		return attest.Result{}, err
	}
	pinned := v.Roots
	if len(pinned) == 0 {
		pinned = []attest.Digest{AWSRoot()}
	}
	root, err := attest.VerifyChain(certs, pinned, d.time())
	if err != nil {
		return attest.Result{}, fmt.Errorf("attestation document: certificates at %v: %w", d.time(), err)
	}
	r := d.result()
	r.Root, r.VerifiedAt = root, at
	return r, nil
}

// decoder refuses whatever could be read in two ways, and bounds the rest.
func decoder() (cbor.DecMode, error) {
	return cbor.DecOptions{
		DupMapKey:         cbor.DupMapKeyEnforcedAPF,
		IndefLength:       cbor.IndefLengthForbidden,
		TagsMd:            cbor.TagsForbidden,
		ExtraReturnErrors: cbor.ExtraDecErrorUnknownField,
		FieldNameMatching: cbor.FieldNameMatchingCaseSensitive,
		MaxNestedLevels:   4,
		MaxArrayElements:  16,
		MaxMapPairs:       32,
	}.DecMode()
}

func parseMessage(value []byte) (signedMessage, error) {
	var m signedMessage
	if len(value) > maxDocument {
		return m, fmt.Errorf("%d bytes, at most %d are read", len(value), maxDocument)
	}
	mode, err := decoder()
	if err != nil {
		return m, err
	}
	if err := mode.Unmarshal(value, &m); err != nil {
		return m, err
	}
	if string(m.Protected) != es384 || m.Unprotected == nil || len(m.Unprotected) > 0 {
		return m, errors.New("the headers must say ES384 and nothing else")
	}
	again, err := cbor.Marshal(m)
	if err != nil {
		return m, err
	}
	if !bytes.Equal(again, value) {
		return m, errors.New("it is not written in the shortest form")
	}
	return m, nil
}

// parseDocument reads a payload and checks what AWS's description asks for.
func parseDocument(payload []byte) (document, error) {
	var d document
	mode, err := decoder()
	if err != nil {
		return d, err
	}
	if err := mode.Unmarshal(payload, &d); err != nil {
		return d, err
	}
	switch {
	case d.ModuleID == "":
		err = errors.New("no module_id")
	case d.Digest != "SHA384":
		err = fmt.Errorf("digest %q, only SHA384 is read", d.Digest)
	case d.Timestamp == 0 || d.Timestamp > 1<<53:
		err = fmt.Errorf("timestamp %d", d.Timestamp)
	case len(d.CABundle) == 0:
		err = errors.New("no cabundle")
	}
	for index, pcr := range d.PCRs {
		if index > 31 || len(pcr) != sha512.Size384 {
			err = fmt.Errorf("pcr%d of %d bytes", index, len(pcr))
		}
	}
	for index := range uint64(3) {
		if _, ok := d.PCRs[index]; !ok {
			err = fmt.Errorf("no pcr%d", index)
		}
	}
	return d, err
}

func (d *document) time() time.Time { return time.UnixMilli(int64(d.Timestamp)).UTC() }

// chain is the enclave's certificate and its issuers, the root last.
func (d *document) chain() ([]*x509.Certificate, error) {
	ders := append(slices.Clone(d.CABundle), d.Certificate)
	slices.Reverse(ders)
	certs := make([]*x509.Certificate, len(ders))
	for i, der := range ders {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, fmt.Errorf("certificate: %w", err)
		}
		certs[i] = c
	}
	if certs[0].IsCA || certs[0].KeyUsage&x509.KeyUsageDigitalSignature == 0 {
		return nil, errors.New("certificate: it is none of an enclave")
	}
	return certs, nil
}

// checkSignature verifies the COSE_Sign1 over its Sig_structure, RFC 9052, 4.4.
func (m *signedMessage) checkSignature(leaf *x509.Certificate) error {
	signed, err := cbor.Marshal([]any{"Signature1", m.Protected, []byte{}, m.Payload})
	if err != nil {
		return err
	}
	key, ok := leaf.PublicKey.(*ecdsa.PublicKey)
	if !ok || key.Curve != elliptic.P384() || len(m.Signature) != 96 {
		return errors.New("attestation document: its signature is none of ES384")
	}
	digest := sha512.Sum384(signed)
	r, s := new(big.Int).SetBytes(m.Signature[:48]), new(big.Int).SetBytes(m.Signature[48:])
	if !ecdsa.Verify(key, digest[:], r, s) {
		return errors.New("attestation document: the enclave's certificate did not sign it")
	}
	return nil
}

func (d *document) result() attest.Result {
	r := attest.Result{
		Kind:         attest.KindNitro,
		Measurements: make(map[string]attest.Hex),
		Details:      make(map[string]attest.Hex),
		TCB:          attest.TCBUnrated,
		Revocation:   attest.RevocationNone,
		IssuedAt:     d.time(),
	}
	for index, pcr := range d.PCRs {
		name, zero := fmt.Sprintf("pcr%d", index), allZero(pcr)
		switch {
		case index <= 2:
			r.Measurements[name] = pcr
			r.Debug = r.Debug || zero
		case index == 8:
			if !zero {
				r.Signer = pcr
			}
		default:
			r.Details[name] = pcr
		}
	}
	for name, value := range map[string][]byte{"public_key": d.PublicKey, "nonce": d.Nonce, "user_data": d.UserData} {
		if len(value) > 0 {
			r.Details[name] = value
		}
	}
	if len(d.UserData) == len(r.ReportData) {
		r.ReportData = attest.ReportData(d.UserData)
	}
	return r
}

func allZero(b []byte) bool { return len(bytes.Trim(b, "\x00")) == 0 }
