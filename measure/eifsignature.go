package measure

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha512"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"

	"github.com/fxamacker/cbor/v2"

	"github.com/secure-signer/secure-signer/attest"
)

// An imageSignature is one of the list that a signature section holds. Its bytes
// are arrays of numbers: that is what the tool writes.
type imageSignature struct {
	Certificate []uint8 `cbor:"signing_certificate"` // PEM
	Signature   []uint8 `cbor:"signature"`           // COSE_Sign1 of a signedRegister
}

// A signedRegister is what is signed.
type signedRegister struct {
	Index int     `cbor:"register_index"`
	Value []uint8 `cbor:"register_value"`
}

// A signedMessage is a COSE_Sign1.
type signedMessage struct {
	_           struct{} `cbor:",toarray"`
	Protected   []byte
	Unprotected map[int64]cbor.RawMessage
	Payload     []byte
	Signature   []byte
}

// es384 is the protected header {1: -35}, ECDSA with SHA-384: what nitro-cli makes
// of a key on P-384, the only kind that AWS names.
const es384 = "\xa1\x01\x38\x22"

// verifyImage verifies that the only signature of an image is of its PCR0, and
// returns the certificate of who signed.
func verifyImage(section []byte, pcr0 attest.Hex) (*x509.Certificate, error) {
	mode, err := cbor.DecOptions{
		DupMapKey: cbor.DupMapKeyEnforcedAPF, IndefLength: cbor.IndefLengthForbidden, TagsMd: cbor.TagsForbidden,
		ExtraReturnErrors: cbor.ExtraDecErrorUnknownField, MaxArrayElements: maxSmallSection,
	}.DecMode()
	if err != nil {
		panic("measure: internal error: " + err.Error())
	}
	var list []imageSignature
	if err := mode.Unmarshal(section, &list); err != nil {
		return nil, err
	}
	if len(list) != 1 {
		return nil, fmt.Errorf("there are %d, want one, of PCR0", len(list))
	}
	block, rest := pem.Decode(list[0].Certificate)
	if block == nil || block.Type != "CERTIFICATE" || len(bytes.TrimSpace(rest)) != 0 {
		return nil, errors.New("the certificate is not one certificate in PEM")
	}
	certificate, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("certificate: %w", err)
	}
	key, ok := certificate.PublicKey.(*ecdsa.PublicKey)
	if !ok || key.Curve != elliptic.P384() {
		return nil, errors.New("the certificate's key is not on P-384: nitro-cli takes no other")
	}
	var message signedMessage
	if err := mode.Unmarshal(list[0].Signature, &message); err != nil {
		return nil, err
	}
	if string(message.Protected) != es384 || len(message.Signature) != 96 {
		return nil, errors.New("it is not ECDSA with SHA-384")
	}
	signed, err := cbor.Marshal([]any{"Signature1", message.Protected, []byte{}, message.Payload})
	if err != nil {
		panic("measure: internal error: " + err.Error())
	}
	digest := sha512.Sum384(signed)
	r, s := new(big.Int).SetBytes(message.Signature[:48]), new(big.Int).SetBytes(message.Signature[48:])
	if !ecdsa.Verify(key, digest[:], r, s) {
		return nil, errors.New("it does not verify by the certificate beside it")
	}
	var register signedRegister
	if err := mode.Unmarshal(message.Payload, &register); err != nil {
		return nil, err
	}
	if register.Index != 0 || !bytes.Equal(register.Value, pcr0) {
		return nil, fmt.Errorf("it is of PCR%d with another value: the image was changed after it was signed", register.Index)
	}
	return certificate, nil
}
