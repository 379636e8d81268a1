package tsm

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/pem"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"github.com/google/go-cmp/cmp"

	"github.com/secure-signer/secure-signer/attest"
	"github.com/secure-signer/secure-signer/attest/dcap"
	"github.com/secure-signer/secure-signer/attest/snp"
	"github.com/secure-signer/secure-signer/internal/forge"
	"github.com/secure-signer/secure-signer/tee"
	"github.com/secure-signer/secure-signer/tee/teetest"
)

// broken returns a platform on a kernel that a test has changed.
func broken(provider string, change func(*kernel)) func(*testing.T) tee.Platform {
	return func(t *testing.T) tee.Platform {
		k := newKernel(provider)
		change(k)
		return k.start(t, 0)
	}
}

func hanging(provider string) func(*testing.T) tee.Platform {
	return func(t *testing.T) tee.Platform {
		release := make(chan struct{})
		p := broken(provider, func(k *kernel) {
			k.answer = func(out []byte) []byte { <-release; return out }
		})(t)
		t.Cleanup(func() {
			close(release)
			_, _ = p.Identity(context.Background()) // after what hung, which then removes its entry
		})
		return p
	}
}

// outFault is a kernel whose outblob holds something else.
func outFault(name, provider, want string, answer func(out []byte) []byte) teetest.Fault {
	return teetest.Fault{Name: name, New: broken(provider, func(k *kernel) { k.answer = answer }), Want: want}
}

// entryFault is a kernel whose entry changes while it is asked.
func entryFault(name, file, text, want string) teetest.Fault {
	return teetest.Fault{Name: name, Want: want, New: broken(providerSNP, func(k *kernel) {
		k.after = func(entry string) { _ = os.WriteFile(filepath.Join(entry, file), []byte(text), 0o600) }
	})}
}

