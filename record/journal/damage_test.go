package journal

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/secure-signer/secure-signer/record"
)

// A writer of tiny journals: it does what a Store does, a frame at a time.
type tiny struct {
	t    testing.TB
	j    *folder
	disk *memDisk
	s    *state
	out  *output
}

// newTiny returns a journal with an empty segment of so many blocks.
func newTiny(t testing.TB, blocks int64) *tiny {
	t.Helper()
	y := &tiny{t: t, disk: newJournal(t)}
	y.j = newFolder(y.disk, "", testKey)
	y.s = &state{records: make(map[record.Key]record.Record)}
	y.out = y.segment(blocks)
	y.snapshot(y.out)
	return y
}

func (y *tiny) segment(blocks int64) *output {
	y.t.Helper()
	out, err := y.j.createSegment(blocks * blockSize)
	if err != nil {
		y.t.Fatal(err)
	}
	return out
}

func (y *tiny) snapshot(next *output) {
	y.t.Helper()
	if _, err := y.j.writeSnapshot(y.s, next.salt); err != nil {
		y.t.Fatal(err)
	}
}

// frame writes the next version of each key. If next is given, the frame is the
// last of its segment.
func (y *tiny) frame(next *output, keys ...record.Key) {
	y.t.Helper()
	var payload []byte
	for _, key := range keys {
		v := y.s.records[key].Version + 1
		payload = appendPut(payload, key, record.Record{Version: v, Value: valueOf(key, v)})
	}
	if next != nil {
		payload = appendNext(payload, next.salt)
	}
	after, err := y.out.write(y.s.at, payload)
	if err != nil {
		y.t.Fatal(err)
	}
	if _, err := y.s.apply(frame{before: y.s.at, after: after, payload: payload}); err != nil {
		y.t.Fatal(err)
	}
	if next != nil {
		y.out = next
	}
}

// read returns what Open would find.
func (y *tiny) read() (*state, error) { return y.j.readState() }

func (y *tiny) name(out *output) string { return segmentName(out.salt) }

func (y *tiny) bytes(name string) []byte { return y.disk.names[name].data }

func wantDamaged(t testing.TB, what string, err error, file string) {
	t.Helper()
	if !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), file) || !strings.Contains(err.Error(), remedy) {
		t.Errorf("%s: got error %v, want %v that names %s and what to do", what, err, ErrDamaged, file)
	}
}

// TestEveryBit flips each bit of a journal of three frames. Only in the last
// frame, and behind it, may the journal open, unsettled, with what came before.
func TestEveryBit(t *testing.T) {
	y := newTiny(t, 5)
	y.frame(nil, "a", "b")
	y.frame(nil, "b")
	before := maps.Clone(y.s.records)
	y.frame(nil, "a")
	segment := y.name(y.out)
	const lastFrame = 3 * blockSize

	opened, refused := 0, 0
	for _, file := range []string{snapshotName, segment} {
		b := y.bytes(file)
		for bit := range len(b) * 8 {
			if testing.Short() && bit%8 != bit/8%8 {
				continue // one bit of each byte
			}
			b[bit/8] ^= 1 << (bit % 8)
			got, err := y.read()
			b[bit/8] ^= 1 << (bit % 8)
			if file == snapshotName || bit/8 < lastFrame {
				refused++
				wantDamaged(t, fmt.Sprintf("bit %d of %s", bit, file), err, file)
				continue
			}
			opened++
			want := before
			if bit/8 >= lastFrame+blockSize {
				want = y.s.records
			}
			if err != nil || !got.unsettled || !equal(got.records, want) {
				t.Fatalf("bit %d of the last frame: %v, want the records before it, unsettled", bit, err)
			}
		}
		if t.Failed() {
			t.FailNow()
		}
	}
	t.Logf("refused %d, opened unsettled %d", refused, opened)
}

func equal(a, b map[record.Key]record.Record) bool {
	return maps.EqualFunc(a, b, func(a, b record.Record) bool {
		return a.Version == b.Version && string(a.Value) == string(b.Value)
	})
}

