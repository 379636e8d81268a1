package journal

import (
	"bytes"
	"encoding/binary"
	"errors"
	"slices"

	"github.com/secure-signer/secure-signer/record"
)

// A payload is a list of items, each a byte for its kind and what follows from
// that. Numbers are big endian.
type kind byte

const (
	itemEnd     kind = iota // only zeros follow
	itemPut                 // size of key (1), key, version (8), size of value (2), value
	itemNext                // salt of the segment that continues history after this frame
	itemSettled             // the state is not unsettled any more
	itemStart               // first in a snapshot: position (40), unsettled (1), number of records (8), salt of the segment that continues it
)

const (
	nextSize = 1 + 32
	// maxPayload leaves room in every frame to name the next segment.
	maxPayload = maxFrame - frameOverhead - nextSize
)

// An item holds what its kind has.
type item struct {
	kind      kind
	key       record.Key    // itemPut
	record    record.Record // itemPut
	segment   salt          // itemNext, itemStart
	at        position      // itemStart, as all below
	unsettled bool
	records   uint64
}

func putSize(key record.Key, r record.Record) int { return 1 + 1 + len(key) + 8 + 2 + len(r.Value) }

func appendPut(b []byte, key record.Key, r record.Record) []byte {
	b = append(b, byte(itemPut), byte(len(key)))
	b = append(b, key...)
	b = binary.BigEndian.AppendUint64(b, uint64(r.Version))
	b = binary.BigEndian.AppendUint16(b, uint16(len(r.Value)))
	return append(b, r.Value...)
}

func appendNext(b []byte, segment salt) []byte {
	return append(append(b, byte(itemNext)), segment[:]...)
}

func appendStart(b []byte, s *state, segment salt) []byte {
	b = append(b, byte(itemStart))
	b = binary.BigEndian.AppendUint64(b, s.at.seq)
	b = append(b, s.at.hash[:]...)
	var unsettled byte
	if s.unsettled {
		unsettled = 1
	}
	b = append(b, unsettled)
	b = binary.BigEndian.AppendUint64(b, uint64(len(s.records)))
	return append(b, segment[:]...)
}

var errPayload = errors.New("payload is not a list of items")

// decode splits a payload. It is authentic, so that an error is a mistake of ours.
func decode(payload []byte) ([]item, error) {
	var items []item
	r := reader{rest: payload}
	for len(r.rest) > 0 && kind(r.rest[0]) != itemEnd {
		it := item{kind: kind(r.uint(1))}
		switch it.kind {
		case itemPut:
			it.key = record.Key(r.bytes(int(r.uint(1))))
			it.record.Version = record.Version(r.uint(8))
			it.record.Value = slices.Clone(r.bytes(int(r.uint(2))))
			if it.record.Version == 0 || record.Check(it.key, it.record.Value) != nil {
				return nil, errPayload
			}
		case itemNext:
			it.segment = salt(r.bytes(32))
		case itemSettled:
		case itemStart:
			it.at = position{r.uint(8), [32]byte(r.bytes(32))}
			it.unsettled = r.uint(1) != 0
			it.records = r.uint(8)
			it.segment = salt(r.bytes(32))
		default:
			return nil, errPayload
		}
		items = append(items, it)
	}
	if r.short || !zero(r.rest) {
		return nil, errPayload
	}
	return items, nil
}

// A reader takes fields off the front of rest. Once there are too few bytes,
// short is true and every field is zero.
type reader struct {
	rest  []byte
	short bool
}

func (r *reader) bytes(n int) []byte {
	if n > len(r.rest) {
		*r = reader{short: true}
		return make([]byte, n)
	}
	b := r.rest[:n]
	r.rest = r.rest[n:]
	return b
}

func (r *reader) uint(n int) uint64 {
	var v uint64
	for _, c := range r.bytes(n) {
		v = v<<8 | uint64(c)
	}
	return v
}

func zero(b []byte) bool { return bytes.Count(b, []byte{0}) == len(b) }
