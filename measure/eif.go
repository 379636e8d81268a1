package measure

import (
	"bytes"
	"crypto/sha512"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
	"slices"

	"github.com/secure-signer/secure-signer/attest"
)

// The layout of an enclave image, in which every number is big-endian. Source:
// aws-nitro-enclaves-image-format, src/defs.
const (
	eifMagic              = ".eif"
	eifVersion            = 4
	eifHeaderSize         = 548
	eifOffsets            = 28  // of 32 sections, 8 bytes each
	eifSizes              = 284 // of the same
	eifUnused             = 540
	eifChecksum           = 544 // CRC-32 of all other bytes
	eifMaxSections        = 32
	sectionHeader         = 12
	eifArm64       uint16 = 1
)

// The kinds of sections.
const (
	sectionKernel = iota + 1
	sectionCommandLine
	sectionRamdisk
	sectionSignature
	sectionMetadata
)

// maxSmallSection bounds those sections that are read whole.
const maxSmallSection = 1 << 20

// EIF reads the image of a Nitro enclave, as nitro-cli builds it, and recomputes
// what the Nitro hypervisor will measure: PCR0 the image, PCR1 kernel, command line
// and first ramdisk, PCR2 the other ramdisks, and PCR8 the certificate that signed
// it, whose signature is verified.
//
// Two readers of one image must not see two things: the header's table and the
// sections must say the same, and nothing may lie between or behind them.
func EIF(r io.Reader) (Report, error) {
	header := make([]byte, eifHeaderSize)
	if _, err := io.ReadFull(r, header); err != nil {
		return Report{}, fmt.Errorf("not an enclave image: %w", err)
	}
	version, flags := binary.BigEndian.Uint16(header[4:]), binary.BigEndian.Uint16(header[6:])
	sections := int(binary.BigEndian.Uint16(header[26:]))
	switch {
	case string(header[:4]) != eifMagic:
		return Report{}, fmt.Errorf("not an enclave image: it begins with %q, not %q", header[:4], eifMagic)
	case version != eifVersion:
		return Report{}, fmt.Errorf("enclave image of version %d, only %d is known", version, eifVersion)
	case flags&^eifArm64 != 0 || binary.BigEndian.Uint16(header[24:]) != 0 || binary.BigEndian.Uint32(header[eifUnused:]) != 0:
		return Report{}, errors.New("a reserved field of the enclave image is not zero")
	case sections > eifMaxSections:
		return Report{}, fmt.Errorf("the enclave image has %d sections, at most %d are known", sections, eifMaxSections)
	}
	image := newImage()
	image.checksum.Write(header[:eifChecksum])
	offset := uint64(eifHeaderSize)
	for i := range eifMaxSections {
		wantOffset, wantSize := binary.BigEndian.Uint64(header[eifOffsets+8*i:]), binary.BigEndian.Uint64(header[eifSizes+8*i:])
		if i >= sections {
			if wantOffset != 0 || wantSize != 0 {
				return Report{}, fmt.Errorf("the header tells of a section %d, and of %d in all", i, sections)
			}
			continue
		}
		size, err := image.section(r)
		if err != nil {
			return Report{}, fmt.Errorf("section %d: %w", i, err)
		}
		if wantOffset != offset || wantSize != size {
			return Report{}, fmt.Errorf("section %d lies at %d with %d bytes, the header says %d and %d", i, offset, size, wantOffset, wantSize)
		}
		offset += sectionHeader + size
	}
	if n, err := io.Copy(io.Discard, io.LimitReader(r, 1)); err != nil || n != 0 {
		return Report{}, errors.Join(errors.New("something lies behind the last section"), err)
	}
	if got, want := image.checksum.Sum32(), binary.BigEndian.Uint32(header[eifChecksum:]); got != want {
		return Report{}, fmt.Errorf("the checksum is %08x, the header says %08x: the file is damaged", got, want)
	}
	return image.report(flags)
}

// An image is what has been read of an enclave image.
type image struct {
	checksum    hash.Hash32
	all         hash.Hash // PCR0
	boot        hash.Hash // PCR1
	application hash.Hash // PCR2
	seen        [sectionMetadata + 1]int
	commandLine []byte
	metadata    []byte
	signature   []byte
}

func newImage() *image {
	return &image{checksum: crc32.NewIEEE(), all: sha512.New384(), boot: sha512.New384(), application: sha512.New384()}
}

