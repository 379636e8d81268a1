// Package attest_test holds this project's verifiers of evidence against those of
// the vendors' libraries: what one refuses the other must not accept.
package attest_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/pem"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/google/go-sev-guest/abi"
	"github.com/google/go-sev-guest/kds"
	spb "github.com/google/go-sev-guest/proto/sevsnp"
	sevtest "github.com/google/go-sev-guest/testing"
	"github.com/google/go-sev-guest/verify"
	sevdata "github.com/google/go-sev-guest/verify/testdata"
	"github.com/google/go-sev-guest/verify/trust"

	"github.com/secure-signer/secure-signer/attest"
	"github.com/secure-signer/secure-signer/attest/snp"
)

// AMD's sample was made in 2022 and its VCEK ends in 2029.
var snpTime = time.Date(2026, 11, 25, 0, 0, 0, 0, time.UTC)

func snpEvidence(t *testing.T, report []byte, name string, leaf []byte, chain []byte) attest.Evidence {
	t.Helper()
	ask, rest := pem.Decode(chain)
	ark, _ := pem.Decode(rest)
	return attest.Evidence{Type: attest.TypeSNP, Value: report, Collateral: map[string][]byte{
		name: leaf, snp.ASK: ask.Bytes, snp.ARK: ark.Bytes,
	}}
}

// oracleSNP is what go-sev-guest says of the same evidence, offline.
func oracleSNP(ev attest.Evidence, product *spb.SevProduct, roots map[string][]*trust.AMDRootCerts, at time.Time) error {
	report, err := abi.ReportToProto(ev.Value)
	if err != nil {
		return err
	}
	return verify.SnpAttestation(&spb.Attestation{
		Report:  report,
		Product: product,
		CertificateChain: &spb.CertificateChain{
			VcekCert: ev.Collateral[snp.VCEK], VlekCert: ev.Collateral[snp.VLEK], AskCert: ev.Collateral[snp.ASK], ArkCert: ev.Collateral[snp.ARK],
		},
	}, &verify.Options{DisableCertFetching: true, Now: at, TrustedRoots: roots, Product: product})
}

func TestAMDsSample(t *testing.T) {
	ev := snpEvidence(t, sevdata.AttestationBytes, snp.VCEK, sevdata.VcekBytes, trust.AskArkMilanVcekBytes)
	got, err := snp.Verifier{}.Verify(ev, snpTime)
	if err != nil {
		t.Fatal(err)
	}
	milan := &spb.SevProduct{Name: spb.SevProduct_SEV_PRODUCT_MILAN}
	if err := oracleSNP(ev, milan, nil, snpTime); err != nil {
		t.Fatalf("the oracle: %v", err)
	}

	want, err := abi.ReportToProto(ev.Value)
	if err != nil {
		t.Fatal(err)
	}
	policy, err := abi.ParseSnpPolicy(want.Policy)
	if err != nil {
		t.Fatal(err)
	}
	tcb := kds.DecomposeTCBVersion(kds.TCBVersion(want.ReportedTcb))
	if !bytes.Equal(got.Measurements["measurement"], want.Measurement) || !bytes.Equal(got.Measurements["host_data"], want.HostData) ||
		!bytes.Equal(got.ReportData[:], want.ReportData) || !bytes.Equal(got.HardwareID, want.ChipId) ||
		got.Debug != policy.Debug || got.Migratable != policy.MigrateMA || got.Level != want.Vmpl || got.SVN != uint64(want.GuestSvn) {
		t.Errorf("got %+v\nthe oracle %v", got, want)
	}
	versions := map[string]uint64{"bootloader": uint64(tcb.BlSpl), "tee": uint64(tcb.TeeSpl), "snp": uint64(tcb.SnpSpl), "microcode": uint64(tcb.UcodeSpl)}
	if !maps.Equal(got.TCBVersion, versions) {
		t.Errorf("got %v, the oracle %v", got.TCBVersion, versions)
	}
	// Known of this sample: its guest may be debugged. A policy must see it.
	if !got.Debug {
		t.Error("the sample's debug bit was not seen")
	}
}

