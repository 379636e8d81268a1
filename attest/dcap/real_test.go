package dcap

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/secure-signer/secure-signer/attest"
	"github.com/secure-signer/secure-signer/internal/testdata"
)

// A sample is real evidence from production hardware, with what Intel's service
// said of the platform at the time.
type sample struct {
	kind                         string
	quote, tcbInfo, qe, tcbChain string
	at                           time.Time
}

var (
	sgxSample = sample{
		kind:     attest.TypeSGX,
		quote:    "quote_v3_ecdsa_p256_pck_chain.bin",
		tcbInfo:  "tcb_info_v3_fmspc_00606A000000.json",
		qe:       "qe_identity_v2.json",
		tcbChain: "tcb_info_v3_fmspc_00606A000000_certs.pem",
		at:       time.Date(2022, 12, 20, 0, 0, 0, 0, time.UTC),
	}
	tdxSample = sample{
		kind:     attest.TypeTDX,
		quote:    "quote_v4_tdx_ecdsa_p256.bin",
		tcbInfo:  "tcb_info_v3_tdx_fmspc_C0806F000000.json",
		qe:       "qe_identity_v2_tdx2.json",
		tcbChain: "tcb_info_v3_fmspc_00606A000000_certs.pem",
		at:       time.Date(2024, 9, 10, 0, 0, 0, 0, time.UTC),
	}
)

func (s sample) evidence(t testing.TB) attest.Evidence {
	t.Helper()
	dir := testdata.Path(t, "evidence/sgx-tdx")
	read := func(name string) []byte {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	return attest.Evidence{Type: s.kind, Value: read(s.quote), Collateral: map[string][]byte{
		TCBInfo: read(s.tcbInfo), QEIdentity: read(s.qe), TCBChain: read(s.tcbChain),
	}}
}

func TestRealSGXQuote(t *testing.T) {
	got, err := Verifier{}.Verify(sgxSample.evidence(t), sgxSample.at)
	if err != nil {
		t.Fatal(err)
	}
	if got.Debug || got.Kind != attest.KindSGX || got.Revocation != attest.RevocationUnchecked || got.Root != IntelRoot() {
		t.Errorf("got %+v", got)
	}
	if got.TCB != attest.TCBSWHardeningNeeded || got.TCBVersion["evaluation"] != 13 {
		t.Errorf("got %s, %v", got.TCB, got.TCBVersion)
	}
	if diff := cmp.Diff([]string{"INTEL-SA-00615", "INTEL-SA-00657"}, got.Advisories); diff != "" {
		t.Error(diff)
	}
	if want := time.Date(2022, 12, 16, 12, 45, 36, 0, time.UTC); !got.Collateral.Equal(want) {
		t.Errorf("collateral of %v, want %v", got.Collateral, want)
	}
	if want := time.Date(2023, 1, 15, 12, 45, 36, 0, time.UTC); !got.ValidUntil.Equal(want) {
		t.Errorf("valid until %v, want %v", got.ValidUntil, want)
	}
	if want := time.Date(2022, 8, 10, 0, 0, 0, 0, time.UTC); !got.TCBDate.Equal(want) {
		t.Errorf("TCB of %v, want %v", got.TCBDate, want)
	}
}

func TestRealTDXQuote(t *testing.T) {
	got, err := Verifier{}.Verify(tdxSample.evidence(t), tdxSample.at)
	if err != nil {
		t.Fatal(err)
	}
	if got.TCB != attest.TCBUpToDate || got.Kind != attest.KindTDX || len(got.Advisories) != 0 || got.Debug || got.Migratable {
		t.Errorf("got %+v", got)
	}
	if len(got.Measurements) != 5 || len(got.Measurements["mrtd"]) != 48 || len(got.Measurements["rtmr3"]) != 48 {
		t.Errorf("got measurements %v", got.Measurements)
	}
}

func TestRealSamplesAreRefusedForTheRightReason(t *testing.T) {
	with := func(s sample, change func(*sample)) sample { change(&s); return s }
	tests := []struct {
		name string
		sample
		want       string
		collateral bool // fetching again may help
	}{
		{name: "collateral of another year", want: "ended at", collateral: true,
			sample: with(sgxSample, func(s *sample) { s.at = time.Date(2026, 11, 25, 0, 0, 0, 0, time.UTC) })},
		{name: "before the collateral was issued", want: "is valid from", collateral: true,
			sample: with(sgxSample, func(s *sample) { s.at = s.at.AddDate(0, 0, -3) })},
		{name: "one second after the QE identity ended", want: "qe_identity ended at", collateral: true,
			sample: with(sgxSample, func(s *sample) { s.at = time.Date(2023, 1, 15, 12, 45, 37, 0, time.UTC) })},
		{name: "a platform older than every level", want: "older than every TCB level",
			sample: with(tdxSample, func(s *sample) {
				s.quote, s.tcbInfo, s.qe = "quote_v4_tdx_ecdsa_p256_out_of_date.bin", "tcb_info_v3_tdx_fmspc_50806F000000.json", "qe_identity_v2_tdx.json"
				s.at = time.Date(2023, 7, 1, 0, 0, 0, 0, time.UTC)
			})},
		{name: "padding after the quote", want: "70 bytes follow after the end",
			sample: with(tdxSample, func(s *sample) { s.quote = "quote_v4_tdx_ecdsa_p256_trailing.bin" })},
		{name: "an encrypted PPID instead of the PCK certificate", want: "type 3, want 5",
			sample: with(sgxSample, func(s *sample) { s.quote = "quote_v3_ecdsa_p256_eppid.bin" })},
		{name: "another CA instead of the TCB signing certificate", want: "is none for TCB data", collateral: true,
			sample: with(sgxSample, func(s *sample) { s.tcbChain = "tcb_info_v3_fmspc_00606A000000_certs_bad.pem" })},
		{name: "TCB info of another platform", want: "TCB info is for FMSPC", collateral: true,
			sample: with(tdxSample, func(s *sample) { s.quote = "quote_v4_tdx_ecdsa_p256_out_of_date.bin" })},
		{name: "before the PCK certificate was issued", want: "PCK chain: certificate",
			sample: with(tdxSample, func(s *sample) { s.at = time.Date(2024, 9, 2, 7, 15, 53, 0, time.UTC) })},
		{name: "TCB info of SGX for a TDX quote", want: `it is "SGX" version 3, want "TDX"`, collateral: true,
			sample: with(tdxSample, func(s *sample) { s.tcbInfo = sgxSample.tcbInfo })},
		{name: "QE identity of SGX for a TDX quote", want: `it is "QE" version 2, want "TD_QE"`, collateral: true,
			sample: with(tdxSample, func(s *sample) { s.qe = sgxSample.qe })},
		{name: "an SGX quote that claims to be TDX", want: "the evidence says",
			sample: with(sgxSample, func(s *sample) { s.kind = attest.TypeTDX })},
		{name: "a TDX 1.5 quote with a TCB signing certificate that ended", want: "ended at 2025-05-21", collateral: true,
			sample: with(tdxSample, func(s *sample) {
				s.quote, s.tcbInfo, s.at = "quote_v5_sample.dat", "sample_tcbinfo_response_v5", time.Date(2026, 2, 10, 0, 0, 0, 0, time.UTC)
			})},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Verifier{}.Verify(tt.evidence(t), tt.at)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
			if errors.Is(err, attest.ErrCollateral) != tt.collateral {
				t.Errorf("%v: is a collateral error: %v, want %v", err, !tt.collateral, tt.collateral)
			}
		})
	}
}

