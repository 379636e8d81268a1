package forge

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"slices"
	"time"

	"github.com/fxamacker/cbor/v2"

	"github.com/secure-signer/secure-signer/attest"
)

// A Document makes attestation documents of Nitro Enclaves, all below one root.
type Document struct {
	Chain   []*x509.Certificate // leaf first
	Key     *ecdsa.PrivateKey   // the leaf's
	Payload map[string]any
	Message []any // nil: protected, unprotected, payload, signature as they should be
}

// ES384 is the protected header {1: -35}.
const ES384 = "\xa1\x01\x38\x22"

// NewDocument is of an enclave that is not in debug mode, and signed.
func NewDocument() *Document {
	return NewDocumentWith(x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature)
}

// NewDocumentWith is NewDocument with certificates for another use.
func NewDocumentWith(usage x509.KeyUsage) *Document {
	f := &Document{}
	var parent *x509.Certificate
	for i := range 3 {
		key := newKey(elliptic.P384())
		c := &x509.Certificate{
			SerialNumber: big.NewInt(int64(i)), Subject: pkix.Name{CommonName: "aws.nitro-enclaves"},
			NotBefore: Time.Add(-time.Hour), NotAfter: Time.Add(time.Hour),
			BasicConstraintsValid: true, IsCA: i < 2, KeyUsage: usage,
			SubjectKeyId: []byte{byte(i)},
		}
		signer := key
		if i > 0 {
			signer = f.Key
		}
		parent = issue(c, parent, &key.PublicKey, signer)
		f.Chain, f.Key = slices.Insert(f.Chain, 0, parent), key
	}
	f.Payload = map[string]any{
		"module_id": "i-0-enc0", "digest": "SHA384", "timestamp": uint64(Time.UnixMilli()),
		"pcrs":        map[uint64][]byte{0: PCR(1), 1: PCR(2), 2: PCR(3), 3: PCR(0), 8: PCR(4)},
		"certificate": f.Chain[0].Raw, "cabundle": [][]byte{f.Chain[2].Raw, f.Chain[1].Raw},
		"public_key": nil, "user_data": bytes.Repeat([]byte{5}, 64), "nonce": nil,
	}
	return f
}

// PCR is a register of 48 bytes of the value b.
func PCR(b byte) []byte { return bytes.Repeat([]byte{b}, 48) }

// Make signs the payload, and returns the root to trust.
func (f *Document) Make() (attest.Evidence, attest.Digest) {
	payload := must(cbor.Marshal(f.Payload))
	protected := []byte(ES384)
	m := []any{protected, map[int]int{}, payload, f.Sign(protected, payload)}
	for i, part := range f.Message {
		if part != nil {
			m[i] = part
		}
	}
	return attest.Evidence{Type: attest.TypeNitro, Value: must(cbor.Marshal(m))}, sha256.Sum256(f.Chain[2].Raw)
}

// Sign signs the Sig_structure of RFC 9052, section 4.4.
func (f *Document) Sign(protected, payload []byte) []byte {
	digest := sha512.Sum384(must(cbor.Marshal([]any{"Signature1", protected, []byte{}, payload})))
	r, s := sign(f.Key, digest[:])
	return append(r, s...)
}
