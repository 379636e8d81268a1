package measure

import (
	"bytes"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/secure-signer/secure-signer/attest"
)

// An SNPGuest is what decides the launch digest of an SEV-SNP guest that QEMU starts
// on KVM with kernel-hashes=on, from a kernel that holds its command line and its
// root file system, as hardware/vm builds it.
type SNPGuest struct {
	Firmware   []byte // edk2's OvmfPkg/AmdSev, which holds the kernel to its hash
	Kernel     []byte
	Processors int
	Model      string // of the processors, as QEMU calls it: EPYC-v4, EPYC-Milan, …
}

const (
	pageSize      = 4096
	maxProcessors = 512
	maxPages      = 1 << 16 // that the firmware's table may ask for: 256 MiB
)

// The types of pages, and where the state of a processor is said to lie. Source: AMD
// 56860, SEV-SNP Firmware ABI, "SNP_LAUNCH_UPDATE" and "PAGE_INFO".
const (
	pageNormal  = 1
	pageVMSA    = 2
	pageZero    = 3
	pageSecrets = 5
	pageCPUID   = 6

	vmsaAddress = 0xfffffffff000
)

// A launch is the digest of a guest, page by page.
type launch [sha512.Size384]byte

// add takes one page. Contents is the hash of a page whose content counts, else zero.
func (l *launch) add(kind byte, address uint64, contents [sha512.Size384]byte) {
	info := slices.Concat(l[:], contents[:], []byte{0x70, 0, kind, 0, 0, 0, 0, 0}) // its length; no permissions for lower levels
	*l = sha512.Sum384(binary.LittleEndian.AppendUint64(info, address))
}

func (l *launch) addContent(kind byte, address uint64, page []byte) {
	l.add(kind, address, sha512.Sum384(page))
}

// Report computes the launch digest, in the order in which QEMU launches a guest: the
// firmware, what the firmware's table asks for, and the state of each processor.
// Source: QEMU, target/i386/sev.c and hw/i386/pc_sysfw_ovmf.c.
func (g SNPGuest) Report() (Report, error) {
	signature, ok := processorSignatures()[g.Model]
	switch {
	case !ok:
		return Report{}, fmt.Errorf("processor model %q: want one of %s", g.Model, strings.Join(slices.Sorted(maps.Keys(processorSignatures())), ", "))
	case g.Processors < 1 || g.Processors > maxProcessors:
		return Report{}, fmt.Errorf("%d processors: want 1 to %d", g.Processors, maxProcessors)
	case len(g.Firmware) == 0 || len(g.Firmware)%pageSize != 0:
		return Report{}, fmt.Errorf("the firmware has %d bytes: want whole pages", len(g.Firmware))
	case len(g.Kernel) == 0:
		return Report{}, errors.New("the kernel is empty")
	}
	firmware, err := parseFirmware(g.Firmware)
	if err != nil {
		return Report{}, fmt.Errorf("firmware: %w", err)
	}
	var l launch
	start := uint64(1<<32 - len(g.Firmware)) // it ends where 4 GiB do
	for i := 0; i < len(g.Firmware); i += pageSize {
		l.addContent(pageNormal, start+uint64(i), g.Firmware[i:i+pageSize])
	}
	hashes := kernelHashes(g.Kernel, firmware.hashTable%pageSize)
	for _, s := range firmware.sections {
		s.addTo(&l, hashes)
	}
	l.addContent(pageVMSA, vmsaAddress, processorState(0xfffffff0, signature))
	for range g.Processors - 1 {
		l.addContent(pageVMSA, vmsaAddress, processorState(firmware.resetAddress, signature))
	}
	kernel := sha256.Sum256(g.Kernel)
	r := Report{Facts: map[string]string{
		"measurement": attest.Hex(l[:]).String(),
		"kernel":      "sha256 " + attest.Hex(kernel[:]).String(),
		"processors":  fmt.Sprintf("%d, %s", g.Processors, g.Model),
		"missing":     "min_tcb: the least versions of AMD's firmware that you accept, which no file tells",
	}}
	return r.accept(attest.Identity{Kind: attest.KindSNP, Measurements: map[string]attest.Hex{
		"measurement": l[:],
		"host_data":   make(attest.Hex, 32), // QEMU's host-data, left out
	}}), nil
}