// TestRandomDamage flips bits anywhere in a small journal of several segments, and
// in a large one.
func TestRandomDamage(t *testing.T) {
	for _, test := range []struct {
		name            string
		more, flips     int // keys beside those of a run
		unsettled       int // of the flips, at least
		refused, unused int // per cent, at least and at most
	}{
		{"small", 0, 2000, 1, 10, 60},
		{"large", 4000, 400, 0, 30, 60},
	} {
		t.Run(test.name, func(t *testing.T) {
			d, truth := damageable(t, test.more)
			random := rand.New(rand.NewPCG(3, 4))
			files := slices.Sorted(maps.Keys(d.names))
			var size, refused, unsettled, unused int
			for _, file := range files {
				size += len(d.names[file].data)
			}
			for range test.flips {
				file := files[random.IntN(len(files))]
				b := d.names[file].data
				bit := random.IntN(len(b) * 8)
				b[bit/8] ^= 1 << (bit % 8)
				got, err := newFolder(d, "", testKey).readState()
				b[bit/8] ^= 1 << (bit % 8)
				switch {
				case err != nil:
					refused++
					wantDamaged(t, fmt.Sprintf("bit %d of %s", bit, file), err, file)
				case got.unsettled:
					unsettled++
				case !equal(got.records, truth):
					t.Fatalf("bit %d of %s: opened with other records, and settled", bit, file)
				default:
					unused++
				}
			}
			t.Logf("%d keys in %d bytes: refused %d, opened unsettled %d, in the segment in reserve %d", len(truth), size, refused, unsettled, unused)
			if refused*100 < test.flips*test.refused || unused*100 > test.flips*test.unused || unsettled < test.unsettled {
				t.Error("aimed badly")
			}
		})
	}
}

// damageable returns a journal after many changes, with so many keys more than
// those change, and what it holds.
func damageable(t *testing.T, more int) (*memDisk, map[record.Key]record.Record) {
	t.Helper()
	d := newJournal(t)
	s, err := openSmall(t, d)
	if err != nil {
		t.Fatal(err)
	}
	for i := range more {
		key := record.Key(fmt.Sprint("other ", i))
		if err := s.Create(t.Context(), key, valueOf(key, record.Version(i))); err != nil {
			t.Fatal(err)
		}
	}
	r := &run{make(map[record.Key]record.Version), make(map[record.Key]record.Version)}
	if err := r.write(t.Context(), s, 500); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return d, s.state.records
}

// newTwoSegments returns a journal of a snapshot and two segments: frames 1, 2 and
// 3 in the first, and 4 and 5 in the second.
func newTwoSegments(t *testing.T) (y *tiny, first, second string) {
	t.Helper()
	y = newTiny(t, 8)
	one, two := y.out, y.segment(8)
	y.frame(nil, "a")
	y.frame(nil, "b")
	y.frame(two, "a", "b")
	y.frame(nil, "a")
	y.frame(nil, "b")
	return y, y.name(one), y.name(two)
}

