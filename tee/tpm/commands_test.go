package tpm

import (
	"crypto/sha256"
	"errors"
	"testing"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"

	"github.com/secure-signer/secure-signer/tpmlink"
	"github.com/secure-signer/secure-signer/tpmlink/tpmtest"
)

// TestTheKeysAreOfNoOtherUse: whoever is on the machine can have both keys made. He
// must neither use the sealing key past its policy, nor have the AK sign what looks
// like a quote.
func TestTheKeysAreOfNoOtherUse(t *testing.T) {
	m := tpmtest.Start(t)
	link, err := tpmlink.Open(t.Context(), m.Path)
	if err != nil {
		t.Fatal(err)
	}
	defer link.Close()
	with := func(template tpm2.TPMTPublic, use func(transport.TPM, tpm2.AuthHandle) error) error {
		return link.Do(t.Context(), func(t transport.TPM) error {
			return lend(t, tpm2.PasswordAuth(nil), template, func(handle tpm2.TPMHandle, name tpm2.TPM2BName, _ *tpm2.TPMTPublic) error {
				return use(t, tpm2.AuthHandle{Handle: handle, Name: name, Auth: tpm2.PasswordAuth(nil)})
			})
		})
	}
	digest := sha256.Sum256([]byte("a policy of PCRs"))
	hmac := func(t transport.TPM, key tpm2.AuthHandle) error {
		_, err := tpm2.Hmac{Handle: key, Buffer: tpm2.TPM2BMaxBuffer{Buffer: digest[:]}, HashAlg: tpm2.TPMAlgSHA256}.Execute(t)
		return err
	}
	if err := with(sealTemplate(digest[:]), hmac); !errors.Is(err, tpm2.TPMRCAuthUnavailable) {
		t.Errorf("the sealing key by a password: %v", err)
	}
	err = with(sealTemplate(digest[:]), func(t transport.TPM, key tpm2.AuthHandle) error {
		key.Auth = tpm2.Policy(tpmlink.SessionHash, tpmlink.NonceSize, func(transport.TPM, tpm2.TPMISHPolicy, tpm2.TPM2BNonce) error { return nil })
		return hmac(t, key)
	})
	if !errors.Is(err, tpm2.TPMRCPolicyFail) {
		t.Errorf("the sealing key under no policy: %v", err)
	}
	err = with(akTemplate(), func(t transport.TPM, key tpm2.AuthHandle) error {
		_, err := tpm2.Sign{
			KeyHandle: key, Digest: tpm2.TPM2BDigest{Buffer: digest[:]},
			Validation: tpm2.TPMTTKHashCheck{Tag: tpm2.TPMSTHashCheck, Hierarchy: tpm2.TPMRHNull},
		}.Execute(t)
		return err
	})
	if !errors.Is(err, tpm2.TPMRCTicket) {
		t.Errorf("a signature of the AK over anything: %v", err)
	}
}