// processorSignatures are family, model and stepping of QEMU's models, as CPUID gives
// them: the first register of a processor that begins. Source: AMD 25481, Fn0000_0001.
func processorSignatures() map[string]uint32 {
	signature := func(family, model, stepping uint32) uint32 {
		return (family-15)<<20 | model>>4<<16 | 15<<8 | model&15<<4 | stepping
	}
	naples, rome, milan, genoa := signature(23, 1, 2), signature(23, 49, 0), signature(25, 1, 1), signature(25, 17, 0)
	return map[string]uint32{
		"EPYC": naples, "EPYC-v4": naples, "EPYC-Rome": rome, "EPYC-Milan": milan, "EPYC-Milan-v2": milan,
		"EPYC-Genoa": genoa, "EPYC-Genoa-v1": genoa, "EPYC-Turin": signature(26, 0, 0),
	}
}

// processorState is the page in which a processor's registers lie at its start, as
// KVM and QEMU set them. Source: AMD APM volume 2, table B-4; KVM's reset state.
func processorState(start, signature uint32) []byte {
	page := make([]byte, pageSize)
	segment := func(offset int, selector, attributes uint16, base uint64) {
		binary.LittleEndian.PutUint16(page[offset:], selector)
		binary.LittleEndian.PutUint16(page[offset+2:], attributes)
		binary.LittleEndian.PutUint32(page[offset+4:], 0xffff)
		binary.LittleEndian.PutUint64(page[offset+8:], base)
	}
	for _, data := range []int{0x00, 0x20, 0x30, 0x40, 0x50} { // ES, SS, DS, FS, GS
		segment(data, 0, 0x93, 0)
	}
	segment(0x10, 0xf000, 0x9b, uint64(start&0xffff0000)) // CS
	segment(0x60, 0, 0, 0)                                // GDTR
	segment(0x70, 0, 0x82, 0)                             // LDTR
	segment(0x80, 0, 0, 0)                                // IDTR
	segment(0x90, 0, 0x8b, 0)                             // TR
	for offset, value := range map[int]uint64{
		0x0d0: 0x1000,                 // EFER: SVME
		0x148: 0x40,                   // CR4: MCE
		0x158: 0x10,                   // CR0: ET
		0x160: 0x400,                  // DR7
		0x168: 0xffff0ff0,             // DR6
		0x170: 0x2,                    // RFLAGS
		0x178: uint64(start & 0xffff), // RIP
		0x268: 0x7040600070406,        // PAT
		0x310: uint64(signature),      // RDX
		0x3b0: 0x1,                    // features: SNP and no other
		0x3e8: 0x1,                    // XCR0
	} {
		binary.LittleEndian.PutUint64(page[offset:], value)
	}
	binary.LittleEndian.PutUint32(page[0x408:], 0x1f80) // MXCSR
	binary.LittleEndian.PutUint16(page[0x410:], 0x37f)  // x87 control
	return page
}

// kernelHashes is the page by which QEMU tells the firmware what it was given: hashes
// of the command line, the initrd and the kernel, of which only the last is not empty.
func kernelHashes(kernel []byte, offset uint32) []byte {
	entry := func(id guid, content []byte) []byte {
		sum := sha256.Sum256(content)
		return slices.Concat(id.bytes(), []byte{50, 0}, sum[:])
	}
	entries := slices.Concat(
		entry("97d02dd8-bd20-4c94-aa78-e7714d36ab2a", []byte{0}), // the command line ends with a zero
		entry("44baf731-3a2f-4bd7-9af1-41e29169781d", nil),
		entry("4de79437-abd2-427f-b835-d5b172d2045b", kernel),
	)
	table := slices.Concat(guid("9438d606-4f22-4cc9-b479-a793d411fd21").bytes(), []byte{168, 0}, entries)
	page := make([]byte, pageSize)
	copy(page[offset:], table)
	return page
}

// hashTableRoom is how much of its page the table of hashes takes.
const hashTableRoom = 176

// A section is a range of memory that the firmware asks to be prepared.
type section struct {
	address, size uint32
	kind          uint32
}

// The kinds of sections. Source: edk2, OvmfPkg/ResetVector/X64/OvmfSevMetadata.asm.
const (
	sectionMemory  = 1
	sectionSecrets = 2
	sectionCPUID   = 3
	sectionSVSM    = 4
	sectionHashes  = 0x10
)

