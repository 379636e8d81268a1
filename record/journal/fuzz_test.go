package journal

import (
	"errors"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/secure-signer/secure-signer/record"
)

// FuzzDecode seals any payload as it would be if this release were wrong: what
// decode accepts it must give back, and no journal may panic over it.
func FuzzDecode(f *testing.F) {
	f.Add(appendPut(nil, "key", record.Record{Version: 7, Value: []byte("value")}))
	f.Add(append(appendNext(nil, salt{1}), byte(itemSettled), 0, 0))
	f.Add(appendStart(nil, &state{unsettled: true, records: map[record.Key]record.Record{"key": {}}}, salt{2}))
	f.Add([]byte{0, 1})
	f.Fuzz(func(t *testing.T, payload []byte) {
		items, err := decode(payload)
		if err == nil {
			again, err := decode(encodeItems(items))
			if err != nil {
				t.Fatalf("encoded again: %v", err)
			}
			if diff := cmp.Diff(items, again, cmp.AllowUnexported(item{}, position{})); diff != "" {
				t.Fatalf("encoded again (-first +second):\n%s", diff)
			}
		}
		if len(payload) > maxPayload {
			return
		}
		y := newTiny(t, maxFrame/blockSize+1)
		if _, err := y.out.write(y.s.at, payload); err != nil {
			t.Fatal(err)
		}
		if _, err := y.read(); err != nil && !errors.Is(err, ErrDamaged) {
			t.Errorf("as a frame of a segment: %v", err)
		}
		snapshot, err := y.j.createFile(snapshotName, newHeader(snapshotMagic, 0))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := snapshot.write(position{}, payload); err != nil {
			t.Fatal(err)
		}
		if _, err := y.read(); err != nil && !errors.Is(err, ErrDamaged) {
			t.Errorf("as a snapshot: %v", err)
		}
	})
}

func encodeItems(items []item) []byte {
	var b []byte
	for _, it := range items {
		switch it.kind {
		case itemPut:
			b = appendPut(b, it.key, it.record)
		case itemNext:
			b = appendNext(b, it.segment)
		case itemSettled:
			b = append(b, byte(itemSettled))
		case itemStart:
			s := &state{at: it.at, unsettled: it.unsettled}
			at := len(b)
			b = appendStart(b, s, it.segment)
			for i := range 8 { // the number of records, which s does not have
				b[at+1+40+1+i] = byte(it.records >> (56 - 8*i))
			}
		}
	}
	return b
}

// FuzzFiles overwrites a part of a journal's files with anything. It may open
// only with a prefix of its history, and unless that is a clean one, unsettled.
func FuzzFiles(f *testing.F) {
	f.Add(false, uint16(20), []byte{1})
	f.Add(true, uint16(0), []byte("SIGNER SEGMENT"))
	f.Add(true, uint16(blockSize), []byte{0, 0, 0, 2})
	f.Add(true, uint16(3*blockSize), []byte{0, 0, 0, 0})
	f.Add(true, uint16(4*blockSize), []byte{0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 4})
	f.Fuzz(func(t *testing.T, segment bool, at uint16, with []byte) {
		y := newTiny(t, 6)
		history := []position{y.s.at}
		for range 3 {
			y.frame(nil, "a", "b")
			history = append(history, y.s.at)
		}
		segmentName := y.name(y.out)
		b := y.bytes(snapshotName)
		if segment {
			b = y.bytes(segmentName)
		}
		before := string(b)
		copy(b[int(at)%len(b):], with)
		s, err := y.read()
		switch {
		case errors.Is(err, ErrDamaged):
		case err != nil:
			t.Fatal(err)
		case string(b) == before:
			if s.at != y.s.at || s.unsettled {
				t.Fatalf("unchanged, but opened at %d", s.at.seq)
			}
		case !slices.Contains(history, s.at):
			t.Fatalf("opened at %d, which is no prefix", s.at.seq)
		case !s.unsettled && !zero(y.bytes(segmentName)[(1+s.at.seq)*blockSize:]):
			t.Fatalf("opened settled at %d, although something follows", s.at.seq)
		}
	})
}
