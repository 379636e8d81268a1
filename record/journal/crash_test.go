package journal

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"syscall"
	"testing"

	"github.com/secure-signer/secure-signer/record"
)

// A run is what a process has asked of a journal before it died, and what it has
// been promised.
type run struct {
	asked, promised map[record.Key]record.Version
}

// valueOf is what the tests write as the version of a key.
func valueOf(key record.Key, v record.Version) []byte {
	return fmt.Appendf(nil, "%s at version %d%s", key, v, strings.Repeat(".", int(v)%50))
}

// write writes new versions of four keys in turn until the first error.
func (r *run) write(ctx context.Context, s *Store, changes int) error {
	for i := range changes {
		key := record.Key(fmt.Sprint("key ", i%4))
		v := r.asked[key] + 1
		r.asked[key] = v
		var err error
		if v == 1 {
			err = s.Create(ctx, key, valueOf(key, v))
		} else {
			err = s.Replace(ctx, key, v-1, valueOf(key, v))
		}
		if err != nil {
			return err
		}
		r.promised[key] = v
	}
	return nil
}

// check opens what is left of the journal and returns an error unless it holds
// all that was promised and nothing that was not asked for.
func (r *run) check(t testing.TB, d *memDisk) error {
	s, err := openSmall(t, d)
	if err != nil {
		return err
	}
	defer s.Close()
	found := make(map[record.Key]record.Version)
	for e, err := range s.List(t.Context()) {
		if err != nil {
			return err
		}
		found[e.Key] = e.Version
		if e.Version > r.asked[e.Key] || string(e.Value) != string(valueOf(e.Key, e.Version)) {
			return fmt.Errorf("%q holds %q at version %d, which nobody asked for", e.Key, e.Value, e.Version)
		}
	}
	for key, v := range r.promised {
		if found[key] < v {
			return fmt.Errorf("%q is at version %d, although %d was promised", key, found[key], v)
		}
	}
	return nil
}

// changesInRun fill two segments, so that each step of a checkpoint is among the
// calls of a run.
const changesInRun = 30

// countCalls returns how many calls change the disk in a run that nothing disturbs.
func countCalls(t *testing.T) int {
	t.Helper()
	d := newJournal(t)
	d.calls = 0
	s, err := openSmall(t, d)
	if err != nil {
		t.Fatal(err)
	}
	r := run{make(map[record.Key]record.Version), make(map[record.Key]record.Version)}
	if err := r.write(t.Context(), s, changesInRun); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if n := s.Stats().Snapshots; n < 3 {
		t.Fatalf("%d snapshots in a run, too few to test", n)
	}
	return d.calls
}

// stride is from one call that is tried to the next.
func stride() int {
	if testing.Short() {
		return 5
	}
	return 1
}

// disturb runs until call number at fails in this way, as all later ones do if
// it is the last one.
func disturb(t *testing.T, at int, f fault, last bool, l lies) (*memDisk, *run, *Store) {
	t.Helper()
	d := newJournal(t)
	d.calls, d.lies = 0, l
	d.fault = func() fault {
		if d.calls == at || last && d.calls > at {
			return f
		}
		return none
	}
	r := &run{make(map[record.Key]record.Version), make(map[record.Key]record.Version)}
	s, err := openSmall(t, d)
	if err != nil {
		return d, r, nil
	}
	if err := r.write(t.Context(), s, changesInRun); err != nil && !errors.Is(err, record.ErrUnavailable) {
		t.Errorf("call %d: write: %v, want %v", at, err, record.ErrUnavailable)
	}
	return d, r, s
}

// TestEveryFailingCall lets each call that changes the disk fail, in each way.
// The store must poison itself, and what it leaves must open with all that it
// promised, in the next process and after a power failure.
func TestEveryFailingCall(t *testing.T) {
	calls := countCalls(t)
	for _, way := range []struct {
		name string
		f    fault
		last bool
	}{
		{"without effect", failAndNotPersist, false},
		{"although it took effect", failButPersist, false},
		{"with half of its effect", failAndPersistHalf, false},
		{"without effect, the process being killed", failAndNotPersist, true},
		{"with half of its effect, the process being killed", failAndPersistHalf, true},
	} {
		t.Run(way.name, func(t *testing.T) {
			random := rand.New(rand.NewPCG(1, 2))
			tried, hit := 0, 0
			for at := 1; at <= calls; at += stride() {
				d, r, s := disturb(t, at, way.f, way.last, lies{})
				if s != nil {
					wantPoisoned(t, at, s)
				}
				tried++
				if s == nil || s.Err() != nil {
					hit++
				}
				if err := r.check(t, d.restart()); err != nil {
					t.Errorf("call %d: next process: %v", at, err)
				}
				if err := r.check(t, d.crash(random)); err != nil {
					t.Errorf("call %d: after a power failure: %v", at, err)
				}
			}
			t.Logf("%d of %d calls failed", hit, tried)
			if hit*10 < tried*9 {
				t.Error("aimed badly: too few calls came that were to fail")
			}
		})
	}
}

// wantPoisoned tries every method, once all goroutines of the store have ended.
func wantPoisoned(t *testing.T, at int, s *Store) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Errorf("call %d: close: %v", at, err)
	}
	if s.Err() == nil {
		return // the call was not reached: how many there are depends on the background
	}
	select {
	case <-s.Failed():
	default:
		t.Errorf("call %d: Err is %v, but Failed is open", at, s.Err())
	}
	if err := s.Err(); !errors.Is(err, record.ErrUnavailable) || !errors.Is(err, syscall.EIO) && !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("call %d: Err is %v", at, err)
	}
	key := record.Key("key 0")
	_, load := s.Load(t.Context(), key)
	var list error
	for _, list = range s.List(t.Context()) {
	}
	for method, err := range map[string]error{
		"load":    load,
		"create":  s.Create(t.Context(), "new", nil),
		"replace": s.Replace(t.Context(), key, 1, nil),
		"settle":  s.Settle(t.Context()),
		"list":    list,
	} {
		if !errors.Is(err, record.ErrUnavailable) {
			t.Errorf("call %d: %s: %v, want %v", at, method, err, record.ErrUnavailable)
		}
	}
}

// TestALyingDiskIsNoticed shows that TestEveryFailingCall can fail: on a disk
// that ignores fsync, or the fsync of directories, promises are lost.
func TestALyingDiskIsNoticed(t *testing.T) {
	for name, l := range map[string]lies{"fsync": {sync: true}, "fsync of directories": {syncDir: true}} {
		t.Run(name, func(t *testing.T) {
			calls := countCalls(t)
			random := rand.New(rand.NewPCG(1, 2))
			lost := 0
			for at := 1; at <= calls; at += stride() {
				d, r, s := disturb(t, at, failAndNotPersist, true, l)
				if s != nil {
					_ = s.Close()
				}
				if r.check(t, d.crash(random)) != nil {
					lost++
				}
			}
			t.Logf("noticed after %d of %d calls", lost, calls)
			if lost < calls/stride()/4 {
				t.Error("noticed too seldom")
			}
		})
	}
}
