// Package nitro is an AWS Nitro Enclave, whose security module (NSM) answers
// requests in CBOR by an ioctl.
//
// # Guaranteed
//
// Evidence is an attestation document whose user data is the report data that was
// asked for, as the module says: it signs nothing but what the enclave asks.
//
// # Not guaranteed
//
//   - Sealing: an enclave has no disk and the module no key. Take tee.WithRelease.
//   - That this is an enclave at all: only evidence proves it, to somebody else.
//
// Sources: AWS Nitro Enclaves NSM API, docs/attestation_process.md and the requests
// of its src/api; Linux, include/uapi/linux/nsm.h.
package nitro

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
	"unsafe"

	"github.com/fxamacker/cbor/v2"

	"github.com/secure-signer/secure-signer/attest"
	"github.com/secure-signer/secure-signer/tee"
)

// Device is where the kernel has the module.
const Device = "/dev/nsm"

// A Platform implements tee.Platform.
type Platform struct {
	device string
	turn   tee.Turn
	ioctl  func(fd, request uintptr, argument unsafe.Pointer) error // the kernel's; tests stand in
}

// New returns the platform whose security module is this device.
func New(device string) *Platform { return &Platform{device, tee.NewTurn(), ioctl} }

// A document is what the module returns of an Attestation.
type document struct {
	Document []byte `cbor:"document"`
}

// A register is what it returns of a DescribePCR.
type register struct {
	Lock bool   `cbor:"lock"` // it cannot be extended any more
	Data []byte `cbor:"data"`
}

// A response has one of these, under the name of the request.
type response struct {
	Attestation *document `cbor:"Attestation"`
	DescribePCR *register `cbor:"DescribePCR"`
	Error       string    `cbor:"Error"`
}

// Evidence implements tee.Platform. The document brings its certificates.
func (p *Platform) Evidence(ctx context.Context, rd attest.ReportData) (attest.Evidence, error) {
	r, err := p.ask(ctx, map[string]any{"Attestation": map[string]any{"user_data": rd[:], "nonce": nil, "public_key": nil}})
	if err == nil && (r.Attestation == nil || len(r.Attestation.Document) == 0) {
		err = errors.New("its answer has no document")
	}
	if err != nil {
		return attest.Evidence{}, fmt.Errorf("get a document from the Nitro security module: %w", err)
	}
	return attest.Evidence{Type: attest.TypeNitro, Value: r.Attestation.Document}, nil
}

// signerPCR is the hash of the certificate that signed the image.
const signerPCR = 8

// Identity implements tee.Platform.
func (p *Platform) Identity(ctx context.Context) (tee.Identity, error) {
	id := tee.Identity{
		Kind:         attest.KindNitro,
		Measurements: make(map[string]attest.Hex),
		Lacks:        []string{"an enclave cannot seal: another machine must keep its sealing key, and the parent instance its disk"},
	}
	for _, index := range []int{0, 1, 2, signerPCR} {
		pcr, err := p.pcr(ctx, index)
		if err != nil {
			return tee.Identity{}, fmt.Errorf("PCR%d of the Nitro security module: %w", index, err)
		}
		zero := bytes.Equal(pcr, make([]byte, pcrSize))
		switch {
		case index != signerPCR:
			id.Measurements[fmt.Sprintf("pcr%d", index)] = pcr
			id.Debug = id.Debug || zero // enclaves in debug mode have zeros there
		case !zero:
			id.Signer = pcr
		}
	}
	return id, nil
}

// SealKey implements tee.Platform.
func (p *Platform) SealKey(context.Context, string) ([]byte, error) {
	return nil, fmt.Errorf("nitro enclave: %w: have the key kept elsewhere, with --key-keeper", tee.ErrNoSealing)
}

const pcrSize = 48

func (p *Platform) pcr(ctx context.Context, index int) (attest.Hex, error) {
	r, err := p.ask(ctx, map[string]any{"DescribePCR": map[string]any{"index": index}})
	switch {
	case err != nil:
		return nil, err
	case r.DescribePCR == nil || len(r.DescribePCR.Data) != pcrSize:
		return nil, fmt.Errorf("its answer has no register of %d bytes", pcrSize)
	}
	return r.DescribePCR.Data, nil
}

func (p *Platform) ask(ctx context.Context, request any) (response, error) {
	text, err := cbor.Marshal(request)
	if err != nil {
		return response{}, err
	}
	answer, err := tee.Take(ctx, p.turn, func() ([]byte, error) { return p.exchange(text) })
	if err != nil {
		return response{}, err
	}
	return parseResponse(answer)
}

// parseResponse reads an answer, strictly.
func parseResponse(answer []byte) (response, error) {
	mode, err := cbor.DecOptions{
		DupMapKey:         cbor.DupMapKeyEnforcedAPF,
		IndefLength:       cbor.IndefLengthForbidden,
		TagsMd:            cbor.TagsForbidden,
		ExtraReturnErrors: cbor.ExtraDecErrorUnknownField,
		FieldNameMatching: cbor.FieldNameMatchingCaseSensitive,
		MaxNestedLevels:   4,
		MaxArrayElements:  16,
		MaxMapPairs:       16,
	}.DecMode()
	if err != nil {
		return response{}, err
	}
	var r response
	if err := mode.Unmarshal(answer, &r); err != nil {
		return response{}, fmt.Errorf("its answer: %w", err)
	}
	if r.Error != "" {
		return response{}, fmt.Errorf("it refused: %.64q", r.Error)
	}
	return r, nil
}

// A message is the kernel's nsm_raw, of 64-bit machines: what is asked, and where
// the answer goes.
type message struct{ request, response syscall.Iovec }

// raw is NSM_IOCTL_RAW: _IOWR(0x0A, 0, struct nsm_raw).
const raw = 3<<30 | 32<<16 | 0x0A<<8

// maxResponse is NSM_RESPONSE_MAX_SIZE.
const maxResponse = 0x3000

// exchange asks the device once.
func (p *Platform) exchange(request []byte) ([]byte, error) {
	device, err := os.OpenFile(p.device, os.O_RDWR, 0)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			err = fmt.Errorf("%w: run this program in a Nitro Enclave, whose kernel has the driver nsm", err)
		}
		return nil, err
	}
	defer device.Close()
	answer := make([]byte, maxResponse)
	m := new(message)
	m.request.Base, m.request.Len = &request[0], uint64(len(request))
	m.response.Base, m.response.Len = &answer[0], uint64(len(answer))
	if err := p.ioctl(device.Fd(), raw, unsafe.Pointer(m)); err != nil {
		return nil, fmt.Errorf("%s: %w: raw requests need root (CAP_SYS_ADMIN), see the kernel's log (dmesg)", p.device, err)
	}
	if m.response.Len > maxResponse {
		return nil, fmt.Errorf("%s: an answer of %d bytes, at most %d have place", p.device, m.response.Len, maxResponse)
	}
	return answer[:m.response.Len], nil
}

func ioctl(fd, request uintptr, argument unsafe.Pointer) error {
	if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, fd, request, uintptr(argument)); errno != 0 {
		return errno
	}
	return nil
}
