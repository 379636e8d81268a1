package witness

import (
	"crypto/ed25519"
	"encoding/binary"
	"errors"
	"fmt"
)

// A counter is one of the two that a signer has.
type counter byte

const (
	epochs counter = 1
	stops  counter = 2
)

func (c counter) String() string { return map[counter]string{epochs: "epochs", stops: "stops"}[c] }

// A claim is a number that a counter was moved to, and who by: the tag is fresh
// for each call. The zero claim is what every counter begins with.
type claim struct {
	n         uint64
	tag       [16]byte
	signature [ed25519.SignatureSize]byte // by the signer
}

// A request offers a claim to a witness.
type request struct {
	counter counter
	signer  [ed25519.PublicKeySize]byte
	nonce   [32]byte
	claim   claim
}

// What is sent and stored has one layout each, numbers big endian:
//
//	claim    n 8, tag 16, signature 64
//	request  version 1, counter 1, signer 32, nonce 32, claim
//	answer   claim that is held, signature of the witness 64
//	record   version 1, settled 1, claim that is held
const (
	claimSize   = 8 + 16 + ed25519.SignatureSize
	requestSize = 1 + 1 + ed25519.PublicKeySize + 32 + claimSize
	answerSize  = claimSize + ed25519.SignatureSize
	recordSize  = 1 + 1 + claimSize
)

// version is the first byte of each request and record.
const version = 1

// Domains of what is signed. Neither is a prefix of the other.
const (
	claimDomain  = "secure-signer witness claim v1\x00"
	answerDomain = "secure-signer witness answer v1\x00"
)

func (c counter) known() bool { return c == epochs || c == stops }

// signed is what the signer signs. It names no witness: see the package comment.
func (c claim) signed(of counter) []byte {
	b := append([]byte(claimDomain), byte(of))
	b = binary.BigEndian.AppendUint64(b, c.n)
	return append(b, c.tag[:]...)
}

var errForged = errors.New("a claim that the signer has not signed")

// check returns nil if the signer has made this claim, or nobody has.
func (c claim) check(of counter, signer ed25519.PublicKey) error {
	if c == (claim{}) {
		return nil
	}
	if c.n == 0 || !ed25519.Verify(signer, c.signed(of), c.signature[:]) {
		return errForged
	}
	return nil
}

func (c claim) append(b []byte) []byte {
	b = binary.BigEndian.AppendUint64(b, c.n)
	b = append(b, c.tag[:]...)
	return append(b, c.signature[:]...)
}

// readClaim reads the first claimSize bytes of b.
func readClaim(b []byte) (c claim) {
	c.n = binary.BigEndian.Uint64(b)
	copy(c.signature[:], b[8+copy(c.tag[:], b[8:]):])
	return c
}

func (r request) encode() []byte {
	b := make([]byte, 0, requestSize)
	b = append(b, version, byte(r.counter))
	b = append(b, r.signer[:]...)
	b = append(b, r.nonce[:]...)
	return r.claim.append(b)
}

func readRequest(b []byte) (r request, err error) {
	switch {
	case len(b) != requestSize:
		return r, fmt.Errorf("a request has %d bytes, and not %d", requestSize, len(b))
	case b[0] != version:
		return r, fmt.Errorf("version %d of the protocol, and this witness speaks %d: update the older of the two", b[0], version)
	case !counter(b[1]).known():
		return r, fmt.Errorf("there is no counter %d", b[1])
	}
	r.counter, b = counter(b[1]), b[2:]
	b = b[copy(r.signer[:], b):]
	b = b[copy(r.nonce[:], b):]
	r.claim = readClaim(b)
	return r, r.claim.check(r.counter, r.signer[:])
}

// answered is what the witness signs.
func (r request) answered(held claim) []byte {
	return held.append(append([]byte(answerDomain), r.encode()...))
}

func (r request) answer(key ed25519.PrivateKey, held claim) []byte {
	return append(held.append(nil), ed25519.Sign(key, r.answered(held))...)
}

// readAnswer returns the claim that the witness of that key holds, if this is its
// answer to r.
func (r request) readAnswer(key ed25519.PublicKey, b []byte) (held claim, err error) {
	if len(b) != answerSize {
		return held, fmt.Errorf("an answer has %d bytes, and not %d: is this a witness?", answerSize, len(b))
	}
	held = readClaim(b)
	if !ed25519.Verify(key, r.answered(held), b[claimSize:]) {
		return held, errors.New("the answer is not signed by the key that this witness is known by")
	}
	return held, held.check(r.counter, r.signer[:])
}

func encodeRecord(held claim, settled bool) []byte {
	b := make([]byte, 2, recordSize)
	b[0] = version
	if settled {
		b[1] = 1
	}
	return held.append(b)
}

func readRecord(b []byte) (held claim, settled bool, err error) {
	if len(b) != recordSize || b[0] != version || b[1] > 1 {
		return held, false, errors.New("the record is of another release: run the one that wrote it, or a newer one")
	}
	return readClaim(b[2:]), b[1] == 1, nil
}