// TestDamagedFiles does to whole files what an accident or an attacker would.
func TestDamagedFiles(t *testing.T) {
	block := func(b []byte, i int) []byte { return b[i*blockSize : (i+1)*blockSize] }
	for _, test := range []struct {
		name   string
		damage func(y *tiny, first, second string) (blamed string)
	}{
		{"the snapshot is missing", func(y *tiny, first, second string) string {
			delete(y.disk.names, snapshotName)
			return ""
		}},
		{"the first segment is missing", func(y *tiny, first, second string) string {
			delete(y.disk.names, first)
			return first
		}},
		{"the last segment is missing", func(y *tiny, first, second string) string {
			delete(y.disk.names, second)
			return second
		}},
		{"segments are swapped", func(y *tiny, first, second string) string {
			a, b := y.disk.names[first], y.disk.names[second]
			a.data, b.data = b.data, a.data
			return first
		}},
		{"a segment is copied over the next", func(y *tiny, first, second string) string {
			y.disk.put(second, y.bytes(first))
			return second
		}},
		{"a segment is empty", func(y *tiny, first, second string) string {
			y.disk.put(second, nil)
			return second
		}},
		{"a segment is zeros", func(y *tiny, first, second string) string {
			clear(y.bytes(second))
			return second
		}},
		{"a segment has no frames left", func(y *tiny, first, second string) string {
			clear(y.bytes(first)[blockSize:])
			return second // it holds later ones
		}},
		{"a segment is cut behind its last frame", func(y *tiny, first, second string) string {
			y.disk.put(second, y.bytes(second)[:3*blockSize])
			return second
		}},
		{"a segment is longer", func(y *tiny, first, second string) string {
			y.disk.put(second, append(y.bytes(second), make([]byte, blockSize)...))
			return second
		}},
		{"a frame in the middle is zeros", func(y *tiny, first, second string) string {
			clear(block(y.bytes(second), 1))
			return second
		}},
		{"the last frame of a segment that is not the last is bad", func(y *tiny, first, second string) string {
			block(y.bytes(first), 3)[100]++
			return second
		}},
		{"frames are swapped", func(y *tiny, first, second string) string {
			a, b := block(y.bytes(second), 1), block(y.bytes(second), 2)
			c := slices.Clone(a)
			copy(a, b)
			copy(b, c)
			return second
		}},
		{"a frame is repeated", func(y *tiny, first, second string) string {
			copy(block(y.bytes(second), 3), block(y.bytes(second), 2))
			return second
		}},
		{"a frame of another segment is put behind the last", func(y *tiny, first, second string) string {
			copy(block(y.bytes(first), 4), block(y.bytes(second), 1))
			return first
		}},
		{"something stands far behind the last frame", func(y *tiny, first, second string) string {
			third := y.segment(maxFrame/blockSize + 10)
			y.frame(third, "a")
			b := y.bytes(y.name(third))
			b[len(b)-1] = 1
			return y.name(third)
		}},
		{"the snapshot is older than the rest", func(y *tiny, first, second string) string {
			empty := newTiny(y.t, 8)
			y.disk.put(snapshotName, empty.bytes(snapshotName))
			y.disk.put(empty.name(empty.out), empty.bytes(empty.name(empty.out)))
			return ""
		}},
		{"the first segment is older than the rest", func(y *tiny, first, second string) string {
			clear(block(y.bytes(first), 2))
			clear(block(y.bytes(first), 3))
			return second // it holds later ones
		}},
		{"the snapshot is empty", func(y *tiny, first, second string) string {
			y.disk.put(snapshotName, nil)
			return snapshotName
		}},
		{"the snapshot is copied over a segment", func(y *tiny, first, second string) string {
			y.disk.put(second, y.bytes(snapshotName))
			return second
		}},
		{"a segment is copied over the snapshot", func(y *tiny, first, second string) string {
			y.disk.put(snapshotName, y.bytes(first))
			return snapshotName
		}},
		{"the snapshot of a new journal is put in", func(y *tiny, first, second string) string {
			y.disk.put(snapshotName, newJournal(y.t).names[snapshotName].data)
			return ""
		}},
		{"the snapshot is cut between its frames", func(y *tiny, first, second string) string {
			for i := range 500 {
				key := record.Key(fmt.Sprint("key ", i))
				y.s.records[key] = record.Record{Version: 1, Value: make([]byte, record.MaxValueSize)}
			}
			y.snapshot(y.out)
			b := y.bytes(snapshotName)
			y.disk.put(snapshotName, b[:blockSize+maxFrame])
			return snapshotName
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			y, first, second := newTwoSegments(t)
			if s, err := y.read(); err != nil || s.at != y.s.at || s.unsettled {
				t.Fatalf("before the damage: %v", err)
			}
			blamed := test.damage(y, first, second)
			_, err := y.read()
			if _, ok := y.disk.names[snapshotName]; !ok {
				if !errors.Is(err, ErrMissing) || !strings.Contains(err.Error(), snapshotName) {
					t.Errorf("got %v, want %v", err, ErrMissing)
				}
				return
			}
			wantDamaged(t, test.name, err, blamed)
		})
	}
}

// TestPrefixesOpen states what a journal alone cannot notice: only who remembers
// its Head can.
func TestPrefixesOpen(t *testing.T) {
	y := newTiny(t, 8)
	y.frame(nil, "a")
	y.frame(nil, "b")
	segment := y.name(y.out)
	older := y.disk.restart()
	head := y.s.at
	y.frame(nil, "a")

	wantAt := func(what string, d *memDisk, want position) {
		t.Helper()
		s, err := newFolder(d, "", testKey).readState()
		if err != nil || s.unsettled || s.at != want {
			t.Errorf("%s: opened at %d, %v; want it at %d and settled", what, s.at.seq, err, want.seq)
		}
	}
	wantAt("an older copy of the folder", older, head)
	prefix := y.disk.restart()
	clear(prefix.names[segment].data[3*blockSize:])
	wantAt("a clean prefix", prefix, head)
	replaced := y.disk.restart()
	replaced.put(segment, older.names[segment].data)
	wantAt("an older segment", replaced, head)
	beside := y.disk.restart()
	beside.put("segment-0123456789abcdef", y.bytes(segment))
	beside.put("segment-0123456789abcdef.bak", nil)
	wantAt("a copy of a segment beside it", beside, y.s.at)
}