func TestAMDsSampleWithAnotherRoot(t *testing.T) {
	for name, chain := range map[string][]byte{
		"Genoa": trust.AskArkGenoaVcekBytes, "Turin": trust.AskArkTurinVcekBytes, "Milan's VLEKs": trust.AskArkMilanVlekBytes,
	} {
		ev := snpEvidence(t, sevdata.AttestationBytes, snp.VCEK, sevdata.VcekBytes, chain)
		if _, err := (snp.Verifier{}).Verify(ev, snpTime); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	ev := snpEvidence(t, sevdata.AttestationBytes, snp.VCEK, sevdata.VcekBytes, trust.AskArkMilanVcekBytes)
	if _, err := (snp.Verifier{}).Verify(ev, time.Date(2029, 10, 1, 0, 0, 0, 0, time.UTC)); err == nil {
		t.Error("accepted after the VCEK's end")
	}
}

// The certificates of the vendor's library are those whose hashes are pinned.
func TestAMDsRootsAreTheOraclesRoots(t *testing.T) {
	for line, chains := range map[snp.Line][][]byte{
		snp.Milan: {trust.AskArkMilanVcekBytes, trust.AskArkMilanVlekBytes},
		snp.Genoa: {trust.AskArkGenoaVcekBytes, trust.AskArkGenoaVlekBytes},
		snp.Turin: {trust.AskArkTurinVcekBytes, trust.AskArkTurinVlekBytes},
	} {
		for _, chain := range chains {
			_, rest := pem.Decode(chain)
			ark, _ := pem.Decode(rest)
			if got := attest.Digest(sha256.Sum256(ark.Bytes)); got != snp.AMDRoots()[line] {
				t.Errorf("%s: pinned %v, the oracle's %v", line, snp.AMDRoots()[line], got)
			}
		}
	}
}

// Of AMD's sample and its certificates no byte may be changed.
func TestNoByteOfAMDsSampleCanBeChanged(t *testing.T) {
	ev := snpEvidence(t, sevdata.AttestationBytes, snp.VCEK, sevdata.VcekBytes, trust.AskArkMilanVcekBytes)
	n := 0
	flip := func(part []byte, with func([]byte) attest.Evidence) {
		for i := range part {
			changed := bytes.Clone(part)
			changed[i] ^= 1 << (i % 8)
			if _, err := (snp.Verifier{}).Verify(with(changed), snpTime); err == nil {
				t.Errorf("accepted with byte %d of %d changed", i, len(part))
			}
			n++
		}
	}
	flip(ev.Value, func(b []byte) attest.Evidence { c := ev; c.Value = b; return c })
	for name := range ev.Collateral {
		flip(ev.Collateral[name], func(b []byte) attest.Evidence {
			c := ev
			c.Collateral = maps.Clone(ev.Collateral)
			c.Collateral[name] = b
			return c
		})
	}
	t.Logf("%d changes, 0 accepted", n)
}

// go-sev-guest makes its own certificates and reports. Both verifiers accept
// them below that root, and neither below AMD's.
func TestTheOraclesOwnForgeries(t *testing.T) {
	for _, tt := range []struct {
		product, line string
		name          string
		number        spb.SevProduct_SevProductName
	}{
		{"Milan-B0", "Milan", snp.VCEK, spb.SevProduct_SEV_PRODUCT_MILAN},
		{"Milan-B0", "Milan", snp.VLEK, spb.SevProduct_SEV_PRODUCT_MILAN},
		{"Genoa-B1", "Genoa", snp.VCEK, spb.SevProduct_SEV_PRODUCT_GENOA},
		{"Genoa-B1", "Genoa", snp.VLEK, spb.SevProduct_SEV_PRODUCT_GENOA},
	} {
		t.Run(tt.product+" "+tt.name, func(t *testing.T) {
			chip := bytes.Repeat([]byte{1}, abi.ChipIDSize)
			signer := newSigner(t, tt.product, chip)
			leaf, ask, key := signer.Vcek, signer.Ask, abi.VcekReportSigner
			if tt.name == snp.VLEK {
				leaf, ask, key = signer.Vlek, signer.Asvk, abi.VlekReportSigner
			}
			raw := sevtest.CreateRawReport(&sevtest.TestReportOptions{
				ReportData: bytes.Repeat([]byte{7}, 64),
				SignerInfo: abi.SignerInfo{SigningKey: key},
			})
			report := slices.Clone(raw[:abi.ReportSize])
			copy(report[0x1A0:], chip)
			signReport(t, signer, report)
			ev := attest.Evidence{Type: attest.TypeSNP, Value: report, Collateral: map[string][]byte{
				tt.name: leaf.Raw, snp.ASK: ask.Raw, snp.ARK: signer.Ark.Raw,
			}}
			product := &spb.SevProduct{Name: tt.number}
			roots := map[string][]*trust.AMDRootCerts{tt.line: {{
				ProductLine: tt.line, ProductCerts: &trust.ProductCerts{Ask: signer.Ask, Asvk: signer.Asvk, Ark: signer.Ark},
			}}}
			ours := snp.Verifier{Roots: map[snp.Line]attest.Digest{snp.Line(tt.line): sha256.Sum256(signer.Ark.Raw)}}
			if _, err := ours.Verify(ev, snpTime); err != nil {
				t.Errorf("ours: %v", err)
			}
			if err := oracleSNP(ev, product, roots, snpTime); err != nil {
				t.Errorf("the oracle: %v", err)
			}
			if _, err := (snp.Verifier{}).Verify(ev, snpTime); err == nil {
				t.Error("ours accepts it below AMD's root")
			}
			ev.Value = slices.Clone(report)
			ev.Value[0x90] ^= 1
			if _, err := ours.Verify(ev, snpTime); err == nil {
				t.Error("ours accepts a changed report")
			}
			if err := oracleSNP(ev, product, roots, snpTime); err == nil {
				t.Error("the oracle accepts a changed report")
			}
		})
	}
}

// newSigner makes the oracle's chain for one chip, which is not zero.
func newSigner(t *testing.T, product string, chip []byte) *sevtest.AmdSigner {
	t.Helper()
	made := snpTime.AddDate(-1, 0, 0)
	signer, err := (&sevtest.AmdSignerBuilder{
		Keys: sevtest.DefaultAmdKeys(), ProductName: product, CSPID: "go-sev-guest",
		ArkCreationTime: made, AskCreationTime: made, AsvkCreationTime: made, VcekCreationTime: made, VlekCreationTime: made,
		VcekCustom: sevtest.CertOverride{Extensions: sevtest.CustomExtensions(kds.TCBParts{}, chip, "", product)},
	}).TestOnlyCertChain()
	if err != nil {
		t.Fatal(err)
	}
	return signer
}

func signReport(t *testing.T, signer *sevtest.AmdSigner, report []byte) {
	t.Helper()
	r, s, err := signer.Sign(abi.SignedComponent(report))
	if err != nil {
		t.Fatal(err)
	}
	if err := abi.SetSignature(r, s, report); err != nil {
		t.Fatal(err)
	}
}
