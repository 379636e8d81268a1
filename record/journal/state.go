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

// A stateBuilder makes a state of the items of a snapshot: itemStart, which names
// the segment that continues it, and an itemPut for each record.
type stateBuilder struct {
	start item
	state *state // nil before the start
	puts  uint64
}

func (b *stateBuilder) add(items []item) error {
	for _, it := range items {
		switch {
		case it.kind == itemStart && b.state == nil:
			b.start = it
			b.state = &state{at: it.at, unsettled: it.unsettled, records: make(map[record.Key]record.Record)}
		case it.kind == itemPut && b.state != nil:
			b.state.records[it.key] = it.record
			b.puts++
		default:
			return errPayload
		}
	}
	return nil
}

// finish returns the state if every record is there, once.
func (b *stateBuilder) finish() (*state, error) {
	if b.state == nil {
		return nil, errPayload
	}
	if n := uint64(len(b.state.records)); n != b.start.records || n != b.puts {
		return nil, fmt.Errorf("%d records of %d", n, b.start.records)
	}
	return b.state, nil
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
