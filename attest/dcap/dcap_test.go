package dcap

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/secure-signer/secure-signer/attest"
	"github.com/secure-signer/secure-signer/internal/forge"
)

func sgx() *forge.Quote { return forge.NewQuote(attest.KindSGX, 3, 0) }
func tdx() *forge.Quote { return forge.NewQuote(attest.KindTDX, 4, 0) }
func td5() *forge.Quote { return forge.NewQuote(attest.KindTDX, 5, 3) }

// forged makes what a verifier of the forge's roots accepts, unless the test has
// changed something.
func forged(f *forge.Quote) (attest.Evidence, Verifier) {
	ev, roots := f.Make()
	return ev, Verifier{Roots: roots}
}

func TestEveryVersionOfAQuoteIsRead(t *testing.T) {
	for _, f := range []*forge.Quote{
		forge.NewQuote(attest.KindSGX, 3, 0), forge.NewQuote(attest.KindSGX, 4, 0), forge.NewQuote(attest.KindSGX, 5, 1),
		forge.NewQuote(attest.KindTDX, 4, 0), forge.NewQuote(attest.KindTDX, 5, 2), forge.NewQuote(attest.KindTDX, 5, 3),
	} {
		t.Run(fmt.Sprintf("%s version %d body %d", f.Kind, f.Version, f.BodyType), func(t *testing.T) {
			copy(f.Body[len(f.Body)-1:], []byte{7})
			ev, v := forged(f)
			got, err := v.Verify(ev, forge.Time)
			if err != nil {
				t.Fatal(err)
			}
			if got.Kind != f.Kind || got.TCB != attest.TCBUpToDate || got.Debug || got.Revocation != attest.RevocationChecked || got.Root != v.Roots[0] {
				t.Errorf("got %+v", got)
			}
			if got.TCBVersion["evaluation"] != 22 {
				t.Errorf("evaluation %d, want the older of 23 and 22", got.TCBVersion["evaluation"])
			}
			if want := forge.Time.AddDate(0, 0, -12); !got.Collateral.Equal(want) {
				t.Errorf("oldest collateral of %v, want %v", got.Collateral, want)
			}
			if want := forge.Time.AddDate(0, 0, 10); !got.ValidUntil.Equal(want) {
				t.Errorf("valid until %v, want %v", got.ValidUntil, want)
			}
		})
	}
}

func TestTheReportSaysWhatRan(t *testing.T) {
	f := sgx()
	f.Body[48] |= 2
	f.Body[64], f.Body[128], f.Body[256], f.Body[258], f.Body[320] = 1, 2, 3, 4, 5
	ev, v := forged(f)
	got, err := v.Verify(ev, forge.Time)
	if err != nil {
		t.Fatal(err)
	}
	if !got.Debug || got.Measurements["mrenclave"][0] != 1 || got.Signer[0] != 2 || got.Product != 3 || got.SVN != 4 || got.ReportData[0] != 5 {
		t.Errorf("got %+v", got)
	}
	for bit, want := range map[int][2]bool{0: {true, false}, 1: {true, false}, 7: {true, false}, 29: {false, true}, 28: {false, false}} {
		f := td5()
		f.Body[120+bit/8] |= 1 << (bit % 8)
		f.Body[136], f.Body[328], f.Body[472], f.Body[520] = 1, 2, 3, 4
		ev, v := forged(f)
		got, err := v.Verify(ev, forge.Time)
		if err != nil {
			t.Fatal(err)
		}
		if got.Debug != want[0] || got.Migratable != want[1] {
			t.Errorf("attribute %d: debug %v, migratable %v, want %v", bit, got.Debug, got.Migratable, want)
		}
		if got.Measurements["mrtd"][0] != 1 || got.Measurements["rtmr0"][0] != 2 || got.Measurements["rtmr3"][0] != 3 || got.ReportData[0] != 4 {
			t.Errorf("got %+v", got)
		}
	}
}

// levels returns the list of levels of a document, to be changed.
func levels(doc any, i int) map[string]any {
	return doc.(map[string]any)["tcbLevels"].([]any)[i].(map[string]any)
}

func module(f *forge.Quote, i int) map[string]any {
	return f.TCB["tdxModuleIdentities"].([]any)[i].(map[string]any)
}

