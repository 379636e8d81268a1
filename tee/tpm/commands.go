package tpm

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"

	"github.com/secure-signer/secure-signer/attest"
	"github.com/secure-signer/secure-signer/attest/tpm"
	"github.com/secure-signer/secure-signer/tpmlink"
)

// Both keys are primaries of the endorsement hierarchy: its seed outlives
// TPM2_Clear, and the password that some owners set is that of another hierarchy.

// akTemplate makes a key that signs nothing but what the TPM itself made. It asks
// for no secret: what a quote says is true whoever has it made.
func akTemplate() tpm2.TPMTPublic {
	return tpm2.TPMTPublic{
		Type:    tpm2.TPMAlgECC,
		NameAlg: tpm2.TPMAlgSHA256,
		ObjectAttributes: tpm2.TPMAObject{
			FixedTPM: true, FixedParent: true, SensitiveDataOrigin: true, UserWithAuth: true,
			NoDA: true, Restricted: true, SignEncrypt: true,
		},
		Parameters: tpm2.NewTPMUPublicParms(tpm2.TPMAlgECC, &tpm2.TPMSECCParms{
			Scheme: tpm2.TPMTECCScheme{
				Scheme:  tpm2.TPMAlgECDSA,
				Details: tpm2.NewTPMUAsymScheme(tpm2.TPMAlgECDSA, &tpm2.TPMSSigSchemeECDSA{HashAlg: tpm2.TPMAlgSHA256}),
			},
			CurveID: tpm2.TPMECCNistP256,
		}),
		Unique: tpm2.NewTPMUPublicID(tpm2.TPMAlgECC, &tpm2.TPMSECCPoint{}),
	}
}

// sealTemplate makes an HMAC key that only a session with that policy may use, and
// nobody with a password: USERWITHAUTH is not set.
func sealTemplate(policy []byte) tpm2.TPMTPublic {
	return tpm2.TPMTPublic{
		Type:    tpm2.TPMAlgKeyedHash,
		NameAlg: tpm2.TPMAlgSHA256,
		ObjectAttributes: tpm2.TPMAObject{
			FixedTPM: true, FixedParent: true, SensitiveDataOrigin: true, AdminWithPolicy: true,
			NoDA: true, SignEncrypt: true,
		},
		AuthPolicy: tpm2.TPM2BDigest{Buffer: policy},
		Parameters: tpm2.NewTPMUPublicParms(tpm2.TPMAlgKeyedHash, &tpm2.TPMSKeyedHashParms{
			Scheme: tpm2.TPMTKeyedHashScheme{
				Scheme:  tpm2.TPMAlgHMAC,
				Details: tpm2.NewTPMUSchemeKeyedHash(tpm2.TPMAlgHMAC, &tpm2.TPMSSchemeHMAC{HashAlg: tpm2.TPMAlgSHA256}),
			},
		}),
		Unique: tpm2.NewTPMUPublicID(tpm2.TPMAlgKeyedHash, &tpm2.TPM2BDigest{Buffer: []byte("secure-signer seal v1")}),
	}
}

// lend makes a primary key under a session, so that it is known to be the one that
// was asked for, and flushes it after use.
func lend(t transport.TPM, session tpm2.Session, template tpm2.TPMTPublic, use func(handle tpm2.TPMHandle, name tpm2.TPM2BName, public *tpm2.TPMTPublic) error) error {
	made, err := tpm2.CreatePrimary{
		PrimaryHandle: tpm2.AuthHandle{Handle: tpm2.TPMRHEndorsement, Auth: session},
		InPublic:      tpm2.New2B(template),
	}.Execute(t)
	if err != nil {
		return err
	}
	defer tpmlink.Flush(t, made.ObjectHandle)
	public, err := made.OutPublic.Contents()
	if err != nil {
		return err
	}
	return use(made.ObjectHandle, made.Name, public)
}

// SealKey implements tee.Platform.
func (p *Platform) SealKey(ctx context.Context, label string) (key []byte, err error) {
	err = p.link.Do(ctx, func(t transport.TPM) error {
		var maker, user tpm2.Session
		defer func() { flushAll(t, maker, user) }()
		err := p.endorsement.Salt(t, func(salted tpm2.AuthOption) (err error) {
			if maker, _, err = tpm2.HMACSession(t, tpmlink.SessionHash, tpmlink.NonceSize, salted); err != nil {
				return err
			}
			user, _, err = tpm2.PolicySession(t, tpmlink.SessionHash, tpmlink.NonceSize, salted, tpm2.AESEncryption(128, tpm2.EncryptOut))
			return err
		})
		if err != nil {
			return err
		}
		policy, err := p.policy(t, user)
		if err != nil {
			return err
		}
		return lend(t, maker, sealTemplate(policy), func(handle tpm2.TPMHandle, name tpm2.TPM2BName, _ *tpm2.TPMTPublic) error {
			digest := sha256.Sum256([]byte(label))
			answer, err := tpm2.Hmac{
				Handle:  tpm2.AuthHandle{Handle: handle, Name: name, Auth: user},
				Buffer:  tpm2.TPM2BMaxBuffer{Buffer: digest[:]},
				HashAlg: tpm2.TPMAlgSHA256,
			}.Execute(t)
			if err == nil {
				key = answer.OutHMAC.Buffer
			}
			return err
		})
	})
	switch {
	case errors.Is(err, tpm2.TPMRCPolicyFail), errors.Is(err, tpm2.TPMRCPCRChanged):
		return nil, fmt.Errorf("get the sealing key from the TPM: %w: its PCRs change at this moment: start after the machine has booted", err)
	case err != nil:
		return nil, fmt.Errorf("get the sealing key from the TPM: %w", err)
	case len(key) != sha256.Size:
		return nil, fmt.Errorf("get the sealing key from the TPM: it has %d bytes, want %d", len(key), sha256.Size)
	}
	return key, nil
}

