package nitro

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"unsafe"

	"github.com/fxamacker/cbor/v2"

	"github.com/secure-signer/secure-signer/attest"
	"github.com/secure-signer/secure-signer/attest/nitro"
	"github.com/secure-signer/secure-signer/internal/forge"
	"github.com/secure-signer/secure-signer/tee"
	"github.com/secure-signer/secure-signer/tee/teetest"
)

// A module stands for Nitro's security module. A test changes what it answers.
type module struct {
	mu     sync.Mutex // guards document, of which each program has its own payload
	doc    *forge.Document
	pcrs   func(program int) map[uint64][]byte
	answer func(answer []byte) []byte
	errno  error
	length func(n uint64) uint64
}

func newModule() *module {
	return &module{
		doc: forge.NewDocument(),
		pcrs: func(program int) map[uint64][]byte {
			return map[uint64][]byte{0: forge.PCR(byte(program) + 1), 1: forge.PCR(2), 2: forge.PCR(3), 3: forge.PCR(0), 8: forge.PCR(4)}
		},
		answer: func(answer []byte) []byte { return answer },
		length: func(n uint64) uint64 { return n },
	}
}

// start returns the platform of a program that has been started anew.
func (m *module) start(t *testing.T, program int) *Platform {
	t.Helper()
	device := filepath.Join(t.TempDir(), "nsm")
	if err := os.WriteFile(device, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	p := New(device)
	p.ioctl = func(_, request uintptr, argument unsafe.Pointer) error {
		if m.errno != nil {
			return m.errno
		}
		if request != 0xC0200A00 {
			return fmt.Errorf("request %#x", request)
		}
		msg := (*message)(argument)
		answer := m.answer(m.serve(program, unsafe.Slice(msg.request.Base, msg.request.Len)))
		n := copy(unsafe.Slice(msg.response.Base, msg.response.Len), answer)
		msg.response.Len = m.length(uint64(n))
		return nil
	}
	return p
}

// serve answers as the module of AWS does.
func (m *module) serve(program int, text []byte) []byte {
	var request struct {
		Attestation *struct {
			UserData  []byte `cbor:"user_data"`
			Nonce     []byte `cbor:"nonce"`
			PublicKey []byte `cbor:"public_key"`
		}
		DescribePCR *struct {
			Index uint64 `cbor:"index"`
		}
	}
	if err := cbor.Unmarshal(text, &request); err != nil {
		return mustCBOR(map[string]any{"Error": "InvalidOperation"})
	}
	pcrs := m.pcrs(program)
	switch {
	case request.DescribePCR != nil:
		return mustCBOR(map[string]any{"DescribePCR": map[string]any{"lock": true, "data": pcrs[request.DescribePCR.Index]}})
	case request.Attestation != nil && len(request.Attestation.UserData) <= 1024:
		m.mu.Lock()
		defer m.mu.Unlock()
		m.doc.Payload = maps.Clone(m.doc.Payload)
		m.doc.Payload["user_data"], m.doc.Payload["pcrs"] = request.Attestation.UserData, pcrs
		ev, _ := m.doc.Make()
		return mustCBOR(map[string]any{"Attestation": map[string]any{"document": ev.Value}})
	}
	return mustCBOR(map[string]any{"Error": "InvalidArgument"})
}

func mustCBOR(v any) []byte {
	b, err := cbor.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b
}

func TestPlatform(t *testing.T) {
	m := newModule()
	_, root := m.doc.Make()
	broken := func(change func(*module)) func(*testing.T) tee.Platform {
		return func(t *testing.T) tee.Platform {
			m := newModule()
			change(m)
			return m.start(t, 0)
		}
	}
	answers := func(answer []byte) func(*testing.T) tee.Platform {
		return broken(func(m *module) { m.answer = func([]byte) []byte { return answer } })
	}
	teetest.Run(t, teetest.Suite{
		New:      func(t *testing.T, program int) tee.Platform { return m.start(t, program) },
		Verifier: nitro.Verifier{Roots: []attest.Digest{root}},
		At:       forge.Time,
		Hanging: func(t *testing.T) tee.Platform {
			release := make(chan struct{})
			t.Cleanup(func() { close(release) })
			return broken(func(m *module) { m.answer = func(b []byte) []byte { <-release; return b } })(t)
		},
		Faults: []teetest.Fault{
			{Name: "no enclave", New: func(*testing.T) tee.Platform { return New("/nonexistent/nsm") }, Want: "in a Nitro Enclave"},
			{Name: "the kernel refuses", New: broken(func(m *module) { m.errno = syscall.EPERM }), Want: "need root"},
			{Name: "the module refuses", New: answers(mustCBOR(map[string]any{"Error": "InternalError"})), Want: `it refused: "InternalError"`},
			{Name: "an empty answer", New: answers(nil), Want: "its answer"},
			{Name: "garbage", New: answers([]byte("garbage")), Want: "its answer"},
			{Name: "the answer to another request", New: answers(mustCBOR(map[string]any{"DescribeNSM": map[string]any{}})), Want: "its answer"},
			{Name: "a document of nothing", New: answers(mustCBOR(map[string]any{"Attestation": map[string]any{"document": []byte{}}})), Want: "its answer has no"},
			{Name: "a register of 32 bytes", New: answers(mustCBOR(map[string]any{"DescribePCR": map[string]any{"lock": true, "data": make([]byte, 32)}})), Want: "its answer has no"},
			{Name: "an answer cut short", New: broken(func(m *module) { m.length = func(n uint64) uint64 { return n - 1 } }), Want: "its answer"},
			{Name: "an answer longer than its place", New: broken(func(m *module) { m.length = func(uint64) uint64 { return maxResponse + 1 } }), Want: "at most 12288"},
			{Name: "bytes after the answer", New: broken(func(m *module) {
				m.answer = func(b []byte) []byte { return append(bytes.Clone(b), 0) }
			}), Want: "its answer"},
		},
	})
}

func TestDebugIsTold(t *testing.T) {
	for index := range uint64(3) {
		m := newModule()
		whole := m.pcrs
		m.pcrs = func(program int) map[uint64][]byte {
			pcrs := whole(program)
			pcrs[index] = forge.PCR(0)
			return pcrs
		}
		if id, err := m.start(t, 0).Identity(t.Context()); err != nil || !id.Debug {
			t.Errorf("PCR%d is zero: %+v, %v", index, id, err)
		}
	}
}

func TestAnUnsignedImageHasNoSigner(t *testing.T) {
	m := newModule()
	m.pcrs = func(int) map[uint64][]byte {
		return map[uint64][]byte{0: forge.PCR(1), 1: forge.PCR(2), 2: forge.PCR(3), 8: forge.PCR(0)}
	}
	if id, err := m.start(t, 0).Identity(t.Context()); err != nil || id.Signer != nil {
		t.Errorf("%+v, %v", id, err)
	}
}

// TestTheLayoutIsTheKernels: include/uapi/linux/nsm.h has two pairs of address and
// length, of 64 bits each.
func TestTheLayoutIsTheKernels(t *testing.T) {
	var m message
	if unsafe.Sizeof(m) != 32 || unsafe.Offsetof(m.response) != 16 || unsafe.Offsetof(m.request.Len) != 8 {
		t.Errorf("%d bytes, response at %d", unsafe.Sizeof(m), unsafe.Offsetof(m.response))
	}
}

func TestTheKernelIsReallyAsked(t *testing.T) {
	device := filepath.Join(t.TempDir(), "nsm")
	if err := os.WriteFile(device, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := New(device).Identity(t.Context()); !errors.Is(err, syscall.ENOTTY) {
		t.Errorf("a plain file answers with %v", err)
	}
}

func FuzzResponse(f *testing.F) {
	m := newModule()
	f.Add(m.serve(0, mustCBOR(map[string]any{"Attestation": map[string]any{"user_data": make([]byte, 64)}})))
	f.Add(m.serve(0, mustCBOR(map[string]any{"DescribePCR": map[string]any{"index": 8}})))
	f.Add(mustCBOR(map[string]any{"Error": "InvalidArgument"}))
	f.Fuzz(func(t *testing.T, answer []byte) {
		r, err := parseResponse(answer)
		if err != nil && (r.Attestation != nil || r.DescribePCR != nil) {
			t.Error("an error, and yet an answer")
		}
		if err == nil && r.Error != "" {
			t.Error("a refusal, and no error")
		}
	})
}
