package linear_test

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/secure-signer/secure-signer/record"
	"github.com/secure-signer/secure-signer/record/journal"
	"github.com/secure-signer/secure-signer/record/memory"
	"github.com/secure-signer/secure-signer/record/recordtest"
	"github.com/secure-signer/secure-signer/test/linear"
)

var hammer = recordtest.Hammer{Clients: 8, Calls: 400, Keys: 4, Impatience: 0.05, Seed: 7}

var inMemory = recordtest.Harness{Open: func(testing.TB) record.Store { return memory.New() }}

func onDisk() recordtest.Harness {
	dirs := make(map[record.Store]string)
	open := func(t testing.TB, dir string) record.Store {
		s, err := journal.Open(dir, [32]byte{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
		dirs[s] = dir
		return s
	}
	return recordtest.Harness{
		Open: func(t testing.TB) record.Store {
			dir := filepath.Join(t.TempDir(), "journal")
			if err := journal.Create(dir, [32]byte{}); err != nil {
				t.Fatal(err)
			}
			return open(t, dir)
		},
		Reopen: func(t testing.TB, s record.Store) record.Store {
			if err := s.(*journal.Store).Close(); err != nil {
				t.Fatal(err)
			}
			return open(t, dirs[s])
		},
	}
}

func TestStoresAreLinearizable(t *testing.T) {
	for name, h := range map[string]recordtest.Harness{"memory": inMemory, "journal, reopened meanwhile": onDisk()} {
		t.Run(name, func(t *testing.T) {
			history := recordtest.Concurrently(t, h, h.Open(t), hammer)
			result, draw := linear.Check(history, time.Minute)
			if result != porcupine.Ok {
				t.Errorf("the search for an order ended with %q, see %s", result, page(t, draw))
			}
			var unknown int
			for _, c := range history {
				if c.Unknown {
					unknown++
				}
			}
			t.Logf("%d calls, %d of them with unknown outcome", len(history), unknown)
		})
	}
}

// page writes the drawing where it outlives the test.
func page(t *testing.T, draw func(io.Writer) error) string {
	t.Helper()
	f, err := os.CreateTemp("", "linear-*.html")
	if err != nil {
		t.Fatal(err)
	}
	if err := draw(f); err != nil {
		t.Error(err)
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	return f.Name()
}

// TestBrokenStoresAreCaught shows that TestStoresAreLinearizable can fail.
func TestBrokenStoresAreCaught(t *testing.T) {
	for name, f := range map[string]faults{
		"another swap comes between comparing and swapping": {gap: true},
		"a load returns what was there before":              {stale: true},
		"a change is forgotten":                             {forget: true},
	} {
		t.Run(name, func(t *testing.T) {
			s := &broken{faults: f, now: make(map[record.Key]record.Record), before: make(map[record.Key]record.Record)}
			history := recordtest.Concurrently(t, inMemory, s, hammer)
			result, draw := linear.Check(history, time.Minute)
			if result != porcupine.Illegal {
				t.Errorf("the search for an order ended with %q, want %q", result, porcupine.Illegal)
			}
			if err := draw(io.Discard); err != nil {
				t.Error(err)
			}
			if history.Check() == nil {
				t.Error("the quick check of recordtest found nothing")
			}
		})
	}
}

// A broken store is wrong once in a while.
type broken struct {
	faults
	record.Store // nil: nobody calls List

	mu          sync.Mutex
	now, before map[record.Key]record.Record
	calls       int
}

type faults struct{ gap, stale, forget bool }

func (s *broken) Load(_ context.Context, key record.Key) (record.Record, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, from := s.now[key], s.before[key]
	if s.calls++; s.stale && s.calls%20 == 0 && from.Version > 0 {
		return from, nil
	}
	if r.Version == 0 {
		return r, record.ErrNotFound
	}
	return r, nil
}

func (s *broken) Create(_ context.Context, key record.Key, value []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.now[key].Version > 0 {
		return record.ErrExists
	}
	s.now[key] = record.Record{Version: 1, Value: value}
	return nil
}

func (s *broken) Replace(_ context.Context, key record.Key, old record.Version, value []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch r := s.now[key]; {
	case r.Version == 0:
		return record.ErrNotFound
	case r.Version != old:
		return record.ErrConflict
	}
	s.calls++
	if s.forget && s.calls%20 == 0 {
		return nil
	}
	if s.gap {
		s.mu.Unlock()
		runtime.Gosched()
		s.mu.Lock()
	}
	s.before[key], s.now[key] = s.now[key], record.Record{Version: old + 1, Value: value}
	return nil
}