// policy binds a session to the PCRs, and returns the digest of that policy. It is
// computed here from what the PCRs are said to be, and not asked from the session:
// if that is a lie the key will not be usable, whereas somebody on the way could
// leave out TPM2_PolicyPCR and return the digest of no policy, so that the key would
// be anybody's.
func (p *Platform) policy(t transport.TPM, session tpm2.Session) ([]byte, error) {
	values, err := p.readPCRs(t)
	if err != nil {
		return nil, err
	}
	digest := sha256.Sum256(values)
	command := tpm2.PolicyPCR{PolicySession: session.Handle(), Pcrs: p.selection(p.pcrs), PcrDigest: tpm2.TPM2BDigest{Buffer: digest[:]}}
	if _, err := command.Execute(t); err != nil {
		return nil, err
	}
	calculator, err := tpm2.NewPolicyCalculator(tpmlink.SessionHash)
	if err != nil {
		return nil, err
	}
	if err := command.Update(calculator); err != nil {
		return nil, err
	}
	return calculator.Hash().Digest, nil
}

func (p *Platform) selection(pcrs []uint) tpm2.TPMLPCRSelection {
	return tpm2.TPMLPCRSelection{PCRSelections: []tpm2.TPMSPCRSelection{{
		Hash: tpm2.TPMAlgSHA256, PCRSelect: tpm2.PCClientCompatible.PCRs(pcrs...),
	}}}
}

// readPCRs returns the values, lowest first. They are not authenticated.
func (p *Platform) readPCRs(t transport.TPM) ([]byte, error) {
	var values []byte
	for _, pcr := range p.pcrs { // one by one: a TPM returns as many at once as it likes
		answer, err := tpm2.PCRRead{PCRSelectionIn: p.selection([]uint{pcr})}.Execute(t)
		if err != nil {
			return nil, err
		}
		if len(answer.PCRValues.Digests) != 1 || len(answer.PCRValues.Digests[0].Buffer) != sha256.Size {
			return nil, fmt.Errorf("the TPM has no PCR %d of SHA-256: switch that bank on in the machine's firmware", pcr)
		}
		values = append(values, answer.PCRValues.Digests[0].Buffer...)
	}
	return values, nil
}

// ask has the TPM quote the PCRs. The evidence comes with the bare AK.
func (p *Platform) ask(ctx context.Context, rd attest.ReportData) (attest.Evidence, error) {
	ev := attest.Evidence{Type: attest.TypeTPM, Collateral: make(map[string][]byte)}
	err := p.link.Do(ctx, func(t transport.TPM) error {
		var session tpm2.Session
		defer func() { flushAll(t, session) }()
		err := p.endorsement.Salt(t, func(salted tpm2.AuthOption) (err error) {
			session, _, err = tpm2.HMACSession(t, tpmlink.SessionHash, tpmlink.NonceSize, salted)
			return err
		})
		if err != nil {
			return err
		}
		if ev.Collateral[tpm.PCRs], err = p.readPCRs(t); err != nil {
			return err
		}
		return lend(t, session, akTemplate(), func(handle tpm2.TPMHandle, name tpm2.TPM2BName, public *tpm2.TPMTPublic) error {
			key, err := tpm2.Pub(*public)
			if err != nil {
				return err
			}
			if ev.Collateral[tpm.AKPublic], err = x509.MarshalPKIXPublicKey(key); err != nil {
				return err
			}
			command := tpm2.Quote{
				SignHandle:     tpm2.AuthHandle{Handle: handle, Name: name, Auth: session},
				QualifyingData: tpm2.TPM2BData{Buffer: rd[:]},
				InScheme:       tpm2.TPMTSigScheme{Scheme: tpm2.TPMAlgNull},
				PCRSelect:      p.selection(p.pcrs),
			}
			answer, err := command.Execute(t)
			if errors.Is(err, tpm2.TPMRCSize) { // it takes no more than its longest digest
				digest := sha256.Sum256(rd[:])
				command.QualifyingData.Buffer, ev.Collateral[tpm.ReportData] = digest[:], rd[:]
				answer, err = command.Execute(t)
			}
			if err != nil {
				return err
			}
			ev.Value = slices.Concat(tpm2.Marshal(answer.Quoted), tpm2.Marshal(answer.Signature))
			return nil
		})
	})
	return ev, err
}

func flushAll(t transport.TPM, sessions ...tpm2.Session) {
	for _, session := range sessions {
		if session != nil {
			tpmlink.Flush(t, session.Handle())
		}
	}
}
