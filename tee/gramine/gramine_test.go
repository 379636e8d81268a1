package gramine

import (
	"bytes"
	"crypto/sha256"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/secure-signer/secure-signer/attest"
	"github.com/secure-signer/secure-signer/attest/dcap"
	"github.com/secure-signer/secure-signer/internal/forge"
	"github.com/secure-signer/secure-signer/tee"
	"github.com/secure-signer/secure-signer/tee/teetest"
)

// A machine stands for Gramine and the CPU below it: a folder with pipes, of which
// one takes the report data and the other gives the quote. A test changes what it
// does.
type machine struct {
	root   *forge.Authority
	change func(*forge.Quote)
	answer func(quote []byte) []byte
	key    func(program int) []byte
}

func newMachine() *machine {
	return &machine{
		root:   forge.NewQuote(attest.KindSGX, 3, 0).NewRoot(),
		change: func(*forge.Quote) {},
		answer: func(quote []byte) []byte { return quote },
		key:    func(program int) []byte { return bytes.Repeat([]byte{byte(program + 1)}, keySize) },
	}
}

func (m *machine) quote(program int, rd []byte) attest.Evidence {
	f := forge.NewQuote(attest.KindSGX, 3, 0)
	f.Root, f.CRLs = m.root, false
	copy(f.Body[64:], bytes.Repeat([]byte{byte(program) + 7}, 32))
	copy(f.Body[128:], bytes.Repeat([]byte{0x51}, 32))
	copy(f.Body[320:], rd)
	m.change(f)
	ev, _ := f.Make()
	return ev
}

// start returns the folder that a program sees.
func (m *machine) start(t *testing.T, program int) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"user_report_data", "quote"} {
		if err := syscall.Mkfifo(filepath.Join(dir, name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "keys"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "keys", "_sgx_mrenclave"), m.key(program), 0o600); err != nil {
		t.Fatal(err)
	}
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for m.serve(dir, program) {
			select {
			case <-stop:
				return
			default:
			}
		}
	}()
	t.Cleanup(func() {
		close(stop)
		for { // it waits for the other end of either pipe: let there be one
			in, inErr := os.OpenFile(filepath.Join(dir, "user_report_data"), os.O_WRONLY|syscall.O_NONBLOCK, 0)
			out, outErr := os.OpenFile(filepath.Join(dir, "quote"), os.O_RDONLY|syscall.O_NONBLOCK, 0)
			time.Sleep(time.Millisecond)
			if inErr == nil { // else nothing waits at that pipe
				in.Close()
			}
			if outErr == nil {
				out.Close()
			}
			select {
			case <-stopped:
				return
			default:
			}
		}
	})
	return dir
}

func (m *machine) serve(dir string, program int) bool {
	rd, err := os.ReadFile(filepath.Join(dir, "user_report_data"))
	if err != nil || len(rd) == 0 {
		return false
	}
	out, err := os.OpenFile(filepath.Join(dir, "quote"), os.O_WRONLY, 0)
	if err != nil {
		return false
	}
	_, _ = out.Write(m.answer(m.quote(program, rd).Value)) // who has read enough closes his end
	return out.Close() == nil
}