func (s section) addTo(l *launch, hashes []byte) {
	switch s.kind {
	case sectionMemory, sectionSVSM:
		for i := uint32(0); i < s.size; i += pageSize {
			l.add(pageZero, uint64(s.address)+uint64(i), [sha512.Size384]byte{})
		}
	case sectionSecrets:
		l.add(pageSecrets, uint64(s.address), [sha512.Size384]byte{})
	case sectionCPUID:
		l.add(pageCPUID, uint64(s.address), [sha512.Size384]byte{})
	case sectionHashes:
		l.addContent(pageNormal, uint64(s.address), hashes)
	}
}

// A firmware is what its tables say.
type firmware struct {
	resetAddress uint32 // where all processors but the first begin
	hashTable    uint32
	sections     []section
}

// parseFirmware reads the table of GUIDs that ends 32 bytes before the firmware does,
// from its end on, and what it points to. Source: edk2, OvmfPkg/ResetVector.
func parseFirmware(b []byte) (f firmware, err error) {
	const header = 18 // of each entry, behind its data: size, GUID
	at := len(b) - 32
	size := int(binary.LittleEndian.Uint16(b[at-header:]))
	if !bytes.Equal(b[at-16:at], guid("96b582de-1fb2-45f7-baea-a366c55a082d").bytes()) || size < header || size > at {
		return f, errors.New("it has no table of OVMF")
	}
	table := b[at-size : at-header]
	words := make(map[string]uint32) // the first four bytes of each entry
	for len(table) > 0 {
		if len(table) < header {
			return f, errors.New("its table is cut off")
		}
		size := int(binary.LittleEndian.Uint16(table[len(table)-header:]))
		if size < header || size > len(table) {
			return f, errors.New("an entry of its table is longer than the table")
		}
		if id := string(table[len(table)-16:]); size >= header+4 {
			words[id] = binary.LittleEndian.Uint32(table[len(table)-size:])
		}
		table = table[:len(table)-size]
	}
	for id, to := range map[guid]*uint32{
		"00f771de-1a7e-4fcb-890e-68c77e2fb44e": &f.resetAddress,
		"7255371f-3a3b-4b04-927b-1da6efa8d454": &f.hashTable,
	} {
		if *to = words[string(id.bytes())]; *to == 0 {
			return f, errors.New("it is not built for SEV-SNP with hashes of the kernel: take edk2's OvmfPkg/AmdSev")
		}
	}
	if f.hashTable%pageSize > pageSize-hashTableRoom {
		return f, errors.New("the hashes of the kernel do not fit in one page")
	}
	f.sections, err = parseSections(b, words[string(guid("dc886566-984a-4798-a75e-5585a7bf67cc").bytes())])
	return f, err
}

// parseSections reads the table of sections, which lies so far from the end.
func parseSections(b []byte, fromEnd uint32) ([]section, error) {
	const header, item = 16, 12
	if uint64(fromEnd) > uint64(len(b)) || fromEnd < header {
		return nil, errors.New("it has no table of sections for SEV")
	}
	table := b[uint32(len(b))-fromEnd:]
	n := binary.LittleEndian.Uint32(table[12:])
	if string(table[:4]) != "ASEV" || binary.LittleEndian.Uint32(table[8:]) != 1 || uint64(n)*item > uint64(len(table)-header) {
		return nil, errors.New("its table of sections for SEV is none that is known")
	}
	var sections []section
	pages, hashes := uint64(0), 0
	for i := range n {
		at := table[header+item*i:]
		s := section{binary.LittleEndian.Uint32(at), binary.LittleEndian.Uint32(at[4:]), binary.LittleEndian.Uint32(at[8:])}
		known := s.kind >= sectionMemory && s.kind <= sectionSVSM || s.kind == sectionHashes
		if !known || s.size%pageSize != 0 || s.address%pageSize != 0 {
			return nil, fmt.Errorf("its section %d of kind %d is none that is known", i, s.kind)
		}
		if s.kind == sectionHashes {
			hashes++
		}
		pages += uint64(s.size / pageSize)
		sections = append(sections, s)
	}
	if pages > maxPages || hashes != 1 {
		return nil, errors.New("its sections are not those of a guest whose kernel is measured: take edk2's OvmfPkg/AmdSev")
	}
	return sections, nil
}
