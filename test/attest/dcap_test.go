package attest_test

import (
	"bytes"
	"crypto/x509"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-tdx-guest/abi"
	pb "github.com/google/go-tdx-guest/proto/tdx"
	tdxtest "github.com/google/go-tdx-guest/testing"
	tdxdata "github.com/google/go-tdx-guest/testing/testdata"
	"github.com/google/go-tdx-guest/verify"

	"github.com/secure-signer/secure-signer/attest"
	"github.com/secure-signer/secure-signer/attest/dcap"
	"github.com/secure-signer/secure-signer/internal/testdata"
)

func readEvidence(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(testdata.Path(t, "evidence/sgx-tdx"), name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// oracleTDX is what go-tdx-guest says, with the same collateral served to it.
func oracleTDX(ev attest.Evidence, fmspc string, at time.Time) error {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ev.Collateral[dcap.TCBChain])
	chain := url.QueryEscape(string(ev.Collateral[dcap.TCBChain]))
	responses := map[string]tdxtest.HTTPResponse{
		"https://api.trustedservices.intel.com/tdx/certification/v4/qe/identity": {
			Header: map[string][]string{"Sgx-Enclave-Identity-Issuer-Chain": {chain}}, Body: ev.Collateral[dcap.QEIdentity],
		},
		"https://api.trustedservices.intel.com/tdx/certification/v4/tcb?fmspc=" + fmspc: {
			Header: map[string][]string{"Tcb-Info-Issuer-Chain": {chain}}, Body: ev.Collateral[dcap.TCBInfo],
		},
	}
	return verify.RawTdxQuote(ev.Value, &verify.Options{GetCollateral: true, Getter: &tdxtest.Getter{Responses: responses}, Now: at, TrustedRoots: roots})
}

func tdxEvidence(t *testing.T) (attest.Evidence, time.Time) {
	return attest.Evidence{Type: attest.TypeTDX, Value: readEvidence(t, "quote_v4_tdx_ecdsa_p256.bin"), Collateral: map[string][]byte{
		dcap.TCBInfo:    readEvidence(t, "tcb_info_v3_tdx_fmspc_C0806F000000.json"),
		dcap.QEIdentity: readEvidence(t, "qe_identity_v2_tdx2.json"),
		dcap.TCBChain:   readEvidence(t, "tcb_info_v3_fmspc_00606A000000_certs.pem"),
	}}, time.Date(2024, 9, 10, 0, 0, 0, 0, time.UTC)
}

func TestTDXQuote(t *testing.T) {
	ev, at := tdxEvidence(t)
	got, err := dcap.Verifier{}.Verify(ev, at)
	if err != nil {
		t.Fatal(err)
	}
	if err := oracleTDX(ev, "c0806f000000", at); err != nil {
		t.Fatalf("the oracle: %v", err)
	}
	parsed, err := abi.QuoteToProto(ev.Value)
	if err != nil {
		t.Fatal(err)
	}
	body := parsed.(*pb.QuoteV4).TdQuoteBody
	for name, want := range map[string][]byte{
		"mrtd": body.MrTd, "rtmr0": body.Rtmrs[0], "rtmr1": body.Rtmrs[1], "rtmr2": body.Rtmrs[2], "rtmr3": body.Rtmrs[3],
	} {
		if !bytes.Equal(got.Measurements[name], want) {
			t.Errorf("%s: got %v, the oracle %x", name, got.Measurements[name], want)
		}
	}
	for name, want := range map[string][]byte{
		"mrseam": body.MrSeam, "attributes": body.TdAttributes, "xfam": body.Xfam, "mrconfigid": body.MrConfigId, "mrowner": body.MrOwner, "mrownerconfig": body.MrOwnerConfig,
	} {
		if !bytes.Equal(got.Details[name], want) {
			t.Errorf("%s: got %v, the oracle %x", name, got.Details[name], want)
		}
	}
	if !bytes.Equal(got.ReportData[:], body.ReportData) {
		t.Errorf("report data: got %v, the oracle %x", got.ReportData, body.ReportData)
	}
}

// The oracle's older sample, with its collateral and Intel's real revocation
// lists of the time: both find the platform older than every level.
func TestOlderTDXQuoteWithRevocationLists(t *testing.T) {
	at := time.Date(2023, 7, 1, 1, 0, 0, 0, time.UTC)
	ev := attest.Evidence{Type: attest.TypeTDX, Value: tdxdata.RawQuote, Collateral: map[string][]byte{
		dcap.TCBInfo:    tdxdata.TcbInfoBody,
		dcap.QEIdentity: tdxdata.QeIdentityBody,
		dcap.TCBChain:   readEvidence(t, "tcb_info_v3_fmspc_00606A000000_certs.pem"),
		dcap.PCKCRL:     tdxdata.PckCrlBody,
		dcap.RootCRL:    tdxdata.RootCrlBody,
	}}
	length, err := quoteLength(ev.Value)
	if err != nil {
		t.Fatal(err)
	}
	ev.Value = ev.Value[:length]
	ours := func() error { _, err := dcap.Verifier{}.Verify(ev, at); return err }
	if err := ours(); err == nil || !strings.Contains(err.Error(), "older than every TCB level") {
		t.Errorf("ours: %v", err)
	}
	oracle := verify.RawTdxQuote(ev.Value, &verify.Options{GetCollateral: true, CheckRevocations: true, Getter: tdxtest.TestGetter, Now: at})
	if oracle == nil || !strings.Contains(oracle.Error(), "no matching TCB level found") {
		t.Errorf("the oracle: %v", oracle)
	}

	// The lists were read: changed, swapped or late they are refused.
	real := ev.Collateral[dcap.PCKCRL]
	for name, list := range map[string][]byte{"changed": append(bytes.Clone(real[:len(real)-1]), real[len(real)-1]^1), "the root's": tdxdata.RootCrlBody} {
		ev.Collateral[dcap.PCKCRL] = list
		if err := ours(); err == nil || !strings.Contains(err.Error(), "PCK CRL") {
			t.Errorf("%s: %v", name, err)
		}
	}
	ev.Collateral[dcap.PCKCRL] = real
	at = time.Date(2023, 7, 8, 7, 26, 0, 0, time.UTC)
	if err := ours(); err == nil || !strings.Contains(err.Error(), "ended at") {
		t.Errorf("late: %v", err)
	}
}

// quoteLength cuts the padding that a kernel may leave behind a quote.
func quoteLength(quote []byte) (int, error) {
	parsed, err := abi.QuoteToProto(quote)
	if err != nil {
		return 0, err
	}
	return len(quote) - len(parsed.(*pb.QuoteV4).ExtraBytes), nil
}

// What the oracle refuses must be refused. Every byte is flipped beside the
// package itself, here every seventh.
func TestWhateverTheOracleRefusesOfAChangedQuote(t *testing.T) {
	ev, at := tdxEvidence(t)
	whole := ev.Value
	ours, oracle := 0, 0
	for i := 0; i < len(whole); i += 7 {
		ev.Value = bytes.Clone(whole)
		ev.Value[i] ^= 1 << (i % 8)
		if _, err := (dcap.Verifier{}).Verify(ev, at); err != nil {
			ours++
		} else {
			t.Errorf("byte %d changed: accepted", i)
		}
		if oracleTDX(ev, "c0806f000000", at) != nil {
			oracle++
		}
	}
	t.Logf("refused: ours %d, the oracle %d", ours, oracle)
	if oracle == 0 {
		t.Error("the oracle refuses nothing: it proves nothing")
	}
}
