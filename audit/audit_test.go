package audit

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/mod/sumdb/tlog"
	"pgregory.net/rapid"

	"github.com/secure-signer/secure-signer/bls"
	"github.com/secure-signer/secure-signer/eth2"
	"github.com/secure-signer/secure-signer/signer"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func testKey(t testing.TB) *Key {
	t.Helper()
	k, err := NewKey([32]byte{7})
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// never is when a log of a test flushes by itself.
const never = time.Hour

// config is of a log that flushes when it is told to.
func config(t testing.TB, dir string) Config {
	return Config{
		Dir: dir, Key: testKey(t), Journal: func() uint64 { return 40 }, Every: never,
		Log: slog.New(slog.DiscardHandler), Now: func() time.Time { return time.Unix(1700000000, 0) },
	}
}

func open(t testing.TB, c Config) *Log {
	t.Helper()
	l, err := Open(c)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func closeLog(t testing.TB, l *Log) {
	t.Helper()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

// decision is the i-th of a log: every third is refused.
func decision(i int) signer.Decision {
	d := signer.Decision{
		Time: time.Unix(1700000000+int64(i), 0), Caller: signer.Caller{Name: "127.0.0.1"}, Key: bls.PublicKey{byte(i)},
		Message: &eth2.Attestation{Data: eth2.AttestationData{
			Slot: eth2.Slot(32 * i), Source: eth2.Checkpoint{Epoch: eth2.Epoch(i)}, Target: eth2.Checkpoint{Epoch: eth2.Epoch(i + 1)},
		}},
		Root: eth2.Root{byte(i)},
	}
	if i%3 == 2 {
		d.Refusal = &signer.Refusal{Reason: signer.ReasonDoubleVote, Err: fmt.Errorf("target %d is signed", i)}
	}
	return d
}

// decide puts the decisions from first to before end in l.
func decide(t testing.TB, l *Log, first, end int) {
	t.Helper()
	for i := first; i < end; i++ {
		if err := l.Reserve(); err != nil {
			t.Fatal(err)
		}
		l.Decided(decision(i))
	}
}

// batches writes a log of a clean run: one batch for each number of decisions.
func batches(t testing.TB, c Config, sizes ...int) {
	t.Helper()
	l := open(t, c)
	next := 0
	for _, n := range sizes {
		decide(t, l, next, next+n)
		next += n
		flush(t, l)
	}
	closeLog(t, l)
}

func flush(t testing.TB, l *Log) {
	t.Helper()
	if err := l.flush(nil); err != nil {
		t.Fatal(err)
	}
}

func verify(t testing.TB, path string, r Reading) Report {
	t.Helper()
	if r.Key == nil {
		r.Key = testKey(t)
	}
	report, err := Verify(path, r)
	if err != nil {
		t.Fatal(err)
	}
	return report
}

// events of a folder that is right, in order.
func events(t testing.TB, dir string) (all []Entry) {
	t.Helper()
	report := verify(t, dir, Reading{Entry: func(_ string, _ int64, _ []byte, e Entry) { all = append(all, e) }})
	if len(report.Problems) > 0 {
		t.Fatalf("problems: %v", report.Problems)
	}
	return all
}

func names(all []Entry) string {
	var s []string
	for _, e := range all {
		s = append(s, e.Event)
	}
	return strings.Join(s, " ")
}

func read(t testing.TB, path string) []byte {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func write(t testing.TB, path string, text []byte) {
	t.Helper()
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestALogTellsEveryDecisionAndWhoAskedForWhat(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "audit")
	batches(t, config(t, dir), 2, 1)
	all := events(t, dir)
	if got, want := names(all), "segment signed signed refused stopped"; got != want {
		t.Fatalf("got %s, want %s", got, want)
	}
	d := decision(2)
	e := all[3]
	if e.Caller != "127.0.0.1" || e.Kind != "ATTESTATION" || e.Key != d.Key.String() || *e.SigningRoot != d.Root || !e.Time.Equal(d.Time) ||
		*e.Slot != 64 || e.Source.Epoch != 2 || e.Target.Epoch != 3 || e.Reason != signer.ReasonDoubleVote || e.Detail != "target 2 is signed" || e.Journal != 40 {
		t.Errorf("got %+v", e)
	}
}

func TestARequestThatCouldNotBeReadIsTold(t *testing.T) {
	dir := t.TempDir()
	l := open(t, config(t, dir))
	if err := l.Reserve(); err != nil {
		t.Fatal(err)
	}
	long := "\xff" + strings.Repeat("\"", 1<<20)
	l.Decided(signer.Decision{Caller: signer.Caller{Name: long}, Refusal: &signer.Refusal{Reason: signer.ReasonMalformedRequest, Err: errors.New(long)}})
	closeLog(t, l)
	e := events(t, dir)[1]
	if e.Event != EventRefused || e.Key != "" || len(e.Caller) > maxCaller || len(e.Detail) > maxDetail {
		t.Errorf("got %+v", e)
	}
}

func TestATreeIsTheOneOfRFC6962(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var grown tree
		stored := map[int64]tlog.Hash{}
		n := rapid.IntRange(1, 70).Draw(t, "entries")
		restart := rapid.IntRange(0, n).Draw(t, "the segment begins after")
		for i := range n {
			if i == restart { // what a segment has of those before it
				again, err := newTree(grown.size, grown.peaks)
				if err != nil {
					t.Fatal(err)
				}
				again.tell(func(at int64, h tlog.Hash) {
					if stored[at] != h {
						t.Fatalf("peak %d differs", at)
					}
				})
				grown = again
			}
			grown.add(fmt.Append(nil, i), func(at int64, h tlog.Hash) { stored[at] = h })
		}
		want, err := tlog.TreeHash(int64(n), tlog.HashReaderFunc(func(at []int64) (hs []tlog.Hash, _ error) {
			for _, i := range at {
				hs = append(hs, stored[i])
			}
			return hs, nil
		}))
		if err != nil || grown.root() != want || int64(len(stored)) != tlog.StoredHashCount(int64(n)) {
			t.Fatalf("root %v of %d hashes, want %v of %d (%v)", grown.root(), len(stored), want, tlog.StoredHashCount(int64(n)), err)
		}
	})
}

func TestAFullQueueRefusesAndTellsHowManyItRefused(t *testing.T) {
	dir := t.TempDir()
	c := config(t, dir)
	c.Places = 3
	l := open(t, c)
	for range 3 {
		if err := l.Reserve(); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		if err := l.Reserve(); !errors.Is(err, ErrFull) {
			t.Fatalf("got %v, want ErrFull: places that were promised are taken", err)
		}
	}
	if !l.Full() {
		t.Error("no place is left, and it is not full")
	}
	l.Decided(decision(0))
	flush(t, l)
	if l.Full() {
		t.Error("a place was given back, and it is full")
	}
	if s := l.Stats(); s.Waiting != 2 || s.Unlogged != 2 {
		t.Errorf("got %+v", s)
	}
	if err := l.Reserve(); err != nil {
		t.Fatalf("a place was given back: %v", err)
	}
	if err := l.Reserve(); !errors.Is(err, ErrFull) {
		t.Fatalf("got %v, want ErrFull: one place was given back, and no more", err)
	}
	for _, i := range []int{1, 3, 4} {
		l.Decided(decision(i))
	}
	closeLog(t, l)
	counts, refused := map[string]int{}, uint64(0)
	for _, e := range events(t, dir) {
		counts[e.Event]++
		refused += e.Count
	}
	if counts[EventSigned] != 4 || counts[EventUnlogged] == 0 || refused != 3 {
		t.Errorf("got %v and %d refused without an entry, want 4 signed and 3", counts, refused)
	}
	if err := l.Reserve(); !errors.Is(err, ErrClosed) {
		t.Errorf("closed: got %v", err)
	}
}

func TestTheWriterFlushesByItselfInTimeAndWhenMuchIsQueued(t *testing.T) {
	for _, c := range []struct {
		name   string
		every  time.Duration
		places int
	}{{"in time", time.Millisecond, 0}, {"when much is queued", never, 8}} {
		t.Run(c.name, func(t *testing.T) {
			cfg := config(t, t.TempDir())
			cfg.Every, cfg.Places = c.every, c.places
			l := open(t, cfg)
			defer closeLog(t, l)
			decide(t, l, 0, 1)
			for deadline := time.Now().Add(30 * time.Second); l.Stats().Waiting > 0; time.Sleep(time.Millisecond) {
				if time.Now().After(deadline) {
					t.Fatal("not written")
				}
			}
			if got := l.Stats().Entries; got != 2 {
				t.Errorf("got %d entries, want the segment's and one", got)
			}
		})
	}
}

// TestADiskThatFailsLosesNothing takes the folder away, as a disk that is full takes
// its room.
func TestADiskThatFailsLosesNothing(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "audit")
	c := config(t, dir)
	c.Places = 16
	l := open(t, c)
	if err := l.file.Close(); err != nil { // no write succeeds any more
		t.Fatal(err)
	}
	if err := os.Rename(dir, dir+".away"); err != nil { // nor a new file
		t.Fatal(err)
	}
	for i := range 16 {
		decide(t, l, i, i+1)
		if err := l.flush(nil); err == nil {
			t.Fatal("a write to nowhere succeeded")
		}
	}
	if err := l.Reserve(); !errors.Is(err, ErrFull) {
		t.Fatalf("got %v, want ErrFull", err)
	}
	if err := os.Rename(dir+".away", dir); err != nil {
		t.Fatal(err)
	}
	flush(t, l)
	if err := l.Reserve(); err != nil {
		t.Errorf("it is whole again, and refuses: %v", err)
	}
	l.Decided(decision(16))
	closeLog(t, l)
	got := names(events(t, dir))
	want := "segment segment " + strings.TrimSpace(strings.Repeat("signed signed refused ", 5)) + " signed unlogged signed stopped"
	if got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
}

func TestRotationKeepsWhatIsLeftVerifiable(t *testing.T) {
	dir := t.TempDir()
	c := config(t, dir)
	c.SegmentBytes, c.KeepBytes = 1500, 12000
	l := open(t, c)
	var kept []byte
	for i := range 40 {
		decide(t, l, i, i+1)
		flush(t, l)
		if i == 35 {
			kept = []byte(verify(t, dir, Reading{}).Checkpoint)
		}
	}
	closeLog(t, l)
	files, err := segments(dir)
	if err != nil {
		t.Fatal(err)
	}
	var all int64
	for _, f := range files {
		all += f.size
	}
	if files[0].number < 3 || all > c.KeepBytes+2*c.SegmentBytes {
		t.Errorf("%d bytes are kept, from file %d on", all, files[0].number)
	}
	report := verify(t, dir, Reading{Kept: kept})
	if len(report.Problems) > 0 || !report.Kept || report.Trees != 1 || report.First == 0 {
		t.Errorf("got %+v", report)
	}
	for index := report.First; index < report.Entries; index++ {
		proof, err := Prove(dir, c.Key, index)
		if err != nil {
			t.Fatalf("entry %d: %v", index, err)
		}
		if _, _, at, err := CheckProof(proof, c.Key); err != nil || at != index {
			t.Fatalf("the proof of entry %d says %d, %v", index, at, err)
		}
	}
	if _, err := Prove(dir, c.Key, report.First-1); err == nil {
		t.Error("an entry that is not kept was proved")
	}
	if err := os.Remove(files[1].path); err != nil {
		t.Fatal(err)
	}
	if report := verify(t, dir, Reading{}); len(report.Problems) == 0 {
		t.Error("a file is missing in the middle, and nobody says so")
	}
}

func TestALogThatWasCutBackDoesNotContinueWhatWasKept(t *testing.T) {
	dir := t.TempDir()
	c := config(t, dir)
	batches(t, c, 3)
	path := segmentPath(dir, 1)
	early := read(t, path)
	l := open(t, c)
	decide(t, l, 3, 9)
	closeLog(t, l)
	kept := []byte(verify(t, dir, Reading{}).Checkpoint)
	write(t, path, early)
	if report := verify(t, dir, Reading{}); len(report.Problems) > 0 {
		t.Errorf("an earlier log is one: %v", report.Problems)
	}
	if report := verify(t, dir, Reading{Kept: kept}); len(report.Problems) != 1 || report.Kept {
		t.Errorf("it was cut back: got %+v", report)
	}
}

// TestEveryChangedByteIsFound changes each byte of a log of several files, in two ways.
func TestEveryChangedByteIsFound(t *testing.T) {
	dir := t.TempDir()
	c := config(t, dir)
	c.SegmentBytes = 1000
	batches(t, c, 1, 1)
	files, err := segments(dir)
	if err != nil || len(files) < 2 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, f := range files {
		path := f.path
		good := read(t, path)
		for i := range good {
			for _, flip := range []byte{1, 0x20} {
				bad := bytes.Clone(good)
				bad[i] ^= flip
				write(t, path, bad)
				report := verify(t, dir, Reading{})
				if len(report.Problems) == 0 || report.Problems[0].File != path {
					t.Fatalf("%s byte %d ^ %#x: %q for %q, and the report is %+v", path, i, flip, bad[i], good[i], report)
				}
			}
		}
		write(t, path, good)
	}
	if report := verify(t, dir, Reading{}); report.Files != len(files) || len(report.Problems) > 0 {
		t.Errorf("as it was: got %+v", report)
	}
}

func TestAnotherKeysLogIsFound(t *testing.T) {
	dir := t.TempDir()
	c := config(t, dir)
	batches(t, c, 3)
	other, err := NewKey([32]byte{8})
	if err != nil {
		t.Fatal(err)
	}
	key, err := ParseKey(other.Public() + "\n")
	if err != nil {
		t.Fatal(err)
	}
	if report := verify(t, dir, Reading{Key: key}); len(report.Problems) == 0 {
		t.Error("it verifies with a key that has not signed it")
	}
	if _, err := ParseKey("sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8"); err == nil {
		t.Error("the key of something else was taken")
	}
}

func TestAChangedProofProvesNothing(t *testing.T) {
	dir := t.TempDir()
	c := config(t, dir)
	batches(t, c, 5)
	proof, err := Prove(dir, c.Key, 3)
	if err != nil {
		t.Fatal(err)
	}
	e, _, index, err := CheckProof(proof, c.Key)
	if err != nil || index != 3 || e.Event != EventRefused {
		t.Fatalf("got %+v, %d, %v", e, index, err)
	}
	for i := range proof {
		bad := bytes.Clone(proof)
		bad[i] ^= 1
		if _, _, _, err := CheckProof(bad, c.Key); err == nil {
			t.Fatalf("byte %d: %q for %q still proves it", i, bad[i], proof[i])
		}
	}
}

// TestAfterACrashAtAnyByteTheLogGoesOn cuts a log wherever a crash may have, and
// also leaves zeros where a disk had not written yet.
func TestAfterACrashAtAnyByteTheLogGoesOn(t *testing.T) {
	source := t.TempDir()
	c := config(t, source)
	batches(t, c, 2, 1)
	whole := read(t, segmentPath(source, 1))
	first := bytes.Index(whole, []byte("\n— ")) + 1
	first += bytes.IndexByte(whole[first:], '\n') + 1 // the first file came whole, by its name
	step := 7
	if os.Getenv("SECURE_SIGNER_LONG") != "" {
		step = 1
	}
	for cut := first; cut < len(whole); cut += step {
		for _, zeros := range []int{0, 300} {
			dir := t.TempDir()
			write(t, segmentPath(dir, 1), append(bytes.Clone(whole[:cut]), make([]byte, zeros)...))
			c.Dir = dir
			c.Journal = func() uint64 { return 43 }
			closeLog(t, open(t, c))
			all := events(t, dir)
			gap := all[len(all)-2]
			if gap.Event != EventGap || gap.Gap.Before != 40 || gap.Gap.After != 43 {
				t.Fatalf("cut at %d: got %s, %+v", cut, names(all), gap)
			}
			kept := bytes.LastIndex(whole[:cut], []byte("\n— "))
			kept += bytes.IndexByte(whole[kept+1:], '\n') + 2
			if kept > cut { // the signature's line is torn
				kept = bytes.LastIndex(whole[:bytes.LastIndex(whole[:cut], []byte("\n— "))], []byte("\n— "))
				kept += bytes.IndexByte(whole[kept+1:], '\n') + 2
			}
			if want := cut - kept + zeros; gap.Gap.Cut != want {
				t.Fatalf("cut at %d: the gap says %d bytes, want %d", cut, gap.Gap.Cut, want)
			}
		}
	}
}

func TestACleanStopIsNoGapUnlessTheJournalWentOn(t *testing.T) {
	dir := t.TempDir()
	c := config(t, dir)
	batches(t, c, 1)
	closeLog(t, open(t, c))
	c.Journal = func() uint64 { return 41 }
	closeLog(t, open(t, c))
	if got, want := names(events(t, dir)), "segment signed stopped started stopped gap stopped"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestDamageInTheMiddleIsKeptAndAnotherTreeBegun(t *testing.T) {
	dir := t.TempDir()
	c := config(t, dir)
	batches(t, c, 2, 1)
	path := segmentPath(dir, 1)
	bad := bytes.Replace(read(t, path), []byte("127.0.0.1"), []byte("127.0.0.9"), 1)
	write(t, path, bad)
	var loud atomic.Bool
	c.Log = slog.New(slog.NewTextHandler(writerFunc(func(b []byte) { loud.Store(loud.Load() || bytes.Contains(b, []byte("damaged"))) }), nil))
	l := open(t, c)
	decide(t, l, 0, 1)
	closeLog(t, l)
	if !loud.Load() || !bytes.Equal(read(t, path), bad) {
		t.Error("the damaged file was changed, or nobody was told")
	}
	report := verify(t, dir, Reading{})
	if len(report.Problems) != 2 || report.Problems[0].File != path || report.Problems[0].Offset == 0 || report.Trees != 2 {
		t.Errorf("got %+v", report)
	}
	if report := verify(t, segmentPath(dir, 2), Reading{}); len(report.Problems) != 0 || report.Entries != 3 {
		t.Errorf("the new file alone: got %+v", report)
	}
}

type writerFunc func([]byte)

func (f writerFunc) Write(b []byte) (int, error) { f(b); return len(b), nil }