func TestTheStatusIsThatOfTheWorstPart(t *testing.T) {
	tests := []struct {
		name       string
		forge      *forge.Quote
		change     func(*forge.Quote)
		status     attest.TCBStatus
		advisories []string
	}{
		{"all up to date", sgx(), func(*forge.Quote) {}, attest.TCBUpToDate, nil},
		{"newer than the newest level", sgx(), func(f *forge.Quote) { f.CPUSVN[3], f.PCESVN = 9, 99 }, attest.TCBUpToDate, nil},
		{"one component older", sgx(), func(f *forge.Quote) { f.CPUSVN[1] = 4 }, attest.TCBOutOfDate, []string{"INTEL-SA-1", "INTEL-SA-2"}},
		{"the PCE older", sgx(), func(f *forge.Quote) { f.PCESVN = 12 }, attest.TCBOutOfDate, []string{"INTEL-SA-1", "INTEL-SA-2"}},
		{"the quoting enclave older", sgx(), func(f *forge.Quote) { f.QE[258] = 5 }, attest.TCBOutOfDate, []string{"INTEL-SA-4"}},
		{"the quoting enclave older, and configuration needed", sgx(), func(f *forge.Quote) {
			f.QE[258] = 5
			levels(f.TCB, 0)["tcbStatus"] = "ConfigurationNeeded"
		}, attest.TCBOutOfDateConfigurationNeeded, []string{"INTEL-SA-4"}},
		{"a TDX component older", tdx(), func(f *forge.Quote) { f.Body[2] = 6 }, attest.TCBOutOfDate, []string{"INTEL-SA-1", "INTEL-SA-2"}},
		{"the TDX module older", tdx(), func(f *forge.Quote) { f.Body[0] = 3 }, attest.TCBOutOfDate, []string{"INTEL-SA-3"}},
		{"a later TDX module starts again at low numbers", tdx(), func(f *forge.Quote) { f.Body[0], f.Body[1] = 4, 3 }, attest.TCBUpToDate, nil},
		{"a TDX module without version", tdx(), func(f *forge.Quote) { f.Body[0], f.Body[1] = 4, 0 }, attest.TCBOutOfDate, []string{"INTEL-SA-1", "INTEL-SA-2"}},
		{"a domain that started on an older module", td5(), func(f *forge.Quote) { f.Body[0] = 3 }, attest.TCBOutOfDate, []string{"INTEL-SA-3"}},
		{"a domain that now runs on an older module", td5(), func(f *forge.Quote) { f.Body[584] = 3 }, attest.TCBOutOfDate, []string{"INTEL-SA-3"}},
		{"revoked", sgx(), func(f *forge.Quote) { levels(f.TCB, 0)["tcbStatus"] = "Revoked" }, attest.TCBRevoked, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.change(tt.forge)
			ev, v := forged(tt.forge)
			got, err := v.Verify(ev, forge.Time)
			if err != nil {
				t.Fatal(err)
			}
			if got.TCB != tt.status {
				t.Errorf("got %s, want %s", got.TCB, tt.status)
			}
			if diff := cmp.Diff(tt.advisories, got.Advisories); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestForgeriesAreRefused(t *testing.T) {
	tests := []struct {
		name   string
		forge  *forge.Quote
		change func(*forge.Quote)
		want   string
	}{
		{"a quoting enclave of another signer", sgx(), func(f *forge.Quote) { f.QE[128] = 1 }, "not the one that Intel describes"},
		{"another enclave of Intel's as the quoting enclave", sgx(), func(f *forge.Quote) { f.QE[256] = 1 }, "not the one that Intel describes"},
		{"a quoting enclave in debug mode", sgx(), func(f *forge.Quote) { f.QE[48] |= 2 }, "not the one that Intel describes"},
		{"a quoting enclave in debug mode that the mask would let pass", sgx(), func(f *forge.Quote) {
			f.QE[48] |= 2
			f.Identity["attributesMask"] = "00000000000000000000000000000000"
		}, "not the one that Intel describes"},
		{"a quoting enclave with other attributes", sgx(), func(f *forge.Quote) { f.QE[49] = 1 }, "not the one that Intel describes"},
		{"a quoting enclave with other misc select", sgx(), func(f *forge.Quote) { f.QE[16] = 1 }, "not the one that Intel describes"},
		{"a mask that is too short", sgx(), func(f *forge.Quote) { f.Identity["attributesMask"] = "" }, "not the one that Intel describes"},
		{"a quoting enclave older than every level", sgx(), func(f *forge.Quote) { f.QE[258] = 4 }, "older than every level"},
		{"a quoting enclave that does not vouch for the key", sgx(), func(f *forge.Quote) { f.Vouch = func([]byte, []byte, []byte) {} }, "does not vouch"},
		{"a quoting enclave that vouches for something more", sgx(), func(f *forge.Quote) {
			vouch := f.Vouch
			f.Vouch = func(qe, key, auth []byte) { vouch(qe, key, auth); qe[383] = 1 }
		}, "does not vouch"},
		{"a platform older than every level", sgx(), func(f *forge.Quote) { f.CPUSVN[0] = 4 }, "older than every TCB level"},
		{"a PCE older than every level", sgx(), func(f *forge.Quote) { f.PCESVN = 11 }, "older than every TCB level"},
		{"a TDX module older than every level", tdx(), func(f *forge.Quote) { f.Body[0] = 1 }, "older than every level"},
		{"a TDX module of an unknown version", tdx(), func(f *forge.Quote) { f.Body[1] = 2 }, "lists none of version 2"},
		{"a TDX module of another signer", tdx(), func(f *forge.Quote) { f.Body[64] = 1 }, "not the one that Intel describes"},
		{"a TDX module in debug mode", tdx(), func(f *forge.Quote) { f.Body[112] = 1 }, "not the one that Intel describes"},
		{"a TDX module that nobody describes", tdx(), func(f *forge.Quote) { f.Body[1] = 0; delete(f.TCB, "tdxModule") }, "describes no TDX module"},
		{"the second TDX module of an unknown version", td5(), func(f *forge.Quote) { f.Body[585] = 9 }, "lists none of version 9"},
		{"an unknown status", sgx(), func(f *forge.Quote) { levels(f.TCB, 0)["tcbStatus"] = "Fine" }, "unknown here"},
		{"an unknown status of the quoting enclave", sgx(), func(f *forge.Quote) { levels(f.Identity, 0)["tcbStatus"] = "" }, "unknown here"},
		{"an unknown status of the TDX module", tdx(), func(f *forge.Quote) { levels(module(f, 1), 0)["tcbStatus"] = "fine" }, "unknown here"},
		{"a level with 15 components", sgx(), func(f *forge.Quote) {
			levels(f.TCB, 0)["tcb"] = map[string]any{"pcesvn": 13, "sgxtcbcomponents": forge.Components(5, 5)[:15]}
		}, "without 16 components"},
		{"a TDX level without components for TDX", tdx(), func(f *forge.Quote) {
			levels(f.TCB, 0)["tcb"] = map[string]any{"pcesvn": 13, "sgxtcbcomponents": forge.Components(5, 5)}
		}, "without 16 components"},
		{"no levels", sgx(), func(f *forge.Quote) { f.TCB["tcbLevels"] = []any{} }, "older than every TCB level"},
		{"TCB info of another platform", sgx(), func(f *forge.Quote) { f.FMSPC[0] = 9 }, "TCB info is for FMSPC"},
		{"TCB info of another PCE", sgx(), func(f *forge.Quote) { f.TCB["pceId"] = "0001" }, "TCB info is for FMSPC"},
		{"TCB info of version 2", sgx(), func(f *forge.Quote) { f.TCB["version"] = 2 }, "want \"SGX\" version 3"},
		{"TCB info of another type", sgx(), func(f *forge.Quote) { f.TCB["tcbType"] = 1 }, "TCB type 1"},
		{"QE identity of the provisioning enclave", sgx(), func(f *forge.Quote) { f.Identity["id"] = "QVE" }, "want \"QE\""},
		{"stale TCB info", sgx(), func(f *forge.Quote) { f.TCB["nextUpdate"] = forge.Time.Add(-time.Second) }, "tcb_info ended"},
		{"TCB info of the future", sgx(), func(f *forge.Quote) { f.TCB["issueDate"] = forge.Time.Add(time.Second) }, "tcb_info is valid from"},
		{"a stale QE identity", sgx(), func(f *forge.Quote) { f.Identity["nextUpdate"] = forge.Time.Add(-time.Second) }, "qe_identity ended"},
		{"a PCK certificate that ended", sgx(), func(f *forge.Quote) { f.PCKUntil = forge.Time.Add(-time.Second) }, "PCK chain"},
		{"a revoked PCK", sgx(), func(f *forge.Quote) { f.Revoked = []string{namePCK} }, "was revoked"},
		{"a revoked PCK CA", sgx(), func(f *forge.Quote) { f.Revoked = []string{namePlatform} }, "was revoked"},
		{"a revoked TCB signing certificate", sgx(), func(f *forge.Quote) { f.Revoked = []string{nameTCB} }, "was revoked"},
		{"stale revocation lists", sgx(), func(f *forge.Quote) { f.CRLUntil = forge.Time.Add(-time.Second) }, "CRL ended"},
		{"a root CRL by the CA", sgx(), func(f *forge.Quote) { f.WrongCRL = true }, "it is not by"},
		{"one revocation list left out", sgx(), func(f *forge.Quote) {
			f.Tamper = func(ev *attest.Evidence) { delete(ev.Collateral, PCKCRL) }
		}, "PCK CRL did not come"},
		{"the other revocation list left out", sgx(), func(f *forge.Quote) {
			f.Tamper = func(ev *attest.Evidence) { delete(ev.Collateral, RootCRL) }
		}, "root CRL did not come"},
		{"a TCB signing certificate as the PCK", sgx(), func(f *forge.Quote) { f.Names["pck"] = nameTCB }, "is none for a PCK"},
		{"a PCK certificate by some other CA of Intel's", sgx(), func(f *forge.Quote) { f.Names["ca"] = "Intel SGX Other CA" }, "is none for a PCK"},
		{"a PCK that signs TCB data", sgx(), func(f *forge.Quote) { f.Names["tcb"] = namePCK }, "is none for TCB data"},
		{"TCB data of another trusted root", sgx(), func(f *forge.Quote) { f.OtherRoot = true }, "another root"},
		{"an FMSPC that comes twice", sgx(), func(f *forge.Quote) {
			f.Extra = []forge.Attribute{forge.SGXAttribute([]byte{1, 2, 3, 4, 5, 6}, 4)}
		}, "not exactly one"},
		{"an FMSPC of 5 bytes", sgx(), func(f *forge.Quote) { f.FMSPC = f.FMSPC[:5] }, "is not 6 bytes"},
		{"a PCE SVN below zero", sgx(), func(f *forge.Quote) { f.PCESVN = -1 }, "is not a number"},
		{"collateral nobody asked for", sgx(), func(f *forge.Quote) {
			f.Tamper = func(ev *attest.Evidence) { ev.Collateral["more"] = []byte{1} }
		}, "is no part of it"},
		{"no TCB info", sgx(), func(f *forge.Quote) {
			f.Tamper = func(ev *attest.Evidence) { delete(ev.Collateral, TCBInfo) }
		}, "tcb_info did not come"},
		{"a quoting enclave of another vendor", sgx(), func(f *forge.Quote) { f.Vendor = strings.Repeat("x", 16) }, "quoting enclave is not Intel's"},
		{"an attestation key of another type", sgx(), func(f *forge.Quote) { f.KeyType = 3 }, "attestation key of type 3"},
		{"a quoting enclave that the PCK did not sign", sgx(), func(f *forge.Quote) { f.StrangerQE = true }, "PCK did not sign"},
		{"a quote that the attestation key did not sign", sgx(), func(f *forge.Quote) { f.Stranger = true }, "attestation key did not sign"},
		{"a PCK that the CA did not sign", sgx(), func(f *forge.Quote) { f.PCKByRoot = true }, "not each certificate is signed by the next"},
		{"text before the TCB signing chain", sgx(), func(f *forge.Quote) {
			f.Tamper = func(ev *attest.Evidence) {
				ev.Collateral[TCBChain] = append([]byte("Intel\n"), ev.Collateral[TCBChain]...)
			}
		}, "not plain PEM"},
		{"carriage returns in the TCB signing chain", sgx(), func(f *forge.Quote) {
			f.Tamper = func(ev *attest.Evidence) {
				ev.Collateral[TCBChain] = bytes.ReplaceAll(ev.Collateral[TCBChain], []byte("\n"), []byte("\r\n"))
			}
		}, "not plain PEM"},
		{"a third certificate after the TCB signing chain", sgx(), func(f *forge.Quote) {
			f.Tamper = func(ev *attest.Evidence) {
				ev.Collateral[TCBChain] = append(ev.Collateral[TCBChain], ev.Collateral[TCBChain]...)
			}
		}, "not plain PEM"},
		{"half of the TCB signing chain", sgx(), func(f *forge.Quote) {
			f.Tamper = func(ev *attest.Evidence) {
				ev.Collateral[TCBChain] = ev.Collateral[TCBChain][:len(ev.Collateral[TCBChain])/2]
			}
		}, "certificates, want 2"},
		{"a body of another size", td5(), func(f *forge.Quote) { f.Body = append(f.Body, 0) }, "body of 649 bytes"},
		{"an SGX body in a TDX quote", forge.NewQuote(attest.KindTDX, 5, 2), func(f *forge.Quote) { f.BodyType = 1 }, "is not read here"},
		{"SGX version 2", sgx(), func(f *forge.Quote) { f.Version = 2 }, "is not read here"},
		{"TDX version 3", tdx(), func(f *forge.Quote) { f.Version = 3 }, "is not read here"},
		{"version 6", tdx(), func(f *forge.Quote) { f.Version = 6 }, "is not read here"},
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

// The names are Intel's and every signature holds. Only the root differs.
func TestAStrangersRootWithTheRightNamesIsRefused(t *testing.T) {
	for _, f := range []*forge.Quote{sgx(), tdx(), td5()} {
		ev, _ := forged(f)
		if _, err := (Verifier{}).Verify(ev, forge.Time); err == nil || !strings.Contains(err.Error(), "not trusted, whatever its name") {
			t.Errorf("%s: got %v", f.Kind, err)
		}
	}
}

func TestMissingRevocationListsAreTold(t *testing.T) {
	f := sgx()
	f.CRLs = false
	ev, v := forged(f)
	got, err := v.Verify(ev, forge.Time)
	if err != nil {
		t.Fatal(err)
	}
	if got.Revocation != attest.RevocationUnchecked {
		t.Errorf("got %s", got.Revocation)
	}
}

func TestADocumentHasOneFormOnly(t *testing.T) {
	ev, v := forged(sgx())
	good := string(ev.Collateral[TCBInfo])
	body, signature, _ := strings.Cut(good, `,"signature":"`)
	signature = strings.TrimSuffix(signature, `"}`)
	other := strings.Replace(body, `"OutOfDate"`, `"UpToDate"`, 1)
	for name, text := range map[string]string{
		"another document before the signed one": `{"tcbInfo":` + other[len(`{"tcbInfo":`):] + "," + good[1:],
		"another document after the signed one":  strings.TrimSuffix(good, "}") + `,` + other[1:] + `}`,
		"white space":                            strings.Replace(good, `,"signature"`, `, "signature"`, 1),
		"a signature in capitals":                body + `,"signature":"` + strings.ToUpper(signature) + `"}`,
		"a signature of zeros":                   body + `,"signature":"` + strings.Repeat("0", 128) + `"}`,
		"a changed document":                     other + `,"signature":"` + signature + `"}`,
		"two line feeds":                         good + "\n\n",
		"empty":                                  `{}`,
	} {
		ev.Collateral[TCBInfo] = []byte(text)
		if _, err := v.Verify(ev, forge.Time); !errors.Is(err, attest.ErrCollateral) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	ev.Collateral[TCBInfo] = []byte(good + "\n")
	if _, err := v.Verify(ev, forge.Time); err != nil {
		t.Errorf("one line feed: %v", err)
	}
}

func TestEveryShorterQuoteIsRefused(t *testing.T) {
	for _, f := range []*forge.Quote{sgx(), tdx(), td5()} {
		ev, v := forged(f)
		whole := ev.Value
		for n := range whole {
			ev.Value = whole[:n]
			if _, err := v.Verify(ev, forge.Time); err == nil {
				t.Fatalf("%s: accepted %d of %d bytes", f.Kind, n, len(whole))
			}
		}
		ev.Value = append(bytes.Clone(whole), 0)
		if _, err := v.Verify(ev, forge.Time); err == nil {
			t.Errorf("%s: accepted with a byte more", f.Kind)
		}
	}
}

func TestAHugeLengthIsNotBelieved(t *testing.T) {
	ev, v := forged(sgx())
	binary.LittleEndian.PutUint32(ev.Value[headerSize+enclaveSize:], 0xffffffff)
	if _, err := v.Verify(ev, forge.Time); err == nil || !strings.Contains(err.Error(), "a part of 4294967295 bytes") {
		t.Errorf("got %v", err)
	}
}

// Of real quotes, their collateral and a generated quote with revocation lists,
// no byte may be changed. One bit of each byte by default, all with
// SECURE_SIGNER_LONG=1.
func TestNoByteCanBeChanged(t *testing.T) {
	if testing.Short() {
		t.Skip("only repeats itself")
	}
	bits := []int{-1}
	if os.Getenv("SECURE_SIGNER_LONG") != "" {
		bits = []int{0, 1, 2, 3, 4, 5, 6, 7}
	}
	generated, v := forged(td5())
	t.Run("generated TDX 1.5", func(t *testing.T) { flipAll(t, v, generated, forge.Time, bits) })
	t.Run("SGX", func(t *testing.T) { flipAll(t, Verifier{}, sgxSample.evidence(t), sgxSample.at, bits) })
	t.Run("TDX", func(t *testing.T) { flipAll(t, Verifier{}, tdxSample.evidence(t), tdxSample.at, bits) })
}

func flipAll(t *testing.T, v Verifier, ev attest.Evidence, at time.Time, bits []int) {
	if _, err := v.Verify(ev, at); err != nil {
		t.Fatal(err)
	}
	parts := maps.Clone(ev.Collateral)
	parts[""] = ev.Value
	type flip struct {
		part     string
		at, mask int
	}
	work := make(chan flip)
	var workers sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			for f := range work {
				part := bytes.Clone(parts[f.part])
				part[f.at] ^= byte(f.mask)
				changed := attest.Evidence{Type: ev.Type, Value: ev.Value, Collateral: maps.Clone(ev.Collateral)}
				if f.part == "" {
					changed.Value = part
				} else {
					changed.Collateral[f.part] = part
				}
				if _, err := v.Verify(changed, at); err == nil {
					t.Errorf("%q: accepted with byte %d changed by %#x", f.part, f.at, f.mask)
				}
			}
		})
	}
	n := 0
	for name, part := range parts {
		for i := range part {
			for _, bit := range bits {
				if bit < 0 {
					bit = i % 8
				}
				work <- flip{name, i, 1 << bit}
				n++
			}
		}
	}
	close(work)
	workers.Wait()
	t.Logf("%d changes, 0 accepted", n)
}

func FuzzQuote(f *testing.F) {
	for _, quote := range []*forge.Quote{sgx(), tdx(), td5()} {
		ev, _ := forged(quote)
		f.Add(ev.Value)
	}
	f.Fuzz(func(_ *testing.T, b []byte) {
		q, err := parseQuote(b)
		if err != nil {
			return
		}
		q.result()
		if q.kind == attest.KindTDX {
			domainReport(q.body).tcbSVNs()
		}
		if len(q.signed)+4 > len(b) {
			panic("more is signed than there is")
		}
	})
}

func FuzzSGXExtension(f *testing.F) {
	f.Add(sgx().SGXExtension().Value)
	f.Fuzz(func(t *testing.T, der []byte) {
		p, err := parseSGXExtension(der)
		if err == nil && (len(p.fmspc) != 6 || len(p.pceID) != 2 || len(p.ppid) != 16) {
			t.Errorf("got %+v", p)
		}
	})
}

func FuzzChain(f *testing.F) {
	ev, _ := forged(sgx())
	f.Add(ev.Collateral[TCBChain])
	f.Fuzz(func(t *testing.T, text []byte) {
		certs, err := parseChain(text, 2)
		if err == nil && len(certs) != 2 {
			t.Errorf("got %d certificates", len(certs))
		}
	})
}

// Signed by a fuzzer's own key: what Intel might send, and what it never would.
func FuzzDocuments(f *testing.F) {
	for _, quote := range []*forge.Quote{sgx(), tdx(), td5()} {
		ev, _ := forged(quote)
		body := func(name string) []byte {
			b := ev.Collateral[name]
			return b[bytes.IndexByte(b, ':')+1 : len(b)-len(`,"signature":""}`)-128]
		}
		f.Add(body(TCBInfo), body(QEIdentity), quote.Body)
	}
	key := sgx().NewRoot().Key
	f.Fuzz(func(t *testing.T, tcb, qe, body []byte) {
		q := &quote{kind: attest.KindSGX, body: body, qeReport: make([]byte, enclaveSize)}
		switch len(body) {
		case domainSize, domain15Size:
			q.kind = attest.KindTDX
		case enclaveSize:
		default:
			return
		}
		d, err := openDocuments(map[string][]byte{TCBInfo: forge.TCBDocument(key, "tcbInfo", tcb), QEIdentity: forge.TCBDocument(key, "enclaveIdentity", qe)}, &key.PublicKey, q.kind, &validity{at: forge.Time})
		if err != nil {
			return
		}
		p := platform{cpuSVN: [16]uint8{5, 5}, pceSVN: 13, fmspc: d.tcb.FMSPC, pceID: d.tcb.PCEID}
		if s, err := d.rate(q, p); err == nil && !s.tcb.Known() {
			t.Errorf("got status %q", s.tcb)
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	ev, v := forged(tdx())
	for b.Loop() {
		if _, err := v.Verify(ev, forge.Time); err != nil {
			b.Fatal(err)
		}
	}
}