func TestTDX(t *testing.T) {
	for name, form := range map[string][2]uint16{"version 4": {4, 0}, "version 5 of TDX 1.0": {5, 2}, "version 5 of TDX 1.5": {5, 3}} {
		t.Run(name, func(t *testing.T) {
			k := newKernel(providerTDX)
			k.sign = k.signQuoteOf(form[0], form[1])
			dir := t.TempDir()
			for name, value := range k.sign(0, nil).Collateral {
				if err := os.WriteFile(filepath.Join(dir, name), value, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			suite := teetest.Suite{
				New:      func(t *testing.T, program int) tee.Platform { return tee.WithCollateral(k.start(t, program), dir) },
				Verifier: dcap.Verifier{Roots: []attest.Digest{sha256.Sum256(k.tdxRoot.Cert.Raw)}},
				At:       forge.Time,
				Hanging:  hanging(providerTDX),
			}
			if form[0] == 4 {
				suite.Faults = tdxFaults()
			}
			teetest.Run(t, suite)
		})
	}
}

func tdxFaults() []teetest.Fault {
	return []teetest.Fault{
		{Name: "no guest of any kind", New: func(*testing.T) tee.Platform { return New("/nonexistent", "/nonexistent") }, Want: "no guest of TDX or SEV-SNP"},
		{Name: "no permission", New: func(t *testing.T) tee.Platform {
			p := newKernel(providerTDX).start(t, 0)
			p.mkdir = func(string) error { return fs.ErrPermission }
			return p
		}, Want: "only root"},
		{Name: "a provider of another maker", New: broken("arm_cca_guest", func(*kernel) {}), Want: "only tdx_guest and sev_guest"},
		outFault("an empty quote", providerTDX, "0 bytes are no quote", func([]byte) []byte { return nil }),
		outFault("garbage for a quote", providerTDX, "7 bytes are no quote", func([]byte) []byte { return []byte("garbage") }),
		outFault("a quote of SGX", providerTDX, "only 4 and 5 of TDX", func(out []byte) []byte { out[4] = 0; return out }),
		outFault("a quote of version 6", providerTDX, "only 4 and 5 of TDX", func(out []byte) []byte { out[0] = 6; return out }),
		outFault("a quote cut in its body", providerTDX, "cut after 583 bytes", func(out []byte) []byte { return out[:headerSize+domainSize-1] }),
		outFault("a quote of version 5 without a body", providerTDX, "only 4 and 5 of TDX", func(out []byte) []byte { out[0] = 5; return out[:headerSize+5] }),
		outFault("a body of another length than it says", providerTDX, "want 584", func(out []byte) []byte { out[0] = 5; return out }),
		outFault("a quote that never ends", providerTDX, "has more than", func([]byte) []byte { return make([]byte, attest.MaxEvidence+2) }),
		outFault("a quote for somebody else", providerTDX, "binds other report data", func(out []byte) []byte { out[headerSize+583] ^= 1; return out }),
	}
}

func TestSNP(t *testing.T) {
	k := newKernel(providerSNP)
	teetest.Run(t, teetest.Suite{
		New:      func(t *testing.T, program int) tee.Platform { return k.start(t, program) },
		Verifier: snp.Verifier{Roots: map[snp.Line]attest.Digest{snp.Milan: sha256.Sum256(k.ark.Raw)}},
		At:       forge.Time,
		Seals:    true,
		Hanging:  hanging(providerSNP),
		Faults:   append(snpFaults(), firmwareFaults()...),
	})
}

func snpFaults() []teetest.Fault {
	return []teetest.Fault{
		outFault("an empty report", providerSNP, "0 bytes, want 1184", func([]byte) []byte { return nil }),
		outFault("a report cut short", providerSNP, "1183 bytes, want 1184", func(out []byte) []byte { return out[:1183] }),
		outFault("a report of version 6", providerSNP, "only 2 to 5", func(out []byte) []byte { out[0] = 6; return out }),
		outFault("a report for somebody else", providerSNP, "binds other report data", func(out []byte) []byte { out[0x50] ^= 1; return out }),
		entryFault("somebody else uses the entry", "generation", "9\n", "somebody else"),
		entryFault("a generation that is no number", "generation", "", "generation: "),
		entryFault("no provider", "provider", "", `provider ""`),
		{Name: "certificates that lie outside of their table", Want: "of a table of", New: broken(providerSNP, func(k *kernel) {
			k.aux = func(table []byte) []byte { return table[:len(table)-1] }
		})},
	}
}

func firmwareFaults() []teetest.Fault {
	firmware := func(answer func(ask *guestRequest) error) func(*testing.T) tee.Platform {
		return broken(providerSNP, func(k *kernel) {
			k.firmware = func(_ int, ask *guestRequest) error { return answer(ask) }
		})
	}
	return []teetest.Fault{
		{Name: "no device of the guest", New: broken(providerSNP, func(k *kernel) { k.guest = false }), Want: "modprobe sev-guest"},
		{Name: "the firmware fails", New: firmware(func(ask *guestRequest) error {
			ask.exit = 2<<32 | 0x16
			return syscall.EIO
		}), Want: "input/output error (firmware 0x16, host 0x2): the guest must run at VMPL 0"},
		{Name: "the firmware refuses", New: firmware(func(ask *guestRequest) error { ask.response[0] = 0x16; return nil }), Want: "status 0x16"},
		{Name: "the firmware answers nothing", New: firmware(func(*guestRequest) error { return nil }), Want: "all zero"},
	}
}

// The layouts are the kernel's, from include/uapi/linux/sev-guest.h.
func TestRequestsAreLaidOutAsTheKernelReadsThem(t *testing.T) {
	var ask guestRequest
	var key keyRequest
	got := []uintptr{
		unsafe.Sizeof(ask), unsafe.Offsetof(ask.request), unsafe.Offsetof(ask.response), unsafe.Offsetof(ask.exit),
		unsafe.Sizeof(key), unsafe.Offsetof(key.fields), unsafe.Offsetof(key.vmpl), unsafe.Offsetof(key.guestSVN), unsafe.Offsetof(key.tcb),
	}
	if diff := cmp.Diff([]uintptr{32, 8, 16, 24, 32, 8, 16, 20, 24}, got); diff != "" {
		t.Error(diff)
	}
}

func TestTheKernelIsReallyAsked(t *testing.T) {
	guest := filepath.Join(t.TempDir(), "sev-guest")
	if err := os.WriteFile(guest, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := New("/nonexistent", guest).derivedKey(); !errors.Is(err, syscall.ENOTTY) {
		t.Errorf("a plain file answers with %v", err)
	}
}

// TestAnotherHostDataHasAnotherKey: the host gives it at the start, the guest may
// act on it, and AMD's firmware does not mix it in.
func TestAnotherHostDataHasAnotherKey(t *testing.T) {
	k := newKernel(providerSNP)
	first, err := k.start(t, 0).SealKey(t.Context(), "label")
	if err != nil {
		t.Fatal(err)
	}
	k.answer = func(out []byte) []byte { out[0xC0] ^= 1; return out }
	second, err := k.start(t, 0).SealKey(t.Context(), "label")
	if err != nil || bytes.Equal(first, second) {
		t.Errorf("the same key under other host data, %v", err)
	}
}

func TestDebugIsTold(t *testing.T) {
	for provider, set := range map[string]func(out []byte){
		providerTDX: func(out []byte) { out[headerSize+120] = 1 },
		providerSNP: func(out []byte) { out[0x0A] |= 1 << 3 },
	} {
		k := newKernel(provider)
		k.answer = func(out []byte) []byte { set(out); return out }
		if id, err := k.start(t, 0).Identity(t.Context()); err != nil || !id.Debug {
			t.Errorf("%s: %+v, %v", provider, id, err)
		}
	}
}

func TestAHostWithoutCertificatesIsNoError(t *testing.T) {
	k := newKernel(providerSNP)
	k.aux = func([]byte) []byte { return nil }
	ev, err := k.start(t, 0).Evidence(t.Context(), attest.ReportData{})
	if err != nil || len(ev.Collateral) != 0 {
		t.Errorf("got %d parts, %v", len(ev.Collateral), err)
	}
	k.after = func(entry string) { os.Remove(filepath.Join(entry, "auxblob")) }
	if _, err := k.start(t, 0).Evidence(t.Context(), attest.ReportData{}); err != nil {
		t.Error(err)
	}
}

func TestTable(t *testing.T) {
	certs := map[string][]byte{"vcek": {1, 2, 3}, "ask": {4}, "ark": {5, 6}, "crl": {7}}
	table := tableOf(certs)
	change := func(at int, value uint32) []byte {
		changed := bytes.Clone(table)
		binary.LittleEndian.PutUint32(changed[at:], value)
		return changed
	}
	unknown := bytes.Clone(table)
	unknown[0] ^= 1 // of ark
	withPEM := map[string][]byte{"vlek": pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte{8, 9}})}
	for _, tt := range []struct {
		name  string
		table []byte
		want  map[string][]byte
		err   string
	}{
		{"none", nil, map[string][]byte{}, ""},
		{"one that is empty", make([]byte, entrySize), map[string][]byte{}, ""},
		{"a whole one", table, certs, ""},
		{"one with something after it", append(bytes.Clone(table), 0), certs, ""},
		{"an entry that nobody knows", unknown, map[string][]byte{"vcek": {1, 2, 3}, "ask": {4}, "crl": {7}}, ""},
		{"certificates in PEM", tableOf(withPEM), map[string][]byte{"vlek": {8, 9}}, ""},
		{"an entry cut short", table[:entrySize-1], nil, "ends within an entry"},
		{"no end", table[:entrySize], nil, "ark lies at 120 to 122 of a table of 24 bytes"},
		{"an offset beyond the end", change(16, uint32(len(table))), nil, "ark lies at"},
		{"a length beyond the end", change(20, 1<<20), nil, "ark lies at"},
		{"a sum beyond all numbers", change(16, 1<<32-1), nil, "ark lies at"},
		{"a length of nothing", change(20, 0), nil, "ark lies at"},
		{"an entry that comes twice", append(bytes.Clone(table[:entrySize]), table...), nil, "ark comes twice"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := parseTable(tt.table)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
			if (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
				t.Errorf("got %v, want %q", err, tt.err)
			}
		})
	}
}

func FuzzReport(f *testing.F) {
	tdx, snp := newKernel(providerTDX), newKernel(providerSNP)
	f.Add(tdx.sign(0, nil).Value)
	f.Add(tdx.signQuoteOf(5, 3)(0, nil).Value)
	f.Add(snp.sign(0, nil).Value)
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, parse := range []func([]byte) (report, error){parseQuote, parseSNP} {
			r, err := parse(b)
			if err != nil {
				continue
			}
			if id := r.identity(); len(id.Measurements) < 2 || len(r.reportData()) != 64 {
				t.Errorf("got %+v", id)
			}
		}
	})
}

func FuzzTable(f *testing.F) {
	f.Add(tableOf(map[string][]byte{"vcek": {1, 2, 3}, "ask": {4}, "ark": {5, 6}}))
	f.Fuzz(func(t *testing.T, table []byte) {
		certs, err := parseTable(table)
		for name, cert := range certs {
			if len(cert) > len(table) {
				t.Errorf("%s has %d bytes of a table of %d", name, len(cert), len(table))
			}
		}
		if err != nil && certs != nil {
			t.Error("an error, and yet certificates")
		}
	})
}
