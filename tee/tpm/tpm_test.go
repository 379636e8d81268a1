package tpm_test

import (
	"crypto/sha256"
	"testing"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"

	"github.com/secure-signer/secure-signer/attest"
	attesttpm "github.com/secure-signer/secure-signer/attest/tpm"
	"github.com/secure-signer/secure-signer/tee"
	"github.com/secure-signer/secure-signer/tee/teetest"
	"github.com/secure-signer/secure-signer/tee/tpm"
	"github.com/secure-signer/secure-signer/tpmlink"
	"github.com/secure-signer/secure-signer/tpmlink/tpmtest"
)

func dial(t *testing.T, path string) *tpmlink.Link {
	t.Helper()
	link, err := tpmlink.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { link.Close() })
	return link
}

func endorse(t *testing.T, m *tpmtest.TPM) tpmlink.Endorsement {
	t.Helper()
	roots, err := tpmlink.LoadRoots(m.Roots)
	if err != nil {
		t.Fatal(err)
	}
	e, err := dial(t, m.Path).Endorse(t.Context(), tpmlink.Trust{Roots: roots})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func open(t *testing.T, m *tpmtest.TPM, path string, cfg tpm.Config) *tpm.Platform {
	t.Helper()
	p, err := tpm.Open(t.Context(), dial(t, path), endorse(t, m), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// akID is the name by which a verifier pins the attestation key.
func akID(t *testing.T, p *tpm.Platform) attest.Digest {
	t.Helper()
	ev, err := p.Evidence(t.Context(), attest.ReportData{})
	if err != nil {
		t.Fatal(err)
	}
	return sha256.Sum256(ev.Collateral[attesttpm.AKPublic])
}

// extend measures something into a PCR, as a boot loader does.
func extend(t *testing.T, m *tpmtest.TPM, pcr uint32) {
	t.Helper()
	err := dial(t, m.Path).Do(t.Context(), func(t transport.TPM) error {
		digest := sha256.Sum256([]byte("another kernel"))
		_, err := tpm2.PCRExtend{
			PCRHandle: tpm2.AuthHandle{Handle: tpm2.TPMHandle(pcr), Auth: tpm2.PasswordAuth(nil)},
			Digests:   tpm2.TPMLDigestValues{Digests: []tpm2.TPMTHA{{HashAlg: tpm2.TPMAlgSHA256, Digest: digest[:]}}},
		}.Execute(t)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestTheSuite(t *testing.T) {
	m := tpmtest.Start(t)
	cfg := tpm.Config{PCRs: []int{7, 11}}
	id := akID(t, open(t, m, m.Path, cfg))
	teetest.Run(t, teetest.Suite{
		New: func(t *testing.T, program int) tee.Platform {
			m.PowerOff(t)
			m.PowerOn(t)
			if program == 1 {
				extend(t, m, 11)
			}
			return open(t, m, m.Path, cfg)
		},
		Verifier: attesttpm.Verifier{Roots: []attest.Digest{id}},
		Seals:    true,
	})
}
