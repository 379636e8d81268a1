package attest

import (
	"crypto/sha256"
	"crypto/sha512"
	"encoding/binary"
)

// A Nonce is drawn by whoever asks for evidence, anew for each request.
type Nonce [32]byte

// domain separates this report data from any other use of the same hardware. It
// changes with the order or the meaning of what is hashed.
const domain = "secure-signer attestation v1"

// Claims are what evidence says beyond what the hardware knows. They are true
// only if the report data binds them: if Claims.ReportData, computed by the one
// who checks, equals Result.ReportData.
//
// Nonce and exporter value are no members on purpose. Whoever checks takes the
// nonce that he drew and the exporter value of his own end of the connection:
// evidence relayed from another connection then does not match.
type Claims struct {
	HPKEKey []byte `json:"hpke_key,omitempty"` // secrets sealed to it can be opened only inside
	TLSKey  []byte `json:"tls_key,omitempty"`  // SubjectPublicKeyInfo of the server's certificate
	Config  []byte `json:"config,omitempty"`   // the document that says network, horizon and rules: see Policy.JudgeClaims
}

// ReportData is what the hardware signs for its guest.
type ReportData [64]byte

// ReportData is SHA-512 over domain, nonce, TLS exporter value (empty where
// there is no connection, as for evidence about a key that was made inside),
// HPKE key, TLS key and SHA-256 of the configuration, each preceded by its
// length as 8 bytes, big-endian, so that no two lists of values hash alike.
func (c Claims) ReportData(nonce Nonce, exporter []byte) ReportData {
	config := sha256.Sum256(c.Config)
	h := sha512.New()
	for _, part := range [][]byte{[]byte(domain), nonce[:], exporter, c.HPKEKey, c.TLSKey, config[:]} {
		var length [8]byte
		binary.BigEndian.PutUint64(length[:], uint64(len(part)))
		h.Write(length[:])
		h.Write(part)
	}
	return ReportData(h.Sum(nil))
}
