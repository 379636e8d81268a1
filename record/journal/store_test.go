package journal

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/secure-signer/secure-signer/record"
	"github.com/secure-signer/secure-signer/record/recordtest"
)

func TestStore(t *testing.T) {
	dirs := make(map[record.Store]string)
	reopen := func(t testing.TB, dir string) record.Store {
		s := mustOpen(t, dir)
		dirs[s] = dir
		return s
	}
	recordtest.Run(t, recordtest.Harness{
		Open: func(t testing.TB) record.Store { return reopen(t, mustCreate(t)) },
		Reopen: func(t testing.TB, s record.Store) record.Store {
			if err := s.(*Store).Close(); err != nil {
				t.Fatal(err)
			}
			return reopen(t, dirs[s])
		},
	})
}

func mustCreate(t testing.TB) (dir string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "journal")
	if err := Create(dir, testKey); err != nil {
		t.Fatal(err)
	}
	return dir
}

func mustOpen(t testing.TB, dir string) *Store {
	t.Helper()
	s, err := Open(dir, testKey)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func TestCreateRefusesWhatIsThere(t *testing.T) {
	dir := mustCreate(t)
	if err := Create(dir, testKey); !errors.Is(err, fs.ErrExist) {
		t.Errorf("create over a journal: %v, want %v", err, fs.ErrExist)
	}
	if err := mustOpen(t, dir).Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(dir, snapshotName)); err != nil {
		t.Fatal(err)
	}
	if err := Create(dir, testKey); !errors.Is(err, fs.ErrExist) || !strings.Contains(err.Error(), segmentPrefix) {
		t.Errorf("create over a journal without its snapshot: %v, want %v", err, fs.ErrExist)
	}
}

