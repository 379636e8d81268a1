package dcap

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math/big"

	"github.com/secure-signer/secure-signer/attest"
)

// Sizes in a quote, in bytes.
const (
	headerSize    = 48
	enclaveSize   = 384 // report of an enclave
	domainSize    = 584 // report of a TDX 1.0 domain
	domain15Size  = 648 // of TDX 1.5
	signatureSize = 64
	keySize       = 64
)

// Types of certification data.
const (
	certPCKChain = 5
	certQEReport = 6
)

// intelQE is the vendor of the quoting enclave, in the header.
const intelQE = "\x93\x9a\x72\x33\xf7\x9c\x4c\xa9\x94\x0a\x0d\xb3\x95\x7f\x06\x07"

// A quote is what was read, and not yet what is true.
type quote struct {
	kind        attest.Kind
	signed      []byte // header and body
	body        []byte
	signature   []byte // of signed, by key
	key         []byte // attestation key, X and Y
	qeReport    []byte // of the quoting enclave; its report data binds key and qeAuth
	qeSignature []byte // of qeReport, by the PCK
	qeAuth      []byte
	chain       []byte // PEM of the PCK certificate and its issuers
}

// A reader takes bytes from the front. After an error it returns nil for ever.
type reader struct {
	rest []byte
	err  error
}

func (r *reader) take(n int) []byte {
	if r.err == nil && n > len(r.rest) {
		r.err = fmt.Errorf("too short: %d bytes more are needed, %d are there", n, len(r.rest))
	}
	if r.err != nil {
		return nil
	}
	out := r.rest[:n:n]
	r.rest = r.rest[n:]
	return out
}

func (r *reader) uint16() int {
	if b := r.take(2); b != nil {
		return int(binary.LittleEndian.Uint16(b))
	}
	return 0
}

// length reads a length of 4 bytes and takes that many.
func (r *reader) length() []byte {
	b := r.take(4)
	if b == nil {
		return nil
	}
	n := binary.LittleEndian.Uint32(b)
	if n > attest.MaxEvidence {
		r.err = fmt.Errorf("a part of %d bytes", n)
		return nil
	}
	return r.take(int(n))
}

// end returns the first error, or that something is left.
func (r *reader) end() error {
	if r.err == nil && len(r.rest) > 0 {
		return fmt.Errorf("%d bytes follow after the end: cut the quote to its length", len(r.rest))
	}
	return r.err
}

func parseQuote(b []byte) (*quote, error) {
	r := &reader{rest: b}
	header := r.take(headerSize)
	if header == nil {
		return nil, r.err
	}
	version := binary.LittleEndian.Uint16(header)
	if keyType := binary.LittleEndian.Uint16(header[2:]); keyType != 2 {
		return nil, fmt.Errorf("attestation key of type %d, only 2 is read (ECDSA on P-256)", keyType)
	}
	if string(header[12:28]) != intelQE {
		return nil, errors.New("the quoting enclave is not Intel's")
	}
	tee := binary.LittleEndian.Uint32(header[4:])
	q := &quote{}
	if err := q.readBody(r, version, tee); err != nil {
		return nil, err
	}
	q.signed = b[:len(b)-len(r.rest)]
	s := &reader{rest: r.length()}
	if err := r.end(); err != nil {
		return nil, err
	}
	if err := q.readSignature(s, version); err != nil {
		return nil, fmt.Errorf("signature data: %w", err)
	}
	return q, nil
}

// readBody reads what the quote is about. Version 5 says itself what follows.
func (q *quote) readBody(r *reader, version uint16, tee uint32) error {
	type form struct {
		version, body uint16
		tee           uint32
	}
	const sgx, tdx = 0, 0x81
	sizes := map[form]int{
		{version: 3, tee: sgx}:          enclaveSize,
		{version: 4, tee: sgx}:          enclaveSize,
		{version: 4, tee: tdx}:          domainSize,
		{version: 5, body: 1, tee: sgx}: enclaveSize,
		{version: 5, body: 2, tee: tdx}: domainSize,
		{version: 5, body: 3, tee: tdx}: domain15Size,
	}
	f := form{version: version, tee: tee}
	if version == 5 {
		f.body = uint16(r.uint16())
	}
	size, ok := sizes[f]
	if !ok {
		return fmt.Errorf("version %d, TEE type %#x, body type %d is not read here", version, tee, f.body)
	}
	if version == 5 {
		q.body = r.length()
	} else {
		q.body = r.take(size)
	}
	if r.err == nil && len(q.body) != size {
		return fmt.Errorf("body of %d bytes, want %d", len(q.body), size)
	}
	q.kind = attest.KindTDX
	if tee == sgx {
		q.kind = attest.KindSGX
	}
	return r.err
}

func (q *quote) readSignature(r *reader, version uint16) error {
	q.signature, q.key = r.take(signatureSize), r.take(keySize)
	if version > 3 {
		if err := expectCertType(r, certQEReport); err != nil {
			return err
		}
		inner := &reader{rest: r.length()}
		if err := r.end(); err != nil {
			return err
		}
		r = inner
	}
	q.qeReport, q.qeSignature = r.take(enclaveSize), r.take(signatureSize)
	q.qeAuth = r.take(r.uint16())
	if err := expectCertType(r, certPCKChain); err != nil {
		return err
	}
	q.chain = r.length()
	return r.end()
}

func expectCertType(r *reader, want int) error {
	if got := r.uint16(); r.err == nil && got != want {
		return fmt.Errorf("certification data of type %d, want %d: fetch the PCK certificate and make the quote with it", got, want)
	}
	return r.err
}

// checkSignatures goes from the PCK to the body.
func (q *quote) checkSignatures(pck crypto.PublicKey) error {
	if !verifyRaw(pck, q.qeReport, q.qeSignature) {
		return errors.New("quote: the PCK did not sign the quoting enclave's report")
	}
	bound := sha256.Sum256(append(bytes.Clone(q.key), q.qeAuth...))
	qe := enclaveReport(q.qeReport).reportData()
	if !bytes.Equal(qe[:32], bound[:]) || !allZero(qe[32:]) {
		return errors.New("quote: the quoting enclave does not vouch for the attestation key")
	}
	key, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), append([]byte{4}, q.key...))
	if err != nil {
		return errors.New("quote: the attestation key is not a point of P-256")
	}
	if !verifyRaw(key, q.signed, q.signature) {
		return errors.New("quote: the attestation key did not sign it")
	}
	return nil
}

// verifyRaw checks an ECDSA signature over SHA-256 that is written as r and s of
// 32 bytes each.
func verifyRaw(key crypto.PublicKey, message, signature []byte) bool {
	k, ok := key.(*ecdsa.PublicKey)
	if !ok || k.Curve != elliptic.P256() || len(signature) != signatureSize {
		return false
	}
	digest := sha256.Sum256(message)
	r, s := new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:])
	return ecdsa.Verify(k, digest[:], r, s)
}

func allZero(b []byte) bool { return len(bytes.Trim(b, "\x00")) == 0 }
