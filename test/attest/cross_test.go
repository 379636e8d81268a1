package attest_test

import (
	"bytes"
	"crypto/ed25519"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-sev-guest/verify/trust"

	sevdata "github.com/google/go-sev-guest/verify/testdata"

	"github.com/secure-signer/secure-signer/attest"
	"github.com/secure-signer/secure-signer/attest/dcap"
	"github.com/secure-signer/secure-signer/attest/dev"
	"github.com/secure-signer/secure-signer/attest/nitro"
	"github.com/secure-signer/secure-signer/attest/snp"
	"github.com/secure-signer/secure-signer/attest/tpm"
	"github.com/secure-signer/secure-signer/internal/testdata"
)

// Genuine evidence of one kind, under the name of another, proves nothing.
func TestEvidenceOfAnotherPlatform(t *testing.T) {
	key := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{1}, 32))
	root := dev.Root(key.Public().(ed25519.PublicKey))
	made, err := dev.Sign(key, dev.Statement{Measurement: attest.Hex{1}, IssuedAt: snpTime})
	if err != nil {
		t.Fatal(err)
	}
	document, err := os.ReadFile(filepath.Join(testdata.Path(t, "evidence/nitro"), "sample_prod_doc.bin"))
	if err != nil {
		t.Fatal(err)
	}
	tdx, tdxTime := tdxEvidence(t)
	genuine := map[string]struct {
		ev attest.Evidence
		at time.Time
	}{
		attest.TypeTDX:   {tdx, tdxTime},
		attest.TypeSNP:   {snpEvidence(t, sevdata.AttestationBytes, snp.VCEK, sevdata.VcekBytes, trust.AskArkMilanVcekBytes), snpTime},
		attest.TypeNitro: {attest.Evidence{Type: attest.TypeNitro, Value: document}, snpTime},
		attest.TypeDev:   {made, snpTime},
	}
	verifiers := attest.Set{
		attest.TypeSGX: dcap.Verifier{}, attest.TypeTDX: dcap.Verifier{}, attest.TypeSNP: snp.Verifier{},
		attest.TypeNitro: nitro.Verifier{}, attest.TypeTPM: tpm.Verifier{Roots: []attest.Digest{root}}, attest.TypeDev: dev.Verifier{Roots: []attest.Digest{root}},
	}
	for kind, g := range genuine {
		if _, err := verifiers.Verify(g.ev, g.at); err != nil {
			t.Errorf("%s as itself: %v", kind, err)
		}
		for other := range verifiers {
			if other == kind {
				continue
			}
			renamed := g.ev
			renamed.Type = other
			if _, err := verifiers.Verify(renamed, g.at); err == nil {
				t.Errorf("%s as %s: accepted", kind, other)
			}
			renamed.Collateral = nil
			if _, err := verifiers.Verify(renamed, g.at); err == nil {
				t.Errorf("%s as %s without collateral: accepted", kind, other)
			}
		}
	}
}