// fetched is a folder with the collateral that an operator fetches.
func (m *machine) fetched(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, value := range m.quote(0, nil).Collateral {
		if err := os.WriteFile(filepath.Join(dir, name), value, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestPlatform(t *testing.T) {
	m := newMachine()
	collateral := m.fetched(t)
	broken := func(change func(*machine)) func(*testing.T) tee.Platform {
		return func(t *testing.T) tee.Platform {
			m := newMachine()
			change(m)
			return New(m.start(t, 0))
		}
	}
	answers := func(answer func([]byte) []byte) func(*testing.T) tee.Platform {
		return broken(func(m *machine) { m.answer = answer })
	}
	keys := func(key []byte) func(*testing.T) tee.Platform {
		return broken(func(m *machine) { m.key = func(int) []byte { return key } })
	}
	keyless := func(t *testing.T) tee.Platform {
		dir := newMachine().start(t, 0)
		if err := os.RemoveAll(filepath.Join(dir, "keys")); err != nil {
			t.Fatal(err)
		}
		return New(dir)
	}
	// Gramine without remote attestation has the keys and the file of the report data.
	unattested := func(t *testing.T) tee.Platform {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "user_report_data"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		return New(dir)
	}
	teetest.Run(t, teetest.Suite{
		New: func(t *testing.T, program int) tee.Platform {
			return tee.WithCollateral(New(m.start(t, program)), collateral)
		},
		Verifier: dcap.Verifier{Roots: []attest.Digest{sha256.Sum256(m.root.Cert.Raw)}},
		At:       forge.Time,
		Seals:    true,
		Hanging: func(t *testing.T) tee.Platform {
			answer := make(chan struct{})
			p := answers(func(quote []byte) []byte { <-answer; return quote })(t)
			t.Cleanup(func() { close(answer) })
			return p
		},
		Faults: []teetest.Fault{
			{Name: "outside of any enclave", New: func(*testing.T) tee.Platform { return New("/nonexistent") }, Want: "by gramine-sgx"},
			{Name: "no report data can be written", New: func(t *testing.T) tee.Platform { return New(t.TempDir()) }, Want: "by gramine-sgx"},
			{Name: "no remote attestation in the manifest", New: unattested, Want: `sgx.remote_attestation = "dcap"`},
			{Name: "no keys", New: keyless, Want: "by gramine-sgx"},
			{Name: "an empty quote", New: answers(func([]byte) []byte { return nil }), Want: "0 bytes are none"},
			{Name: "garbage for a quote", New: answers(func([]byte) []byte { return []byte("EPID") }), Want: "4 bytes are none"},
			{Name: "a quote cut in its report", New: answers(func(quote []byte) []byte { return quote[:headerSize+reportSize-1] }), Want: "are none"},
			{Name: "a quote that never ends", New: answers(func([]byte) []byte { return make([]byte, attest.MaxEvidence+2) }), Want: "has more than"},
			{Name: "a quote of TDX", New: answers(func(quote []byte) []byte { quote[4] = 0x81; return quote }), Want: "only 3 and 4 of SGX"},
			{Name: "a quote of version 2", New: answers(func(quote []byte) []byte { quote[0] = 2; return quote }), Want: "only 3 and 4 of SGX"},
			{Name: "a quote for somebody else", New: broken(func(m *machine) {
				m.change = func(f *forge.Quote) { f.Body[383] ^= 1 }
			}), Want: "binds other report data"},
			{Name: "no key", New: keys(nil), Want: "is no key: 0 bytes"},
			{Name: "a key of 15 bytes", New: keys(bytes.Repeat([]byte{1}, 15)), Want: "is no key: 15 bytes"},
			{Name: "a key of zeros", New: keys(make([]byte, 16)), Want: "must come from the CPU"},
			{Name: "a key that never ends", New: keys(make([]byte, attest.MaxEvidence+2)), Want: "has more than"},
		},
	})
}

func TestADebugEnclaveSaysSo(t *testing.T) {
	m := newMachine()
	m.change = func(f *forge.Quote) { f.Body[48] |= 2 }
	id, err := New(m.start(t, 0)).Identity(t.Context())
	if err != nil || !id.Debug {
		t.Errorf("got %+v, %v", id, err)
	}
}

// TestTheSignersKeyIsNotRead: it would open to every program of the same signer.
func TestTheSignersKeyIsNotRead(t *testing.T) {
	dir := newMachine().start(t, 0)
	keys := filepath.Join(dir, "keys")
	if err := os.Rename(filepath.Join(keys, "_sgx_mrenclave"), filepath.Join(keys, "_sgx_mrsigner")); err != nil {
		t.Fatal(err)
	}
	if _, err := New(dir).SealKey(t.Context(), "label"); err == nil || !strings.Contains(err.Error(), "_sgx_mrenclave") {
		t.Errorf("got %v", err)
	}
}

func FuzzQuote(f *testing.F) {
	f.Add(newMachine().quote(0, nil).Value)
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, quote []byte) {
		r, err := parseQuote(quote)
		if err != nil {
			return
		}
		r.debug()
		if len(r.mrEnclave()) != 32 || len(r.mrSigner()) != 32 || len(r.reportData()) != 64 {
			t.Errorf("got %x", r)
		}
	})
}