// The collateral that belongs to this sample ended: what can be held against real
// bytes of TDX 1.5 is the way from Intel's root to the body. The rest of it is
// tested against a generated root.
func TestRealTDX15QuoteIsSigned(t *testing.T) {
	value, err := os.ReadFile(testdata.Path(t, "evidence/sgx-tdx/quote_v5_sample.dat"))
	if err != nil {
		t.Fatal(err)
	}
	q, err := parseQuote(value)
	if err != nil {
		t.Fatal(err)
	}
	span := &validity{at: time.Date(2026, 2, 10, 0, 0, 0, 0, time.UTC)}
	certs, err := Verifier{}.chain("PCK chain", bytes.TrimSuffix(q.chain, []byte{0}), 3, span)
	if err != nil {
		t.Fatal(err)
	}
	if err := q.checkSignatures(certs[0].PublicKey); err != nil {
		t.Fatal(err)
	}
	p, err := parsePCK(certs[0])
	if err != nil {
		t.Fatal(err)
	}
	if got, want := p.fmspc.String(), "90c06f000000"; got != want {
		t.Errorf("FMSPC %s, want %s", got, want)
	}
	if d := domainReport(q.body); len(d.tcbSVNs()) != 2 || d.debug() {
		t.Errorf("got %d TCBs, debug %v", len(d.tcbSVNs()), d.debug())
	}
}

// A policy for the real SGX quote, and each thing by which it would not do.
func TestAPolicyForTheRealSGXQuote(t *testing.T) {
	r, err := Verifier{}.Verify(sgxSample.evidence(t), sgxSample.at)
	if err != nil {
		t.Fatal(err)
	}
	policy := func() attest.Policy {
		return attest.Policy{
			Accept:                   []attest.Identity{{Kind: attest.KindSGX, Measurements: r.Measurements, Signer: r.Signer, MinTCB: map[string]uint64{"evaluation": 13}}},
			Roots:                    []attest.Digest{IntelRoot()},
			TCB:                      []attest.TCBStatus{attest.TCBUpToDate, attest.TCBSWHardeningNeeded},
			Advisories:               []string{"INTEL-SA-00615", "INTEL-SA-00657"},
			MaxCollateralAge:         attest.Duration(30 * 24 * time.Hour),
			AllowUncheckedRevocation: true,
		}
	}
	if err := policy().Judge(r, r.ReportData); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*attest.Policy, *attest.Result){
		"another program": func(p *attest.Policy, _ *attest.Result) {
			p.Accept[0].Measurements = map[string]attest.Hex{"mrenclave": make([]byte, 32)}
		},
		"another signer":             func(p *attest.Policy, _ *attest.Result) { p.Accept[0].Signer = make([]byte, 32) },
		"only what is up to date":    func(p *attest.Policy, _ *attest.Result) { p.TCB = p.TCB[:1] },
		"one advisory not tolerated": func(p *attest.Policy, _ *attest.Result) { p.Advisories = p.Advisories[1:] },
		"a later recovery":           func(p *attest.Policy, _ *attest.Result) { p.Accept[0].MinTCB["evaluation"] = 14 },
		"fresher collateral":         func(p *attest.Policy, _ *attest.Result) { p.MaxCollateralAge = attest.Duration(time.Hour) },
		"revocation lists":           func(p *attest.Policy, _ *attest.Result) { p.AllowUncheckedRevocation = false },
		"another root":               func(p *attest.Policy, _ *attest.Result) { p.Roots = []attest.Digest{{1}} },
		"another connection":         func(_ *attest.Policy, r *attest.Result) { r.ReportData[0] ^= 1 },
	} {
		p, changed := policy(), r
		change(&p, &changed)
		if err := p.Judge(changed, r.ReportData); !errors.Is(err, attest.ErrNotAcceptable) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
