package tpm

import (
	"crypto"
	_ "crypto/sha256" // for crypto.SHA256
	_ "crypto/sha512" // for crypto.SHA384
	"encoding/binary"
	"errors"
	"fmt"
)

// Constants of TPM_GENERATED, TPM_ST and TPM_ALG_ID.
const (
	magic        = 0xff544347 // begins what only the TPM itself signs
	typeQuote    = 0x8018
	schemeRSASSA = 0x0014
	schemeRSAPSS = 0x0016
	schemeECDSA  = 0x0018
	algSHA256    = 0x000b
	algSHA384    = 0x000c
)

// A quote is what was read, and not yet what is true.
type quote struct {
	signed     []byte // TPMS_ATTEST
	scheme     uint16
	hash       crypto.Hash // of the signature and of the PCRs' digest
	signature  [2][]byte   // of RSA one part, of ECDSA r and s
	qualifying []byte
	resets     []byte
	firmware   []byte
	selected   []int // PCRs of the SHA-256 bank, ascending
	pcrDigest  []byte
}

func (q *quote) digest(b []byte) []byte {
	h := q.hash.New()
	h.Write(b)
	return h.Sum(nil)
}

// A reader takes big-endian numbers and bytes from the front. After an error it
// returns zeros for ever.
type reader struct {
	rest []byte
	err  error
}

func (r *reader) take(n int) []byte {
	if r.err == nil && n > len(r.rest) {
		r.err = fmt.Errorf("too short: %d bytes more are needed, %d are there", n, len(r.rest))
	}
	if r.err != nil {
		return make([]byte, n)
	}
	out := r.rest[:n:n]
	r.rest = r.rest[n:]
	return out
}

func (r *reader) uint16() uint16 { return binary.BigEndian.Uint16(r.take(2)) }
func (r *reader) uint32() uint32 { return binary.BigEndian.Uint32(r.take(4)) }

// sized reads a TPM2B: a length of 2 bytes and that many.
func (r *reader) sized() []byte { return r.take(int(r.uint16())) }

func (r *reader) end() error {
	if r.err == nil && len(r.rest) > 0 {
		return fmt.Errorf("%d bytes follow after the end", len(r.rest))
	}
	return r.err
}

func parseQuote(value []byte) (*quote, error) {
	q := &quote{}
	r := &reader{rest: value}
	q.signed = r.sized()
	if err := q.readSignature(r); err != nil {
		return nil, fmt.Errorf("signature: %w", err)
	}
	if err := q.readAttest(&reader{rest: q.signed}); err != nil {
		return nil, err
	}
	return q, nil
}

// readSignature reads a TPMT_SIGNATURE.
func (q *quote) readSignature(r *reader) error {
	q.scheme = r.uint16()
	switch hash := r.uint16(); {
	case r.err != nil:
		return r.err
	case hash == algSHA256:
		q.hash = crypto.SHA256
	case hash == algSHA384:
		q.hash = crypto.SHA384
	default:
		return fmt.Errorf("hash algorithm %#x, only SHA-256 and SHA-384 are read", hash)
	}
	q.signature[0] = r.sized()
	switch q.scheme {
	case schemeRSASSA, schemeRSAPSS:
	case schemeECDSA:
		q.signature[1] = r.sized()
	default:
		return fmt.Errorf("scheme %#x, only RSASSA, RSAPSS and ECDSA are read", q.scheme)
	}
	return r.end()
}

// readAttest reads a TPMS_ATTEST. The magic is the safety of it: of data from
// outside a restricted key signs nothing that begins with it.
func (q *quote) readAttest(r *reader) error {
	if m, t := r.uint32(), r.uint16(); r.err == nil && (m != magic || t != typeQuote) {
		return fmt.Errorf("it begins with %#x, type %#x: the TPM made no quote of it", m, t)
	}
	r.sized() // the AK's qualified name
	q.qualifying = r.sized()
	r.take(8)            // clock
	q.resets = r.take(4) // since TPM2_Clear
	r.take(4 + 1)        // restarts, safe
	q.firmware = r.take(8)
	if err := q.readSelection(r); err != nil {
		return err
	}
	q.pcrDigest = r.sized()
	return r.end()
}

// readSelection reads a TPML_PCR_SELECTION of one bank.
func (q *quote) readSelection(r *reader) error {
	banks, bank := r.uint32(), r.uint16()
	if r.err == nil && (banks != 1 || bank != algSHA256) {
		return fmt.Errorf("PCRs of %d banks, the first of algorithm %#x: only the one of SHA-256 is read", banks, bank)
	}
	bits := r.take(int(r.take(1)[0]))
	if r.err != nil {
		return r.err
	}
	for i := range 8 * len(bits) {
		if bits[i/8]>>(i%8)&1 == 1 {
			q.selected = append(q.selected, i)
		}
	}
	if len(q.selected) == 0 {
		return errors.New("it is of no PCR")
	}
	return nil
}
