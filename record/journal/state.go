package journal

import (
	"fmt"
	"maps"

	"github.com/secure-signer/secure-signer/record"
)

// state is what a journal holds at a position in its history. A value is never
// written to once it is in records, so that copies may share it.
type state struct {
	at        position
	unsettled bool
	records   map[record.Key]record.Record
}

// newState returns the state that a snapshot of these items holds, and the
// segment that continues it.
func newState(items []item) (*state, salt, error) {
	if len(items) == 0 || items[0].kind != itemStart {
		return nil, salt{}, errPayload
	}
	first, puts := items[0], items[1:]
	s := &state{at: first.at, unsettled: first.unsettled, records: make(map[record.Key]record.Record, len(puts))}
	for _, it := range puts {
		if it.kind != itemPut {
			return nil, salt{}, errPayload
		}
		s.records[it.key] = it.record
	}
	if n := uint64(len(s.records)); n != first.records || n != uint64(len(puts)) {
		return nil, salt{}, fmt.Errorf("%d records of %d", n, first.records)
	}
	return s, first.segment, nil
}

func (s *state) clone() *state {
	c := *s
	c.records = maps.Clone(s.records)
	return &c
}

// size returns the bytes that the records take in a snapshot.
func (s *state) size() int64 {
	var n int64
	for key, r := range s.records {
		n += int64(putSize(key, r))
	}
	return n
}

// apply takes the state over a frame of a segment. If the frame is the last one
// of its segment, it returns the segment that follows.
func (s *state) apply(f frame) (next *salt, err error) {
	if f.before != s.at {
		return nil, fmt.Errorf("a frame that continues number %d stands behind number %d", f.before.seq, s.at.seq)
	}
	items, err := decode(f.payload)
	if err != nil {
		return nil, err
	}
	for _, it := range items {
		switch it.kind {
		case itemPut:
			if it.record.Version != s.records[it.key].Version+1 {
				return nil, fmt.Errorf("version %d follows %d", it.record.Version, s.records[it.key].Version)
			}
			s.records[it.key] = it.record
		case itemSettled:
			s.unsettled = false
		case itemNext:
			next = &it.segment
		default:
			return nil, errPayload
		}
	}
	s.at = f.after
	return next, nil
}
