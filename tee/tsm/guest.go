package tsm

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
	"unsafe"
)

// A keyRequest is the kernel's snp_derived_key_req.
type keyRequest struct {
	rootKey  uint32
	_        uint32
	fields   uint64 // what is mixed in
	vmpl     uint32
	guestSVN uint32
	tcb      uint64
}

const rootChip = 0 // the VCEK, or the VLEK where one is loaded

// What fields mixes in of the guest.
const (
	fieldPolicy      = 1 << 0
	fieldMeasurement = 1 << 3
)

// A keyResponse is the kernel's snp_derived_key_resp: the status of the firmware,
// zeros, and the key.
type keyResponse [64]byte

// A guestRequest is the kernel's snp_guest_request_ioctl, of 64-bit machines.
type guestRequest struct {
	version  uint8
	request  *keyRequest
	response *keyResponse
	exit     uint64 // error of the firmware, and in the upper half of the host
}

// getDerivedKey is SNP_GET_DERIVED_KEY: _IOWR('S', 1, struct snp_guest_request_ioctl).
const getDerivedKey = 3<<30 | 32<<16 | 'S'<<8 | 1

// derivedKey asks the firmware for the key of this guest at VMPL 0.
func (p *Platform) derivedKey() ([]byte, error) {
	device, err := os.OpenFile(p.guest, os.O_RDWR, 0)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("%w: load the kernel's driver, with modprobe sev-guest", err)
		}
		return nil, err
	}
	defer device.Close()
	response := new(keyResponse)
	defer clear(response[:])
	ask := &guestRequest{version: 1, request: &keyRequest{rootKey: rootChip, fields: fieldPolicy | fieldMeasurement}, response: response}
	if err := p.ioctl(device.Fd(), getDerivedKey, unsafe.Pointer(ask)); err != nil {
		return nil, fmt.Errorf("%s: %w (firmware %#x, host %#x): the guest must run at VMPL 0", p.guest, err, uint32(ask.exit), ask.exit>>32)
	}
	if status := binary.LittleEndian.Uint32(response[:]); status != 0 {
		return nil, fmt.Errorf("%s: the firmware refused with status %#x: the guest must run at VMPL 0", p.guest, status)
	}
	key := bytes.Clone(response[32:])
	if bytes.Equal(key, make([]byte, len(key))) {
		return nil, fmt.Errorf("%s: the firmware's key is all zero, which is none", p.guest)
	}
	return key, nil
}

func ioctl(fd, request uintptr, argument unsafe.Pointer) error {
	if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, fd, request, uintptr(argument)); errno != 0 {
		return errno
	}
	return nil
}
