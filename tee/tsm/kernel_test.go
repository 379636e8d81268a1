package tsm

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"
	"unsafe"

	"github.com/secure-signer/secure-signer/attest"
	"github.com/secure-signer/secure-signer/internal/forge"
)

// A kernel stands for Linux and the hardware below it. An entry is a folder of real
// files, of which outblob is a pipe: when it is read, what inblob holds by then is
// answered, and the other files are what they are after that. A test changes what
// it does.
type kernel struct {
	provider string
	sign     func(program int, rd []byte) attest.Evidence
	answer   func(out []byte) []byte
	aux      func(table []byte) []byte
	after    func(entry string) // what else happens to the entry while it is asked
	firmware func(program int, ask *guestRequest) error
	guest    bool // there is a device of SEV-SNP

	tdxRoot *forge.Authority
	ark     *x509.Certificate
}

func newKernel(provider string) *kernel {
	k := &kernel{
		provider: provider,
		answer:   func(out []byte) []byte { return out },
		aux:      func(table []byte) []byte { return table },
		after:    func(string) {},
		firmware: deriveKey,
		guest:    provider == providerSNP,
		tdxRoot:  forge.NewQuote(attest.KindTDX, 4, 0).NewRoot(),
		ark:      forge.NewReport("Milan", "vcek").NewARK(),
	}
	k.sign = k.signQuote
	if provider == providerSNP {
		k.sign = k.signReport
	}
	return k
}

func (k *kernel) signQuote(program int, rd []byte) attest.Evidence {
	return k.signQuoteOf(4, 0)(program, rd)
}

func (k *kernel) signQuoteOf(version, bodyType uint16) func(program int, rd []byte) attest.Evidence {
	return func(program int, rd []byte) attest.Evidence {
		f := forge.NewQuote(attest.KindTDX, version, bodyType)
		f.Root, f.CRLs = k.tdxRoot, false
		copy(f.Body[136:], bytes.Repeat([]byte{byte(program) + 1}, 48))
		for i := range 4 {
			f.Body[328+48*i] = byte(i + 1)
		}
		copy(f.Body[520:], rd)
		ev, _ := f.Make()
		return ev
	}
}

func (k *kernel) signReport(program int, rd []byte) attest.Evidence {
	f := forge.NewReport("Milan", "vcek")
	f.ARK = k.ark
	copy(f.Report[0x50:0x90], make([]byte, 64))
	copy(f.Report[0x50:], rd)
	copy(f.Report[0x90:], bytes.Repeat([]byte{byte(program) + 1}, 48))
	copy(f.Report[0xE0:], bytes.Repeat([]byte{0x1D}, 48))
	ev, _ := f.Make()
	return ev
}

// start returns the platform of a program that has been started anew.
func (k *kernel) start(t *testing.T, program int) *Platform {
	t.Helper()
	guest := filepath.Join(t.TempDir(), "sev-guest")
	if k.guest {
		if err := os.WriteFile(guest, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	p := New(t.TempDir(), guest)
	var entries sync.Map // path → chan struct{}, closed when the kernel has let go
	p.mkdir = func(path string) error {
		stopped := make(chan struct{})
		entries.Store(path, stopped)
		if err := k.fill(path); err != nil {
			return err
		}
		go func() {
			defer close(stopped)
			k.serve(path, program)
		}()
		return nil
	}
	p.rmdir = func(path string) error {
		if in, err := os.OpenFile(filepath.Join(path, "outblob"), os.O_RDONLY|syscall.O_NONBLOCK, 0); err == nil {
			defer in.Close() // so that what waits at the pipe goes on
		}
		stopped, _ := entries.Load(path)
		<-stopped.(chan struct{})
		return os.RemoveAll(path)
	}
	p.ioctl = func(_, request uintptr, argument unsafe.Pointer) error {
		if request != 0xC0205301 {
			return fmt.Errorf("request %#x", request)
		}
		return k.firmware(program, (*guestRequest)(argument))
	}
	t.Cleanup(func() {
		for path := range entries.Range {
			if _, err := os.Stat(path.(string)); err == nil {
				t.Errorf("the entry %s was left", path)
			}
		}
	})
	return p
}

func (k *kernel) fill(entry string) error {
	if err := os.Mkdir(entry, 0o700); err != nil {
		return err
	}
	files := map[string]string{"inblob": "", "provider": k.provider + "\n", "generation": "7\n"}
	if k.provider == providerSNP {
		files["auxblob"] = ""
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(entry, name), []byte(text), 0o600); err != nil {
			return err
		}
	}
	return syscall.Mkfifo(filepath.Join(entry, "outblob"), 0o600)
}

// serve answers once. Whoever asks has gone if it fails, and finds what is wrong.
func (k *kernel) serve(entry string, program int) {
	out, err := os.OpenFile(filepath.Join(entry, "outblob"), os.O_WRONLY, 0)
	if err != nil {
		return
	}
	defer out.Close()
	rd, err := os.ReadFile(filepath.Join(entry, "inblob"))
	if err != nil || len(rd) == 0 {
		return
	}
	ev := k.sign(program, rd)
	_ = os.WriteFile(filepath.Join(entry, "generation"), []byte("8\n"), 0o600)
	if k.provider == providerSNP {
		_ = os.WriteFile(filepath.Join(entry, "auxblob"), k.aux(tableOf(ev.Collateral)), 0o600)
	}
	k.after(entry)
	_, _ = out.Write(k.answer(ev.Value))
}

// tableOf is how a host hands certificates to its guest.
func tableOf(certs map[string][]byte) []byte {
	guids := map[string]string{}
	for guid, name := range tableNames {
		guids[name] = guid
	}
	names := slices.Sorted(maps.Keys(certs))
	at := entrySize * (len(names) + 1)
	var entries, blobs []byte
	for _, name := range names {
		guid, _ := hex.DecodeString(guids[name])
		entries = append(entries, guid...)
		entries = binary.LittleEndian.AppendUint32(entries, uint32(at+len(blobs)))
		entries = binary.LittleEndian.AppendUint32(entries, uint32(len(certs[name])))
		blobs = append(blobs, certs[name]...)
	}
	return slices.Concat(entries, make([]byte, entrySize), blobs)
}

// deriveKey is what AMD's firmware does.
func deriveKey(program int, ask *guestRequest) error {
	if ask.version != 1 || *ask.request != (keyRequest{fields: 0b1001}) {
		return fmt.Errorf("asked for %+v", ask.request)
	}
	key := sha256.Sum256([]byte{byte(program)})
	copy(ask.response[32:], key[:])
	return nil
}