// TestTornFrame tears the last frame, of several blocks, at each of its sectors.
func TestTornFrame(t *testing.T) {
	const sector = 512
	keys := make([]record.Key, 200)
	for i := range keys {
		keys[i] = record.Key(fmt.Sprintf("key %03d", i))
	}
	y := newTiny(t, 32)
	y.frame(nil, "a")
	head := y.s.at
	y.frame(nil, keys...)
	b := y.bytes(y.name(y.out))
	from, to := 2*blockSize, int(y.out.offset)
	if to-from < 2*blockSize {
		t.Fatalf("frame of %d bytes", to-from)
	}
	whole := slices.Clone(b)
	for at := from; at < to; at += sector {
		for name, tear := range map[string]func(){
			"only what is before": func() { clear(b[at:]) },
			"only what is behind": func() { clear(b[from : at+sector]) },
			"all but one sector":  func() { clear(b[at : at+sector]) },
		} {
			tear()
			s, err := y.read()
			nothing := zero(b[from:])
			if err != nil || s.at != head || s.unsettled == nothing {
				t.Errorf("%s byte %d of the frame: at %d, unsettled %v, %v", name, at-from, s.at.seq, s.unsettled, err)
			}
			copy(b, whole)
		}
	}
}

func TestUnsettledStaysUntilSettled(t *testing.T) {
	d := newJournal(t)
	s, err := openSmall(t, d)
	if err != nil {
		t.Fatal(err)
	}
	r := &run{make(map[record.Key]record.Version), make(map[record.Key]record.Version)}
	if err := r.write(t.Context(), s, 6); err != nil {
		t.Fatal(err)
	}
	if s.Unsettled() {
		t.Error("a new journal is unsettled")
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	d.names[segmentName(s.current.salt)].data[6*blockSize+99]++ // in the last frame

	for _, changes := range []int{0, 0, changesInRun, 0} {
		if s, err = openSmall(t, d); err != nil {
			t.Fatal(err)
		}
		if !s.Unsettled() {
			t.Fatal("not unsettled any more, although nobody settled")
		}
		r := &run{make(map[record.Key]record.Version), make(map[record.Key]record.Version)}
		for e := range s.List(t.Context()) {
			r.asked[e.Key] = e.Version
		}
		if err := r.write(t.Context(), s, changes); err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if s, err = openSmall(t, d); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := s.Settle(t.Context()); err != nil || s.Unsettled() {
			t.Fatalf("settle: %v, unsettled %v", err, s.Unsettled())
		}
	}
	for range 2 {
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if s, err = openSmall(t, d); err != nil || s.Unsettled() {
			t.Fatalf("reopened: %v, unsettled again", err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestOpenRefuses(t *testing.T) {
	create := func(t *testing.T) string {
		dir := filepath.Join(t.TempDir(), "journal")
		if err := Create(dir, testKey); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	newer := func(t *testing.T, path string) {
		t.Helper()
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		b[19]++
		copy(b[headerUsed:headerRelease], "3.1.4")
		sum := sha256.Sum256(b[:headerSum])
		copy(b[headerSum:], sum[:])
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, test := range []struct {
		name string
		dir  func(t *testing.T) string
		key  [32]byte
		want error
		says string
	}{
		{"a folder that does not exist", func(t *testing.T) string { return filepath.Join(t.TempDir(), "absent") }, testKey, ErrMissing, "absent"},
		{"an empty folder", func(t *testing.T) string { return t.TempDir() }, testKey, ErrMissing, "snapshot"},
		{"another key", create, [32]byte{9}, ErrDamaged, "another key"},
		{"a snapshot of a newer release", func(t *testing.T) string {
			dir := create(t)
			newer(t, filepath.Join(dir, snapshotName))
			return dir
		}, testKey, ErrVersion, `version 2, this release reads version 1: use release "3.1.4" or newer`},
		{"a segment of a newer release", func(t *testing.T) string {
			dir := create(t)
			s, err := Open(dir, testKey)
			if err != nil {
				t.Fatal(err)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			newer(t, filepath.Join(dir, segmentName(s.current.salt)))
			return dir
		}, testKey, ErrVersion, `version 2, this release reads version 1: use release "3.1.4" or newer`},
		{"a snapshot that cannot be read", func(t *testing.T) string {
			dir := create(t)
			path := filepath.Join(dir, snapshotName)
			if err := errors.Join(os.Remove(path), os.Mkdir(path, 0o700)); err != nil {
				t.Fatal(err)
			}
			return dir
		}, testKey, syscall.EISDIR, "snapshot"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := Open(test.dir(t), test.key)
			if !errors.Is(err, test.want) || !strings.Contains(err.Error(), test.says) {
				t.Errorf("got %v, want %v that says %q", err, test.want, test.says)
			}
		})
	}
}