// TestOneProcess opens a journal twice, then runs this test binary again as
// another process that tries.
func TestOneProcess(t *testing.T) {
	if dir := os.Getenv("JOURNAL_TEST_OPEN"); dir != "" {
		_, err := Open(dir, testKey)
		fmt.Println(errors.Is(err, ErrLocked))
		return
	}
	dir := mustCreate(t)
	s := mustOpen(t, dir)
	if _, err := Open(dir, testKey); !errors.Is(err, ErrLocked) {
		t.Errorf("second open: %v, want %v", err, ErrLocked)
	}
	other := func() string {
		cmd := exec.Command(os.Args[0], "-test.run=^TestOneProcess$")
		cmd.Env = append(os.Environ(), "JOURNAL_TEST_OPEN="+dir)
		out, err := cmd.Output()
		if err != nil {
			t.Fatal(err)
		}
		locked, _, _ := strings.Cut(string(out), "\n")
		return locked
	}
	if other() != "true" {
		t.Error("another process opened the journal too")
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if other() != "false" {
		t.Error("locked after Close")
	}
}

// TestAJournalThatWasMovedTouchesNoOther moves the folder of an open journal and
// puts another in its place, as one does who restores a copy and has forgotten to
// stop the signer. The old one must not remove what the new one stands on.
func TestAJournalThatWasMovedTouchesNoOther(t *testing.T) {
	dir := mustCreate(t)
	old, err := Open(dir, testKey)
	if err != nil {
		t.Fatal(err)
	}
	fill(t, old, 10)
	if err := os.Rename(dir, dir+".moved"); err != nil {
		t.Fatal(err)
	}
	if err := Create(dir, testKey); err != nil {
		t.Fatal(err)
	}
	other := mustOpen(t, dir)
	fill(t, other, 10)

	acknowledged := record.Version(1)
	for ; acknowledged < 10_000; acknowledged++ {
		if err := old.Replace(t.Context(), benchKey(0), acknowledged, fmt.Append(nil, acknowledged)); err != nil {
			break
		}
	}
	if err := old.Err(); !errors.Is(err, record.ErrUnavailable) || !strings.Contains(err.Error(), "moved or removed") {
		t.Errorf("after %d changes: %v, want that it was moved", acknowledged, err)
	}
	if err := old.Close(); err != nil {
		t.Error(err)
	}
	if err := other.Close(); err != nil {
		t.Fatal(err)
	}
	if got := len(all(t, mustOpen(t, dir))); got != 10 {
		t.Errorf("the other journal has %d records, want 10", got)
	}
	if got := all(t, mustOpen(t, dir+".moved"))[benchKey(0)].Version; got < acknowledged {
		t.Errorf("the moved journal has version %d, %d was acknowledged", got, acknowledged)
	}
}

// stall makes the next flush of the store on d hang in its fsync until release.
func stall(d *memDisk) (release func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	gate := make(chan struct{})
	sync := d.calls + 2 // behind the write
	d.fault = func() fault {
		if d.calls == sync {
			<-gate
		}
		return none
	}
	return func() { close(gate) }
}

// stalled runs a test on a store with the records a and b, while a change of a
// to "two" hangs.
func stalled(t *testing.T, test func(t *testing.T, s *Store, release func())) {
	synctest.Test(t, func(t *testing.T) {
		d := newJournal(t)
		s, err := openSmall(t, d)
		if err != nil {
			t.Fatal(err)
		}
		for _, key := range []record.Key{"a", "b"} {
			if err := s.Create(t.Context(), key, []byte("one")); err != nil {
				t.Fatal(err)
			}
		}
		release := stall(d)
		var first error
		var wg sync.WaitGroup
		wg.Go(func() { first = s.Replace(t.Context(), "a", 1, []byte("two")) })
		synctest.Wait()
		test(t, s, release)
		wg.Wait()
		if first != nil {
			t.Errorf("the stalled change: %v", first)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
}

func TestNothingIsSeenBeforeItIsDurable(t *testing.T) {
	stalled(t, func(t *testing.T, s *Store, release func()) {
		seq, _ := s.Head()
		if r, err := s.Load(t.Context(), "b"); err != nil || string(r.Value) != "one" {
			t.Errorf("load of another key: %q, %v", r.Value, err)
		}
		var wg sync.WaitGroup
		answered := make(map[string]bool)
		check := func(call string, ok bool, got any) {
			answered[call] = true
			if !ok {
				t.Errorf("%s: got %v", call, got)
			}
		}
		var mu sync.Mutex
		wait := func(call string, do func() (ok bool, got any)) {
			wg.Go(func() {
				ok, got := do()
				mu.Lock()
				defer mu.Unlock()
				check(call, ok, got)
			})
		}
		wait("load", func() (bool, any) {
			r, err := s.Load(t.Context(), "a")
			return err == nil && string(r.Value) == "two" && r.Version == 2, err
		})
		wait("list", func() (bool, any) {
			for e, err := range s.List(t.Context()) {
				return err == nil && string(e.Value) == "two", err
			}
			return false, "nothing"
		})
		wait("the same change", func() (bool, any) {
			err := s.Replace(t.Context(), "a", 1, []byte("two"))
			return errors.Is(err, record.ErrConflict), err
		})
		wait("the same value from the next version", func() (bool, any) {
			err := s.Replace(t.Context(), "a", 2, []byte("two"))
			return err == nil, err
		})
		wait("create", func() (bool, any) {
			err := s.Create(t.Context(), "a", nil)
			return errors.Is(err, record.ErrExists), err
		})
		synctest.Wait()
		mu.Lock()
		if len(answered) > 0 {
			t.Errorf("answered while the change hung: %v", answered)
		}
		mu.Unlock()
		if now, _ := s.Head(); now != seq {
			t.Error("head moved before the frame was durable")
		}
		release()
		wg.Wait()
		if len(answered) != 5 {
			t.Errorf("answered %v", answered)
		}
	})
}

func TestOneFlushTakesAllThatWaits(t *testing.T) {
	stalled(t, func(t *testing.T, s *Store, release func()) {
		before := s.Stats()
		var wg sync.WaitGroup
		for i := range 100 {
			wg.Go(func() {
				if err := s.Create(t.Context(), record.Key(fmt.Sprint("new ", i)), []byte("x")); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		release()
		wg.Wait()
		after := s.Stats()
		if flushes, records := after.Flushes-before.Flushes, after.Records-before.Records; flushes != 2 || records != 101 {
			t.Errorf("%d changes in %d flushes, want 101 in 2", records, flushes)
		}
		timed := uint64(0)
		for _, n := range after.FlushTimes {
			timed += n
		}
		if timed != after.Flushes {
			t.Errorf("%d of %d flushes were timed", timed, after.Flushes)
		}
	})
}

func TestAnEndedContextDoesNotUndoAChange(t *testing.T) {
	stalled(t, func(t *testing.T, s *Store, release func()) {
		ctx, cancel := context.WithCancel(t.Context())
		var queued, waiting error
		var wg sync.WaitGroup
		wg.Go(func() { queued = s.Replace(ctx, "b", 1, []byte("two")) })
		wg.Go(func() { waiting = s.Replace(ctx, "a", 2, []byte("three")) })
		synctest.Wait()
		cancel()
		wg.Wait()
		for _, err := range []error{queued, waiting} {
			if !errors.Is(err, context.Canceled) {
				t.Errorf("got %v, want %v", err, context.Canceled)
			}
		}
		release()
		for _, key := range []record.Key{"a", "b"} {
			if r, err := s.Load(t.Context(), key); err != nil || string(r.Value) != "two" {
				t.Errorf("%s is %q, %v, want two", key, r.Value, err)
			}
		}
	})
}

func TestCloseFinishesWhatWasAskedFor(t *testing.T) {
	stalled(t, func(t *testing.T, s *Store, release func()) {
		var closed, queued error
		var wg sync.WaitGroup
		wg.Go(func() { queued = s.Replace(t.Context(), "b", 1, []byte("two")) })
		synctest.Wait()
		wg.Go(func() { closed = s.Close() })
		synctest.Wait()
		if err := s.Create(t.Context(), "late", nil); !errors.Is(err, record.ErrUnavailable) {
			t.Errorf("create after close: %v, want %v", err, record.ErrUnavailable)
		}
		release()
		wg.Wait()
		if queued != nil || closed != nil {
			t.Errorf("replace: %v, close: %v", queued, closed)
		}
		if s.Err() != nil {
			t.Errorf("a closed store has failed: %v", s.Err())
		}
	})
}

// TestDiskUseIsBounded changes few keys very often.
func TestDiskUseIsBounded(t *testing.T) {
	changes := 200_000
	if testing.Short() {
		changes = 20_000
	}
	d := newJournal(t)
	s, err := openSmall(t, d)
	if err != nil {
		t.Fatal(err)
	}
	var most int
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			key := record.Key(fmt.Sprint("key ", i))
			if err := s.Create(t.Context(), key, nil); err != nil {
				t.Error(err)
			}
			for v := record.Version(1); int(v) < changes/20; v++ {
				if err := s.Replace(t.Context(), key, v, fmt.Append(nil, v)); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	for running := true; running; {
		select {
		case <-done:
			running = false
		case <-s.Failed():
			t.Fatal(s.Err())
		case <-time.After(time.Millisecond):
		}
		most = max(most, d.used())
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d changes, %d snapshots: at most %d KiB", changes, s.Stats().Snapshots, most>>10)
	// Two snapshots, and a segment before, in and after use.
	if limit := 3*smallSegment + 4*blockSize; most > limit {
		t.Errorf("at most %d bytes, want %d", most, limit)
	}
}
