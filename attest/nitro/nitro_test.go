package nitro

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"
	"github.com/google/go-cmp/cmp"

	"github.com/secure-signer/secure-signer/attest"
	"github.com/secure-signer/secure-signer/internal/forge"
	"github.com/secure-signer/secure-signer/internal/testdata"
)

// The real documents, with the times that they bear.
var samples = []struct {
	file  string
	at    time.Time
	debug bool
	pcr0  string
	user  string
}{
	{"sample_prod_doc.bin", time.UnixMilli(1695337797673), false, "0f0b6b3e", "Hello World!\n"},
	{"sample_prod_doc_with_publickey.bin", time.UnixMilli(1616602241734), false, "672cd3c9", ""},
	{"sample_attestation_doc_full.bin", time.UnixMilli(1706120065635), true, "00000000", "Hello World!\n"},
}

func read(t testing.TB, file string) attest.Evidence {
	t.Helper()
	value, err := os.ReadFile(filepath.Join(testdata.Path(t, "evidence/nitro"), file))
	if err != nil {
		t.Fatal(err)
	}
	return attest.Evidence{Type: attest.TypeNitro, Value: value}
}

func TestRealDocuments(t *testing.T) {
	for _, s := range samples {
		t.Run(s.file, func(t *testing.T) {
			now := s.at.AddDate(1, 0, 0)
			got, err := Verifier{}.Verify(read(t, s.file), now)
			if err != nil {
				t.Fatal(err)
			}
			if got.Kind != attest.KindNitro || got.Root != AWSRoot() || got.TCB != attest.TCBUnrated || got.Revocation != attest.RevocationNone {
				t.Errorf("got %+v", got)
			}
			if got.Debug != s.debug || !strings.HasPrefix(got.Measurements["pcr0"].String(), s.pcr0) || len(got.Measurements) != 3 {
				t.Errorf("debug %v, measurements %v", got.Debug, got.Measurements)
			}
			if !got.IssuedAt.Equal(s.at) || !got.VerifiedAt.Equal(now) {
				t.Errorf("issued %v, verified for %v", got.IssuedAt, got.VerifiedAt)
			}
			if string(got.Details["user_data"]) != s.user || got.ReportData != (attest.ReportData{}) {
				t.Errorf("user data %q, report data %v", got.Details["user_data"], got.ReportData)
			}
		})
	}
}

// A policy that wants what the production document says accepts its identity
// for five minutes, and the debug document never.
func TestAPolicyDecidesAboutAgeAndDebug(t *testing.T) {
	judge := func(file string, at time.Time) string {
		r, err := Verifier{}.Verify(read(t, file), at)
		if err != nil {
			t.Fatal(err)
		}
		r.ReportData = attest.ReportData{1} // these documents bind none
		p := attest.Policy{
			Accept:           []attest.Identity{{Kind: attest.KindNitro, Measurements: r.Measurements, Signer: r.Signer}},
			Roots:            []attest.Digest{AWSRoot()},
			TCB:              []attest.TCBStatus{attest.TCBUnrated},
			MaxAge:           attest.Duration(5 * time.Minute),
			MaxCollateralAge: attest.Duration(time.Hour),
		}
		var refusal *attest.Refusal
		if !errors.As(p.Judge(r, attest.ReportData{1}), &refusal) {
			return ""
		}
		var codes []string
		for _, reason := range refusal.Reasons {
			codes = append(codes, reason.Code)
		}
		return strings.Join(codes, " ")
	}
	prod, debug := samples[0], samples[2]
	if got := judge(prod.file, prod.at.Add(4*time.Minute)); got != "" {
		t.Errorf("fresh: %s", got)
	}
	if got := judge(prod.file, prod.at.Add(6*time.Minute)); got != attest.CodeAge {
		t.Errorf("stale: %s", got)
	}
	if got := judge(prod.file, prod.at.Add(-6*time.Minute)); got != attest.CodeAge {
		t.Errorf("of the future: %s", got)
	}
	if got := judge(debug.file, debug.at); got != attest.CodeDebug {
		t.Errorf("debug: %s", got)
	}
}