// section reads one section into the hashes that it belongs to.
func (m *image) section(r io.Reader) (size uint64, err error) {
	var head [sectionHeader]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, err
	}
	m.checksum.Write(head[:])
	kind, size := binary.BigEndian.Uint16(head[:]), binary.BigEndian.Uint64(head[4:])
	if binary.BigEndian.Uint16(head[2:]) != 0 {
		return 0, errors.New("its flags are not zero")
	}
	if kind == 0 || kind > sectionMetadata {
		return 0, fmt.Errorf("kind %d is not known", kind)
	}
	if err := m.inOrder(kind); err != nil {
		return 0, err
	}
	m.seen[kind]++
	switch kind {
	case sectionKernel:
		return size, copySection(r, size, m.checksum, m.all, m.boot)
	case sectionRamdisk:
		if m.seen[kind] == 1 {
			return size, copySection(r, size, m.checksum, m.all, m.boot)
		}
		return size, copySection(r, size, m.checksum, m.all, m.application)
	}
	if size > maxSmallSection {
		return 0, fmt.Errorf("it has %d bytes, at most %d make sense", size, maxSmallSection)
	}
	var text bytes.Buffer
	writers := []io.Writer{&text, m.checksum}
	if kind == sectionCommandLine {
		writers = append(writers, m.all, m.boot)
	}
	if err := copySection(r, size, writers...); err != nil {
		return 0, err
	}
	switch kind {
	case sectionCommandLine:
		m.commandLine = text.Bytes()
	case sectionMetadata:
		m.metadata = text.Bytes()
	case sectionSignature:
		m.signature = text.Bytes()
	}
	return size, nil
}

// inOrder returns an error unless a section of the kind may come now: the kernel,
// its command line and the ramdisks in that order, and of all others one.
func (m *image) inOrder(kind uint16) error {
	switch {
	case kind != sectionRamdisk && m.seen[kind] > 0:
		return errors.New("it comes twice")
	case kind == sectionCommandLine && m.seen[sectionKernel] == 0,
		kind == sectionRamdisk && m.seen[sectionCommandLine] == 0,
		kind == sectionSignature && m.seen[sectionRamdisk] == 0:
		return errors.New("it comes too early: the order is kernel, command line, ramdisks, signature")
	}
	return nil
}

func copySection(r io.Reader, size uint64, to ...io.Writer) error {
	n, err := io.Copy(io.MultiWriter(to...), io.LimitReader(r, int64(min(size, 1<<62))))
	if err == nil && uint64(n) != size {
		err = io.ErrUnexpectedEOF
	}
	return err
}

// extended is the value of a PCR that was zero and then extended once.
func extended(sum []byte) attest.Hex {
	value := sha512.Sum384(slices.Concat(make([]byte, sha512.Size384), sum))
	return value[:]
}

func (m *image) report(flags uint16) (Report, error) {
	if m.seen[sectionRamdisk] == 0 {
		return Report{}, errors.New("the enclave image has no ramdisk")
	}
	id := attest.Identity{Kind: attest.KindNitro, Measurements: map[string]attest.Hex{
		"pcr0": extended(m.all.Sum(nil)), "pcr1": extended(m.boot.Sum(nil)), "pcr2": extended(m.application.Sum(nil)),
	}}
	r := Report{Facts: map[string]string{
		"architecture": map[uint16]string{0: "x86_64", eifArm64: "aarch64"}[flags],
		"command line": string(m.commandLine),
		"ramdisks":     fmt.Sprint(m.seen[sectionRamdisk]),
		"signature":    "none: PCR8 will be zero",
	}}
	if m.metadata != nil {
		r.Facts["metadata"] = string(m.metadata)
	}
	if m.signature != nil {
		certificate, err := verifyImage(m.signature, id.Measurements["pcr0"])
		if err != nil {
			return Report{}, fmt.Errorf("signature of the enclave image: %w", err)
		}
		sum := sha512.Sum384(certificate.Raw)
		id.Signer = extended(sum[:])
		r.Facts["signature"] = fmt.Sprintf("verified, by %s, valid until %s", certificate.Subject, certificate.NotAfter.UTC().Format("2006-01-02"))
		r.Facts["pcr8"] = id.Signer.String()
	}
	for name, value := range id.Measurements {
		r.Facts[name] = value.String()
	}
	return r.accept(id), nil
}
