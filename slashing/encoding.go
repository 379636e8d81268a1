package slashing

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/secure-signer/secure-signer/eth2"
)

// A record is the magic, the version, a byte of flags, and then only what the
// flags say is present, in the order of the flags; numbers are big-endian. Each
// State has exactly one encoding, of 118 bytes at most.
const (
	recordMagic   = "slsh"
	recordVersion = 1

	recordHeader = len(recordMagic) + 2
)

const (
	flagBlock       byte = 1 << iota // slot, root
	flagAttestation                  // source, target, root
	flagFloorSlot                    // slot
	flagFloorSource                  // epoch
	flagFloorTarget                  // epoch
	flagDisabled                     // nothing
	flagUnknown                      // the first bit without a meaning
)

var errNoRecordFormat = errors.New("not a slashing record")

// MarshalBinary returns the record of s. Its error is always nil.
func (s State) MarshalBinary() ([]byte, error) {
	b := make([]byte, recordHeader, 128)
	copy(b, recordMagic)
	b[recordHeader-2] = recordVersion
	var flags byte
	number := func(flag byte, numbers ...uint64) {
		flags |= flag
		for _, n := range numbers {
			b = binary.BigEndian.AppendUint64(b, n)
		}
	}
	if a := s.block; a.present {
		number(flagBlock, uint64(a.slot))
		b = append(b, a.root[:]...)
	}
	if a := s.attestation; a.present {
		number(flagAttestation, uint64(a.source), uint64(a.target))
		b = append(b, a.root[:]...)
	}
	if s.floors.HasSlot {
		number(flagFloorSlot, uint64(s.floors.Slot))
	}
	if s.floors.HasSource {
		number(flagFloorSource, uint64(s.floors.Source))
	}
	if s.floors.HasTarget {
		number(flagFloorTarget, uint64(s.floors.Target))
	}
	if s.disabled {
		flags |= flagDisabled
	}
	b[recordHeader-1] = flags
	return b, nil
}

// UnmarshalBinary reads a record. It accepts only what MarshalBinary writes, and
// leaves s as it was if it returns an error.
func (s *State) UnmarshalBinary(b []byte) error {
	if len(b) < recordHeader || string(b[:len(recordMagic)]) != recordMagic {
		return errNoRecordFormat
	}
	if v := b[recordHeader-2]; v != recordVersion {
		return fmt.Errorf("slashing record has format %d, this release reads format %d: use the release that wrote it, or a newer one", v, recordVersion)
	}
	flags := b[recordHeader-1]
	if flags >= flagUnknown {
		return fmt.Errorf("slashing record has unknown flags %#x", flags)
	}
	r := reader{rest: b[recordHeader:]}
	next := State{disabled: flags&flagDisabled != 0}
	if flags&flagBlock != 0 {
		next.block = signedBlock{present: true, slot: eth2.Slot(r.number()), root: r.root()}
	}
	if flags&flagAttestation != 0 {
		next.attestation = signedAttestation{present: true, source: eth2.Epoch(r.number()), target: eth2.Epoch(r.number()), root: r.root()}
	}
	f := &next.floors
	if flags&flagFloorSlot != 0 {
		f.HasSlot, f.Slot = true, eth2.Slot(r.number())
	}
	if flags&flagFloorSource != 0 {
		f.HasSource, f.Source = true, eth2.Epoch(r.number())
	}
	if flags&flagFloorTarget != 0 {
		f.HasTarget, f.Target = true, eth2.Epoch(r.number())
	}
	if r.short || len(r.rest) != 0 {
		return fmt.Errorf("slashing record has a length of %d bytes that is not its flags' %#x", len(b), flags)
	}
	if a := next.attestation; a.present && !isVote(a.source, a.target) {
		return fmt.Errorf("slashing record says that a vote from epoch %d to %d was signed", a.source, a.target)
	}
	*s = next
	return nil
}

// A reader takes fields off a record. Where the record is too short they are
// zero, and short says so.
type reader struct {
	rest  []byte
	short bool
}

func (r *reader) number() uint64 {
	if len(r.rest) < 8 {
		r.short = true
		return 0
	}
	n := binary.BigEndian.Uint64(r.rest)
	r.rest = r.rest[8:]
	return n
}

func (r *reader) root() eth2.Root {
	var root eth2.Root
	if len(r.rest) < len(root) {
		r.short = true
		return root
	}
	r.rest = r.rest[copy(root[:], r.rest):]
	return root
}