// forged makes what a verifier of the forge's root accepts, unless the test has
// changed something.
func forged(f *forge.Document) (attest.Evidence, Verifier) {
	ev, root := f.Make()
	return ev, Verifier{Roots: []attest.Digest{root}}
}

func mustCBOR(t testing.TB, v any) []byte {
	t.Helper()
	b, err := cbor.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestADocumentSaysWhatRan(t *testing.T) {
	ev, v := forged(forge.NewDocument())
	got, err := v.Verify(ev, forge.Time)
	if err != nil {
		t.Fatal(err)
	}
	want := attest.Result{
		Kind:         attest.KindNitro,
		Measurements: map[string]attest.Hex{"pcr0": forge.PCR(1), "pcr1": forge.PCR(2), "pcr2": forge.PCR(3)},
		Details:      map[string]attest.Hex{"pcr3": forge.PCR(0), "user_data": bytes.Repeat([]byte{5}, 64)},
		Signer:       forge.PCR(4),
		TCB:          attest.TCBUnrated,
		Revocation:   attest.RevocationNone,
		Root:         v.Roots[0],
		IssuedAt:     forge.Time,
		VerifiedAt:   forge.Time,
		ReportData:   attest.ReportData(bytes.Repeat([]byte{5}, 64)),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestForgeriesAreRefused(t *testing.T) {
	tests := []struct {
		name   string
		change func(*forge.Document)
		want   string
	}{
		{"a stranger's signature", func(f *forge.Document) {
			f.Key, _ = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
		}, "did not sign it"},
		{"another payload", func(f *forge.Document) {
			other := forge.NewDocument()
			other.Payload = maps.Clone(f.Payload)
			other.Payload["module_id"] = "i-1-enc1"
			f.Message = []any{nil, nil, mustCBOR(t, other.Payload), nil}
		}, "did not sign it"},
		{"another algorithm", func(f *forge.Document) { f.Message = []any{[]byte{0xa1, 1, 0x26}, nil, nil, nil} }, "must say ES384"},
		{"an unprotected header", func(f *forge.Document) { f.Message = []any{nil, map[int]int{4: 1}, nil, nil} }, "must say ES384"},
		{"null for the unprotected header", func(f *forge.Document) { f.Message = []any{nil, cbor.RawMessage{0xf6}, nil, nil} }, "must say ES384"},
		{"an empty signature", func(f *forge.Document) { f.Message = []any{nil, nil, nil, []byte{}} }, "none of ES384"},
		{"a signature of P-256", func(f *forge.Document) { f.Message = []any{nil, nil, nil, make([]byte, 64)} }, "none of ES384"},
		{"before the certificates are valid", func(f *forge.Document) { f.Payload["timestamp"] = uint64(forge.Time.Add(-2 * time.Hour).UnixMilli()) }, "not yet valid"},
		{"after the certificates ended", func(f *forge.Document) { f.Payload["timestamp"] = uint64(forge.Time.Add(2 * time.Hour).UnixMilli()) }, "expired"},
		{"no time", func(f *forge.Document) { f.Payload["timestamp"] = uint64(0) }, "timestamp 0"},
		{"a time beyond all numbers", func(f *forge.Document) { f.Payload["timestamp"] = uint64(1 << 63) }, "timestamp 9223372036854775808"},
		{"no module", func(f *forge.Document) { f.Payload["module_id"] = "" }, "no module_id"},
		{"another digest", func(f *forge.Document) { f.Payload["digest"] = "SHA256" }, `digest "SHA256"`},
		{"no PCR1", func(f *forge.Document) { f.Payload["pcrs"] = map[uint64][]byte{0: forge.PCR(1), 2: forge.PCR(1)} }, "no pcr1"},
		{"no PCRs", func(f *forge.Document) { delete(f.Payload, "pcrs") }, "no pcr"},
		{"a PCR of 32 bytes", func(f *forge.Document) {
			f.Payload["pcrs"] = map[uint64][]byte{0: forge.PCR(1), 1: forge.PCR(1), 2: forge.PCR(1)[:32]}
		}, "pcr2 of 32 bytes"},
		{"PCR 32", func(f *forge.Document) {
			f.Payload["pcrs"] = map[uint64][]byte{0: forge.PCR(1), 1: forge.PCR(1), 2: forge.PCR(1), 32: forge.PCR(1)}
		}, "pcr32 of"},
		{"a member that nobody knows", func(f *forge.Document) { f.Payload["debug"] = false }, "unknown field"},
		{"no CA bundle", func(f *forge.Document) { f.Payload["cabundle"] = [][]byte{} }, "no cabundle"},
		{"no certificate", func(f *forge.Document) { f.Payload["certificate"] = []byte{} }, "certificate:"},
		{"the leaf issued by the root", func(f *forge.Document) { f.Payload["cabundle"] = [][]byte{f.Chain[2].Raw} }, "unknown authority"},
		{"the CA bundle the wrong way round", func(f *forge.Document) { f.Payload["cabundle"] = [][]byte{f.Chain[1].Raw, f.Chain[2].Raw} }, "not trusted"},
		{"a certificate that may not sign", func(f *forge.Document) { *f = *forge.NewDocumentWith(x509.KeyUsageCertSign) }, "none of an enclave"},
		{"a CA's certificate as the enclave's", func(f *forge.Document) {
			f.Payload["certificate"], f.Payload["cabundle"] = f.Chain[1].Raw, [][]byte{f.Chain[2].Raw}
		}, "none of an enclave"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := forge.NewDocument()
			tt.change(f)
			ev, v := forged(f)
			got, err := v.Verify(ev, forge.Time)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
			if diff := cmp.Diff(attest.Result{}, got); diff != "" {
				t.Errorf("a result beside the error: %s", diff)
			}
		})
	}
}

func TestOneZeroMeasurementIsDebug(t *testing.T) {
	for index := range uint64(3) {
		f := forge.NewDocument()
		f.Payload["pcrs"].(map[uint64][]byte)[index] = forge.PCR(0)
		ev, v := forged(f)
		got, err := v.Verify(ev, forge.Time)
		if err != nil || !got.Debug {
			t.Errorf("pcr%d zero: debug %v, %v", index, got.Debug, err)
		}
	}
}

func TestAnUnsignedImageHasNoSigner(t *testing.T) {
	f := forge.NewDocument()
	f.Payload["pcrs"].(map[uint64][]byte)[8] = forge.PCR(0)
	ev, v := forged(f)
	if got, err := v.Verify(ev, forge.Time); err != nil || got.Signer != nil {
		t.Errorf("got %v, %v", got.Signer, err)
	}
}

func TestAStrangersRootWithTheRightNamesIsRefused(t *testing.T) {
	ev, _ := forged(forge.NewDocument())
	if _, err := (Verifier{}).Verify(ev, forge.Time); err == nil || !strings.Contains(err.Error(), "not trusted, whatever its name") {
		t.Errorf("got %v", err)
	}
}

func TestADocumentHasOneFormOnly(t *testing.T) {
	ev, v := forged(forge.NewDocument())
	good := ev.Value
	if good[0] != 0x84 || good[1] != 0x44 {
		t.Fatalf("begins with %x", good[:2])
	}
	for name, value := range map[string][]byte{
		"with a tag":                       append([]byte{0xd2}, good...),
		"a length longer than needed":      slices.Concat([]byte{0x84, 0x58, 4}, good[2:]),
		"the array's length longer":        append([]byte{0x98, 4}, good[1:]...),
		"an array of indefinite length":    append(append([]byte{0x9f}, good[1:]...), 0xff),
		"something after it":               append(bytes.Clone(good), 0),
		"three parts":                      mustCBOR(t, []any{[]byte(es384), map[int]int{}, []byte{}}),
		"five parts":                       mustCBOR(t, []any{[]byte(es384), map[int]int{}, []byte{}, []byte{}, 1}),
		"nothing":                          {},
		"an unprotected header of 2 bytes": slices.Concat(good[:6], []byte{0xb8, 0}, good[7:]),
	} {
		ev.Value = value
		if _, err := v.Verify(ev, forge.Time); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	ev.Value = good
	ev.Collateral = map[string][]byte{"more": {1}}
	if _, err := v.Verify(ev, forge.Time); !errors.Is(err, attest.ErrCollateral) {
		t.Errorf("collateral that nobody asked for: %v", err)
	}
	ev.Collateral, ev.Type = nil, attest.TypeSGX
	if _, err := v.Verify(ev, forge.Time); err == nil {
		t.Error("another type: accepted")
	}
}

// Signed, and still not read: an honest enclave writes nothing like it.
func TestAPayloadIsReadStrictly(t *testing.T) {
	f := forge.NewDocument()
	plain := mustCBOR(t, f.Payload)
	twice := slices.Concat([]byte{plain[0] + 1}, plain[1:], mustCBOR(t, "timestamp"), mustCBOR(t, uint64(1)))
	indefinite := slices.Concat([]byte{0xbf}, plain[1:], []byte{0xff})
	timestamp := mustCBOR(t, "timestamp")
	tagged := bytes.Replace(plain, timestamp, append(bytes.Clone(timestamp), 0xc1), 1)
	for want, payload := range map[string][]byte{"duplicate": twice, "indefinite": indefinite, "tag": tagged} {
		f.Message = []any{nil, nil, payload, f.Sign([]byte(es384), payload)}
		ev, v := forged(f)
		if _, err := v.Verify(ev, forge.Time); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	large := attest.Evidence{Type: attest.TypeNitro, Value: make([]byte, maxDocument+1)}
	if _, err := (Verifier{}).Verify(large, forge.Time); err == nil || !strings.Contains(err.Error(), "at most 16384 are read") {
		t.Errorf("got %v", err)
	}
}

// One bit of each byte by default, all with SECURE_SIGNER_LONG=1.
func TestNoByteCanBeChanged(t *testing.T) {
	if testing.Short() {
		t.Skip("only repeats itself")
	}
	for _, s := range samples {
		t.Run(s.file, func(t *testing.T) {
			t.Parallel()
			ev := read(t, s.file)
			whole := ev.Value
			for i := range whole {
				for bit := range 8 {
					if os.Getenv("SECURE_SIGNER_LONG") == "" && bit != i%8 {
						continue
					}
					ev.Value = bytes.Clone(whole)
					ev.Value[i] ^= 1 << bit
					if _, err := (Verifier{}).Verify(ev, s.at); err == nil {
						t.Errorf("accepted with bit %d of byte %d changed", bit, i)
					}
				}
				ev.Value = whole[:i]
				if _, err := (Verifier{}).Verify(ev, s.at); err == nil {
					t.Errorf("accepted %d of %d bytes", i, len(whole))
				}
			}
		})
	}
}

func FuzzDocument(f *testing.F) {
	doc := forge.NewDocument()
	ev, v := forged(doc)
	f.Add(ev.Value)
	f.Add(mustCBOR(f, doc.Payload))
	f.Fuzz(func(t *testing.T, value []byte) {
		changed := attest.Evidence{Type: attest.TypeNitro, Value: value}
		if _, err := v.Verify(changed, forge.Time); err == nil && !bytes.Equal(value, ev.Value) {
			t.Error("a document that the forge did not sign")
		}
		if d, err := parseDocument(value); err == nil {
			d.result()
			if _, err := d.chain(); err == nil && len(d.CABundle) == 0 {
				t.Error("a chain without a root")
			}
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	ev, v := forged(forge.NewDocument())
	for b.Loop() {
		if _, err := v.Verify(ev, forge.Time); err != nil {
			b.Fatal(err)
		}
	}
}
