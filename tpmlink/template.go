package tpmlink

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/hex"
	"fmt"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"
)

// A template is one of the keys that every TPM makes anew, always the same, from
// the seed that its maker gave it.
type template struct {
	name   string
	index  tpm2.TPMHandle // of the NV index with its certificate
	public tpm2.TPMTPublic
	fits   func(*x509.Certificate) bool
}

// templates are those of the EK Credential Profile that are used here, the fast
// ones first: some TPMs take a minute for an RSA key.
func templates() []template {
	curve := func(c elliptic.Curve) func(*x509.Certificate) bool {
		return func(cert *x509.Certificate) bool {
			key, ok := cert.PublicKey.(*ecdsa.PublicKey)
			return ok && key.Curve == c
		}
	}
	return []template{
		{name: "ecc-p256", index: 0x01c0000a, public: tpm2.ECCEKTemplate, fits: curve(elliptic.P256())},
		{name: "ecc-p384", index: 0x01c00016, public: p384(), fits: curve(elliptic.P384())},
		{name: "rsa-2048", index: 0x01c00002, public: tpm2.RSAEKTemplate, fits: func(cert *x509.Certificate) bool {
			key, ok := cert.PublicKey.(*rsa.PublicKey)
			return ok && key.N.BitLen() == 2048
		}},
	}
}

// p384 is template H-3.
func p384() tpm2.TPMTPublic {
	return tpm2.TPMTPublic{
		Type:    tpm2.TPMAlgECC,
		NameAlg: tpm2.TPMAlgSHA384,
		ObjectAttributes: tpm2.TPMAObject{
			FixedTPM: true, FixedParent: true, SensitiveDataOrigin: true, UserWithAuth: true,
			AdminWithPolicy: true, Restricted: true, Decrypt: true,
		},
		AuthPolicy: tpm2.TPM2BDigest{Buffer: []byte{ // PolicyB of the profile, for SHA-384
			0xb2, 0x6e, 0x7d, 0x28, 0xd1, 0x1a, 0x50, 0xbc, 0x53, 0xd8, 0x82, 0xbc, 0xf5, 0xfd, 0x3a, 0x1a,
			0x07, 0x41, 0x48, 0xbb, 0x35, 0xd3, 0xb4, 0xe4, 0xcb, 0x1c, 0x0a, 0xd9, 0xbd, 0xe4, 0x19, 0xca,
			0xcb, 0x47, 0xba, 0x09, 0x69, 0x96, 0x46, 0x15, 0x0f, 0x9f, 0xc0, 0x00, 0xf3, 0xf8, 0x0e, 0x12,
		}},
		Parameters: tpm2.NewTPMUPublicParms(tpm2.TPMAlgECC, &tpm2.TPMSECCParms{
			Symmetric: tpm2.TPMTSymDefObject{
				Algorithm: tpm2.TPMAlgAES,
				KeyBits:   tpm2.NewTPMUSymKeyBits(tpm2.TPMAlgAES, tpm2.TPMKeyBits(256)),
				Mode:      tpm2.NewTPMUSymMode(tpm2.TPMAlgAES, tpm2.TPMAlgCFB),
			},
			CurveID: tpm2.TPMECCNistP384,
		}),
		Unique: tpm2.NewTPMUPublicID(tpm2.TPMAlgECC, &tpm2.TPMSECCPoint{}),
	}
}

// make makes the key, lends it out, and flushes it.
func (m template) make(t transport.TPM, lend func(tpm2.TPMHandle, *tpm2.TPMTPublic) error) (Endorsement, error) {
	made, err := tpm2.CreatePrimary{
		PrimaryHandle: tpm2.TPMRHEndorsement,
		InPublic:      tpm2.New2B(m.public),
	}.Execute(t)
	if err != nil {
		return Endorsement{}, fmt.Errorf("make the endorsement key (%s): %w", m.name, err)
	}
	defer Flush(t, made.ObjectHandle)
	public, err := made.OutPublic.Contents()
	if err != nil {
		return Endorsement{}, fmt.Errorf("read the endorsement key (%s): %w", m.name, err)
	}
	name, err := tpm2.ObjectName(public)
	if err != nil {
		return Endorsement{}, fmt.Errorf("name the endorsement key (%s): %w", m.name, err)
	}
	return Endorsement{Template: m.name, Name: hex.EncodeToString(name.Buffer)}, lend(made.ObjectHandle, public)
}

// Flush frees the place of a key or a session in the TPM. It is best effort: where
// the connection was given up the kernel does it.
func Flush(t transport.TPM, handle tpm2.TPMHandle) {
	_, _ = tpm2.FlushContext{FlushHandle: handle}.Execute(t)
}
