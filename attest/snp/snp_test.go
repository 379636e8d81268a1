package snp

import (
	"bytes"
	"crypto/elliptic"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/secure-signer/secure-signer/attest"
	"github.com/secure-signer/secure-signer/internal/forge"
)

func vcek() *forge.Report { return forge.NewReport("Milan", VCEK) }
func vlek() *forge.Report { return forge.NewReport("Genoa", VLEK) }

// forged makes what a verifier of the forge's root accepts, unless the test has
// changed something.
func forged(f *forge.Report) (attest.Evidence, Verifier) {
	ev, root := f.Make()
	return ev, Verifier{Roots: map[Line]attest.Digest{Line(f.Line): root}}
}

func TestEveryLineWithEitherKey(t *testing.T) {
	for _, line := range []Line{Milan, Genoa, Turin} {
		for _, name := range []string{VCEK, VLEK} {
			t.Run(string(line)+" "+name, func(t *testing.T) {
				ev, v := forged(forge.NewReport(string(line), name))
				got, err := v.Verify(ev, forge.Time)
				if err != nil {
					t.Fatal(err)
				}
				versions := map[string]uint64{"bootloader": 3, "tee": 0, "snp": 20, "microcode": 209}
				if line == Turin {
					versions["fmc"] = 1
				}
				if diff := cmp.Diff(versions, got.TCBVersion); diff != "" {
					t.Error(diff)
				}
				if got.Kind != attest.KindSNP || got.TCB != attest.TCBUnrated || got.Debug || got.Migratable || got.Signer != nil || got.Root != v.Roots[line] {
					t.Errorf("got %+v", got)
				}
				if (len(got.HardwareID) == 64) != (name == VCEK) {
					t.Errorf("hardware %v", got.HardwareID)
				}
				if got.Revocation != attest.RevocationChecked || !got.ValidUntil.Equal(forge.Time.AddDate(0, 1, 0)) || !got.Collateral.Equal(forge.Time.AddDate(0, 0, -3)) {
					t.Errorf("revocation %s, valid until %v, collateral of %v", got.Revocation, got.ValidUntil, got.Collateral)
				}
			})
		}
	}
}

func TestAReportSaysWhatRan(t *testing.T) {
	f := vcek()
	binary.LittleEndian.PutUint32(f.Report, 2) // which names no CPU
	f.Report[0x188], f.Report[0x189] = 0, 0
	f.Report[0x04], f.Report[0x30], f.Report[0xE0], f.Report[0x110] = 7, 2, 8, 9
	f.Report[0x0A] |= 1<<2 | 1<<3
	ev, v := forged(f)
	got, err := v.Verify(ev, forge.Time)
	if err != nil {
		t.Fatal(err)
	}
	if got.SVN != 7 || got.Level != 2 || got.Signer[0] != 8 || got.Details["author_key_digest"][0] != 9 || !got.Debug || !got.Migratable {
		t.Errorf("got %+v", got)
	}
	want := map[string]attest.Hex{
		"measurement": append([]byte("measurement"), make([]byte, 37)...),
		"host_data":   append([]byte("host data"), make([]byte, 23)...),
	}
	if diff := cmp.Diff(want, got.Measurements); diff != "" {
		t.Error(diff)
	}
	if !strings.HasPrefix(string(got.ReportData[:]), "report data\x00") {
		t.Errorf("report data %v", got.ReportData)
	}
}

func TestEachPolicyBitIsReadAlone(t *testing.T) {
	for bit, want := range map[int][2]bool{16: {}, 17: {}, 18: {false, true}, 19: {true, false}, 20: {}} {
		f := vcek()
		binary.LittleEndian.PutUint64(f.Report[0x08:], 1<<bit)
		ev, v := forged(f)
		got, err := v.Verify(ev, forge.Time)
		if err != nil {
			t.Fatal(err)
		}
		if got.Debug != want[0] || got.Migratable != want[1] {
			t.Errorf("bit %d: debug %v, migratable %v, want %v", bit, got.Debug, got.Migratable, want)
		}
	}
}

