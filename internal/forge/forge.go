// Package forge makes the evidence of hardware that does not exist, below roots of
// its own, so that verifiers can be shown what no real hardware would sign, and
// platforms have something to read where there is no hardware.
//
// A test changes what it likes; everything is signed afterwards. Nothing here
// fails but by a bug of the test, which is a panic. It knows the formats from
// their descriptions, as the verifiers do, and shares no code with them.
package forge

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"time"
)

// Time is when everything is forged. Evidence is judged for this time: some
// collateral lives for days.
var Time = time.Date(2026, 11, 25, 0, 0, 0, 0, time.UTC)

// An Authority is a certificate and its key.
type Authority struct {
	Cert *x509.Certificate
	Key  *ecdsa.PrivateKey
}

// newKey makes a key.
func newKey(curve elliptic.Curve) *ecdsa.PrivateKey {
	return must(ecdsa.GenerateKey(curve, rand.Reader))
}

// issue makes a certificate for a key. With no parent it signs itself.
func issue(template, parent *x509.Certificate, public, signer any) *x509.Certificate {
	if parent == nil {
		parent = template
	}
	der := must(x509.CreateCertificate(rand.Reader, template, parent, public, signer))
	return must(x509.ParseCertificate(der))
}

// sign signs a digest, and returns the two numbers of the signature, big-endian
// and as long as the curve's field.
func sign(key *ecdsa.PrivateKey, digest []byte) (first, second []byte) {
	r, s, err := ecdsa.Sign(rand.Reader, key, digest)
	if err != nil {
		panic(err)
	}
	size := (key.Curve.Params().BitSize + 7) / 8
	return r.FillBytes(make([]byte, size)), s.FillBytes(make([]byte, size))
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