func TestForgeriesAreRefused(t *testing.T) {
	tests := []struct {
		name   string
		forge  *forge.Report
		change func(*forge.Report)
		want   string
	}{
		{"a stranger's signature", vcek(), func(f *forge.Report) { f.Stranger = true }, "did not sign it"},
		{"a changed report", vcek(), func(f *forge.Report) { f.Unsigned = func(b []byte) { b[0x90] ^= 1 } }, "did not sign it"},
		{"a signature of zeros", vcek(), func(f *forge.Report) { f.Unsigned = func(b []byte) { clear(b[signedSize:]) } }, "did not sign it"},
		{"a key on P-256", vcek(), func(f *forge.Report) { f.Curve = elliptic.P256() }, "not on P-384"},
		{"something after the first number", vcek(), func(f *forge.Report) { f.Unsigned = func(b []byte) { b[signedSize+48] = 1 } }, "other than zeros"},
		{"something after the second number", vcek(), func(f *forge.Report) { f.Unsigned = func(b []byte) { b[signedSize+numberSize+71] = 1 } }, "other than zeros"},
		{"something after the signature", vcek(), func(f *forge.Report) { f.Unsigned = func(b []byte) { b[reportSize-1] = 1 } }, "other than zeros"},
		{"the VCEK of another chip", vcek(), func(f *forge.Report) { f.Chip[63]++ }, "another chip"},
		{"a masked chip", vcek(), func(f *forge.Report) { clear(f.Report[0x1A0:0x1E0]) }, "masks the chip"},
		{"a VCEK without a chip", vcek(), func(f *forge.Report) { f.Chip = nil }, "no extension"},
		{"a VCEK and a report of chip zero", vcek(), func(f *forge.Report) { f.Chip = make([]byte, 64); clear(f.Report[0x1A0:0x1E0]) }, "or zero"},
		{"a chip of 8 bytes before Turin", vcek(), func(f *forge.Report) { f.Chip = f.Chip[:8] }, "not 64 bytes"},
		{"the VCEK of an older bootloader", vcek(), func(f *forge.Report) { f.TCB[1]-- }, "bootloader 3, the vcek is for 2"},
		{"the VCEK of an older TEE", vcek(), func(f *forge.Report) { f.Report[0x181] = 1 }, "tee 1, the vcek is for 0"},
		{"the VCEK of newer SNP firmware", vcek(), func(f *forge.Report) { f.TCB[3]++ }, "snp 20, the vcek is for 21"},
		{"the VCEK of other microcode", vcek(), func(f *forge.Report) { f.TCB[8]-- }, "microcode 209, the vcek is for 208"},
		{"the VCEK of another FMC", forge.NewReport("Turin", VCEK), func(f *forge.Report) { f.TCB[9]++ }, "fmc 1, the vcek is for 2"},
		{"a VCEK of Turin without FMC", forge.NewReport("Turin", VCEK), func(f *forge.Report) { delete(f.TCB, 9) }, "no extension"},
		{"a VCEK without a TCB", vcek(), func(f *forge.Report) { delete(f.TCB, 3) }, "no extension"},
		{"a VCEK of a version beyond a byte", vcek(), func(f *forge.Report) { f.TCB[8] = 256 }, "no number up to 255"},
		{"the VLEK of another TCB", vlek(), func(f *forge.Report) { f.TCB[8]-- }, "the vlek is for 208"},
		{"a report by the VLEK with a VCEK", vcek(), func(f *forge.Report) { f.Report[0x48] = 1 << 2 }, "signed with key 1"},
		{"a report by the VCEK with a VLEK", vlek(), func(f *forge.Report) { f.Report[0x48] = 0 }, "signed with key 0"},
		{"a report by no key", vcek(), func(f *forge.Report) { f.Report[0x48] = 7 << 2 }, "signed with key 7"},
		{"a CPU of another line", vcek(), func(f *forge.Report) { f.Report[0x189] = 0x11 }, "the CPU is of Genoa"},
		{"a CPU of an unknown line", vcek(), func(f *forge.Report) { f.Report[0x188] = 0x17 }, "the CPU is of unknown"},
		{"version 1", vcek(), func(f *forge.Report) { f.Report[0] = 1 }, "version 1"},
		{"version 6", vcek(), func(f *forge.Report) { f.Report[0] = 6 }, "version 6"},
		{"another algorithm", vcek(), func(f *forge.Report) { f.Report[0x34] = 2 }, "signature algorithm 2"},
		{"certificates signed without PSS", vcek(), func(f *forge.Report) { f.Algorithm = x509.SHA384WithRSA }, "AMD signs with RSASSA-PSS"},
		{"an ended VCEK", vcek(), func(f *forge.Report) { f.Until = forge.Time.Add(-time.Second) }, "expired"},
		{"the ASK for VLEKs below a VCEK", vcek(), func(f *forge.Report) { f.Names["ask"] = "SEV-VLEK-Milan" }, `want "SEV-Milan"`},
		{"the ASK for VCEKs below a VLEK", vlek(), func(f *forge.Report) { f.Names["ask"] = "SEV-Genoa" }, `want "SEV-VLEK-Genoa"`},
		{"another certificate as the VCEK", vcek(), func(f *forge.Report) { f.Names["leaf"] = "SEV-VLEK" }, `want "SEV-VCEK"`},
		{"a revoked ASK", vcek(), func(f *forge.Report) { f.Revoked = true }, "AMD revoked"},
		{"a stale list", vcek(), func(f *forge.Report) { f.CRLUntil = forge.Time.Add(-time.Second) }, "fetch it again"},
		{"a list by the ASK", vcek(), func(f *forge.Report) { f.CRLByASK = true }, "crl"},
		{"no ASK", vcek(), func(f *forge.Report) { f.Tamper = func(ev *attest.Evidence) { delete(ev.Collateral, ASK) } }, "ask did not come"},
		{"neither VCEK nor VLEK", vcek(), func(f *forge.Report) { f.Tamper = func(ev *attest.Evidence) { delete(ev.Collateral, VCEK) } }, "one of vcek and vlek"},
		{"both VCEK and VLEK", vcek(), func(f *forge.Report) {
			f.Tamper = func(ev *attest.Evidence) { ev.Collateral[VLEK] = ev.Collateral[VCEK] }
		}, "one of vcek and vlek"},
		{"certificates after the report", vcek(), func(f *forge.Report) {
			f.Tamper = func(ev *attest.Evidence) { ev.Value = append(ev.Value, ev.Collateral[VCEK]...) }
		}, "want 1184"},
		{"another type", vcek(), func(f *forge.Report) { f.Tamper = func(ev *attest.Evidence) { ev.Type = attest.TypeSGX } }, "use the verifier for that type"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.change(tt.forge)
			ev, v := forged(tt.forge)
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

func TestAStrangersRootWithTheRightNamesIsRefused(t *testing.T) {
	ev, _ := forged(vcek())
	if _, err := (Verifier{}).Verify(ev, forge.Time); err == nil || !strings.Contains(err.Error(), "not trusted, whatever its name") {
		t.Errorf("got %v", err)
	}
}

func TestTheChipMayBeAnOctetString(t *testing.T) {
	f := vcek()
	f.Chip = append([]byte{4, 64}, f.Chip...)
	ev, v := forged(f)
	if _, err := v.Verify(ev, forge.Time); err != nil {
		t.Error(err)
	}
	f.Chip[1] = 63
	ev, v = forged(f)
	if _, err := v.Verify(ev, forge.Time); err == nil {
		t.Error("accepted with another length")
	}
}

func TestAMissingListIsTold(t *testing.T) {
	f := vcek()
	f.CRL = false
	ev, v := forged(f)
	got, err := v.Verify(ev, forge.Time)
	if err != nil || got.Revocation != attest.RevocationUnchecked || !got.ValidUntil.Equal(f.Until) {
		t.Errorf("got %s until %v, %v", got.Revocation, got.ValidUntil, err)
	}
}

// A policy must name each version of an unrated TCB, and each is compared.
func TestAPolicyMustSayWhichVersionsAreEnough(t *testing.T) {
	ev, v := forged(vcek())
	r, err := v.Verify(ev, forge.Time)
	if err != nil {
		t.Fatal(err)
	}
	p := attest.Policy{
		Accept:           []attest.Identity{{Kind: attest.KindSNP, Measurements: r.Measurements, MinTCB: maps.Clone(r.TCBVersion)}},
		Roots:            []attest.Digest{r.Root},
		TCB:              []attest.TCBStatus{attest.TCBUnrated},
		MaxCollateralAge: attest.Duration(30 * 24 * time.Hour),
	}
	if err := p.Judge(r, r.ReportData); err != nil {
		t.Fatal(err)
	}
	for name := range r.TCBVersion {
		least := maps.Clone(r.TCBVersion)
		p.Accept[0].MinTCB = least
		delete(least, name)
		if err := p.Judge(r, r.ReportData); !errors.Is(err, attest.ErrNotAcceptable) {
			t.Errorf("%s not named: %v", name, err)
		}
		least[name] = r.TCBVersion[name] + 1
		if err := p.Judge(r, r.ReportData); !errors.Is(err, attest.ErrNotAcceptable) {
			t.Errorf("%s too old: %v", name, err)
		}
	}
}

// One bit of each byte by default, all with SECURE_SIGNER_LONG=1. AMD's own
// sample goes through the same in the test module.
func TestNoByteCanBeChanged(t *testing.T) {
	if testing.Short() {
		t.Skip("only repeats itself")
	}
	for _, f := range []*forge.Report{vcek(), forge.NewReport("Turin", VLEK)} {
		ev, v := forged(f)
		parts := maps.Clone(ev.Collateral)
		parts[""] = ev.Value
		for name, part := range parts {
			for i := range part {
				for bit := range 8 {
					if os.Getenv("SECURE_SIGNER_LONG") == "" && bit != i%8 {
						continue
					}
					flipped := bytes.Clone(part)
					flipped[i] ^= 1 << bit
					changed := attest.Evidence{Type: ev.Type, Value: ev.Value, Collateral: maps.Clone(ev.Collateral)}
					if name == "" {
						changed.Value = flipped
					} else {
						changed.Collateral[name] = flipped
					}
					if _, err := v.Verify(changed, forge.Time); err == nil {
						t.Errorf("%s: accepted %q with bit %d of byte %d changed", f.Line, name, bit, i)
					}
				}
			}
		}
	}
}

func FuzzReport(f *testing.F) {
	ev, v := forged(vcek())
	f.Add(ev.Value)
	f.Fuzz(func(t *testing.T, b []byte) {
		changed := ev
		changed.Value = b
		if _, err := v.Verify(changed, forge.Time); err == nil && !bytes.Equal(b, ev.Value) {
			t.Error("a report that the forge did not sign")
		}
		if r, err := parseReport(b); err == nil {
			r.line()
			r.result(Milan)
			r.result(Turin)
		}
	})
}

func FuzzEndorsement(f *testing.F) {
	ev, _ := forged(vcek())
	f.Add(ev.Collateral[VCEK])
	f.Fuzz(func(t *testing.T, der []byte) {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return
		}
		for _, line := range []Line{Milan, Turin} {
			e, err := parseEndorsement(c, VCEK, line)
			if err == nil && (len(e.chip) != 64 || slices.Max(slices.Collect(maps.Values(e.tcb))) > 255) {
				t.Errorf("got %+v", e)
			}
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	ev, v := forged(vcek())
	for b.Loop() {
		if _, err := v.Verify(ev, forge.Time); err != nil {
			b.Fatal(err)
		}
	}
}
