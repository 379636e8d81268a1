// Package recordtest is the suite that every record.Store must pass.
//
// Run checks the contract one promise at a time, then under concurrency. For the
// latter it records a History and tests conditions that are necessary for
// linearizability, and quick. A full search needs a checker, to which History
// gives all it wants.
package recordtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/secure-signer/secure-signer/record"
)

// A Harness makes the stores under test.
type Harness struct {
	// Open returns an empty store, which is closed when the test ends.
	Open func(t testing.TB) record.Store

	// Reopen closes a store and opens what it left. It is nil for a store that
	// ends with its process.
	Reopen func(t testing.TB, s record.Store) record.Store
}

// Run runs the suite.
func Run(t *testing.T, h Harness) {
	for _, test := range []struct {
		name string
		run  func(*testing.T, record.Store)
	}{
		{"an empty store holds nothing", testEmpty},
		{"create makes version 1 once", testCreate},
		{"replace swaps from the present version only", testReplace},
		{"an identical retry succeeds from the present version only", testIdenticalRetry},
		{"keys and values are bounded", testBounds},
		{"an empty value is present", testPresence},
		{"values are not shared with callers", testAliasing},
		{"list is in ascending order and can be left", testList},
		{"a call after its context has ended leaves the store usable", testEndedContext},
		{"one of many creates wins", testOneCreateWins},
		{"one of many replaces wins", testOneReplaceWins},
		{"concurrent calls have an order", func(t *testing.T, s record.Store) { testHistory(t, h, s) }},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, h.Open(t)) })
	}
	if h.Reopen != nil {
		t.Run("records outlive the store", func(t *testing.T) { testReopen(t, h, h.Open(t)) })
	}
}

func testEmpty(t *testing.T, s record.Store) {
	_, err := s.Load(t.Context(), "absent")
	wantError(t, "load", err, record.ErrNotFound)
	wantError(t, "replace", s.Replace(t.Context(), "absent", 1, []byte("x")), record.ErrNotFound)
	wantError(t, "replace of version 0", s.Replace(t.Context(), "absent", 0, []byte("x")), record.ErrNotFound)
	wantContents(t, s)
}

func testCreate(t *testing.T, s record.Store) {
	wantError(t, "create", s.Create(t.Context(), "key", []byte("one")), nil)
	for _, value := range []string{"two", "one"} {
		wantError(t, "second create", s.Create(t.Context(), "key", []byte(value)), record.ErrExists)
	}
	wantContents(t, s, entry("key", 1, "one"))
}

func testReplace(t *testing.T, s record.Store) {
	wantError(t, "create", s.Create(t.Context(), "key", []byte("one")), nil)
	wantError(t, "create", s.Create(t.Context(), "other", []byte("one")), nil)
	wantError(t, "replace", s.Replace(t.Context(), "key", 1, []byte("two")), nil)
	wantError(t, "replace", s.Replace(t.Context(), "key", 2, []byte("three")), nil)
	for _, old := range []record.Version{0, 1, 2, 4, ^record.Version(0)} {
		wantError(t, "replace of another version", s.Replace(t.Context(), "key", old, []byte("four")), record.ErrConflict)
	}
	wantContents(t, s, entry("key", 3, "three"), entry("other", 1, "one"))
}

func testIdenticalRetry(t *testing.T, s record.Store) {
	wantError(t, "create", s.Create(t.Context(), "key", []byte("one")), nil)
	wantError(t, "replace", s.Replace(t.Context(), "key", 1, []byte("two")), nil)
	wantError(t, "same bytes from a stale version", s.Replace(t.Context(), "key", 1, []byte("two")), record.ErrConflict)
	wantError(t, "same bytes", s.Replace(t.Context(), "key", 2, []byte("two")), nil)
	r, err := s.Load(t.Context(), "key")
	if err != nil || string(r.Value) != "two" || r.Version < 2 || r.Version > 3 {
		t.Errorf("loaded %q at version %d, %v; want two at 2 or 3", r.Value, r.Version, err)
	}
	wantError(t, "a change afterwards", s.Replace(t.Context(), "key", r.Version, []byte("three")), nil)
}

func testBounds(t *testing.T, s record.Store) {
	long := func(n int) string { return strings.Repeat("\xff", n) }
	wantError(t, "create", s.Create(t.Context(), "key", []byte("one")), nil)
	for _, bad := range []struct{ name, key, value string }{
		{"an empty key", "", "x"},
		{"a long key", long(record.MaxKeySize + 1), "x"},
		{"a long value", "key", long(record.MaxValueSize + 1)},
	} {
		wantError(t, "create with "+bad.name, s.Create(t.Context(), record.Key(bad.key), []byte(bad.value)), record.ErrInvalid)
		wantError(t, "replace with "+bad.name, s.Replace(t.Context(), record.Key(bad.key), 1, []byte(bad.value)), record.ErrInvalid)
	}
	key, value := long(record.MaxKeySize), long(record.MaxValueSize)
	wantError(t, "create at the limits", s.Create(t.Context(), record.Key(key), []byte(value)), nil)
	wantError(t, "create with bytes that are no text", s.Create(t.Context(), "\x00\n", []byte("\x00")), nil)
	wantContents(t, s, entry("\x00\n", 1, "\x00"), entry("key", 1, "one"), entry(key, 1, value))
}

func testPresence(t *testing.T, s record.Store) {
	wantError(t, "create", s.Create(t.Context(), "key", nil), nil)
	wantError(t, "create", s.Create(t.Context(), "key", nil), record.ErrExists)
	wantContents(t, s, entry("key", 1, ""))
	wantError(t, "same bytes", s.Replace(t.Context(), "key", 1, []byte{}), nil)
}

func testAliasing(t *testing.T, s record.Store) {
	scribble := func(b []byte) {
		for i := range b {
			b[i] = '!'
		}
	}
	value := []byte("one")
	wantError(t, "create", s.Create(t.Context(), "key", value), nil)
	scribble(value)
	wantContents(t, s, entry("key", 1, "one"))

	value = []byte("two")
	wantError(t, "replace", s.Replace(t.Context(), "key", 1, value), nil)
	scribble(value)
	r, err := s.Load(t.Context(), "key")
	wantError(t, "load", err, nil)
	scribble(r.Value)
	for e, err := range s.List(t.Context()) {
		wantError(t, "list", err, nil)
		scribble(e.Value)
	}
	wantContents(t, s, entry("key", 2, "two"))
}

func testList(t *testing.T, s record.Store) {
	var want []record.Entry
	for _, key := range []string{"b", "a", "\xff", "ab", "B", "\x00", "aa"} {
		wantError(t, "create", s.Create(t.Context(), record.Key(key), []byte(key)), nil)
		want = append(want, entry(key, 1, key))
	}
	slices.SortFunc(want, func(a, b record.Entry) int { return strings.Compare(string(a.Key), string(b.Key)) })
	wantContents(t, s, want...)

	n := 0
	for _, err := range s.List(t.Context()) {
		wantError(t, "list", err, nil)
		if n++; n == 2 {
			break
		}
	}
	if n != 2 {
		t.Errorf("left the list after 2 entries, got %d", n)
	}
}

func testEndedContext(t *testing.T, s record.Store) {
	wantError(t, "create", s.Create(t.Context(), "key", []byte("one")), nil)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for i := range 100 {
		r, err := s.Load(t.Context(), "key")
		wantError(t, "load", err, nil)
		if err := s.Replace(ended, "key", r.Version, fmt.Append(nil, i)); err == nil {
			continue
		} else if !errors.Is(err, context.Canceled) {
			t.Fatalf("replace with an ended context: %v", err)
		}
	}
	r, err := s.Load(t.Context(), "key")
	wantError(t, "load", err, nil)
	wantError(t, "replace", s.Replace(t.Context(), "key", r.Version, []byte("last")), nil)
	wantContents(t, s, entry("key", r.Version+1, "last"))
}

func testOneCreateWins(t *testing.T, s record.Store) {
	for round := range 50 {
		key := fmt.Sprint("key ", round)
		winner := race(t, record.ErrExists, func(value []byte) error {
			return s.Create(t.Context(), record.Key(key), value)
		})
		r, err := s.Load(t.Context(), record.Key(key))
		if err != nil || string(r.Value) != winner || r.Version != 1 {
			t.Errorf("loaded %q at version %d, %v; want %q at 1", r.Value, r.Version, err, winner)
		}
	}
}

func testOneReplaceWins(t *testing.T, s record.Store) {
	wantError(t, "create", s.Create(t.Context(), "key", nil), nil)
	for version := record.Version(1); version <= 50; version++ {
		winner := race(t, record.ErrConflict, func(value []byte) error {
			return s.Replace(t.Context(), "key", version, append(value, byte(version)))
		})
		r, err := s.Load(t.Context(), "key")
		if err != nil || string(r.Value) != winner+string(rune(version)) || r.Version != version+1 {
			t.Errorf("loaded %q at version %d, %v; want %q at %d", r.Value, r.Version, err, winner, version+1)
		}
	}
}

// race calls try at the same time with several values and returns the one that
// won. The others must get the error lost.
func race(t *testing.T, lost error, try func(value []byte) error) string {
	t.Helper()
	var (
		wg      sync.WaitGroup
		mu      sync.Mutex
		winners []string
	)
	for i := range 8 {
		wg.Go(func() {
			value := fmt.Sprint("value ", i)
			switch err := try([]byte(value)); {
			case err == nil:
				mu.Lock()
				defer mu.Unlock()
				winners = append(winners, value)
			case !errors.Is(err, lost):
				t.Errorf("loser got %v, want %v", err, lost)
			}
		})
	}
	wg.Wait()
	if len(winners) != 1 {
		t.Fatalf("%d winners: %q, want 1", len(winners), winners)
	}
	return winners[0]
}

func testReopen(t *testing.T, h Harness, s record.Store) {
	var want []record.Entry
	for round := range 3 {
		for i := range 20 {
			key := record.Key(fmt.Sprintf("key %d %02d", round, i))
			wantError(t, "create", s.Create(t.Context(), key, fmt.Append(nil, i)), nil)
			want = append(want, record.Entry{Key: key, Record: record.Record{Version: 1, Value: fmt.Append(nil, i)}})
		}
		for i := range want {
			e := &want[i]
			e.Value = bytes.Repeat([]byte{byte(round)}, 1+i*record.MaxValueSize/len(want))
			wantError(t, "replace", s.Replace(t.Context(), e.Key, e.Version, e.Value), nil)
			e.Version++
		}
		s = h.Reopen(t, s)
		wantContents(t, s, want...)
	}
}

func entry(key string, version record.Version, value string) record.Entry {
	return record.Entry{Key: record.Key(key), Record: record.Record{Version: version, Value: []byte(value)}}
}

func wantError(t *testing.T, what string, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Fatalf("%s: got error %v, want %v", what, got, want)
	}
}

// wantContents checks what both List and Load say.
func wantContents(t *testing.T, s record.Store, want ...record.Entry) {
	t.Helper()
	var got []record.Entry
	for e, err := range s.List(t.Context()) {
		wantError(t, "list", err, nil)
		got = append(got, e)
		r, err := s.Load(t.Context(), e.Key)
		wantError(t, "load", err, nil)
		if diff := cmp.Diff(e.Record, r); diff != "" {
			t.Errorf("load of %q differs from list (-list +load):\n%s", e.Key, diff)
		}
	}
	emptyIsNil := cmp.Transformer("", func(b []byte) string { return string(b) })
	if diff := cmp.Diff(want, got, emptyIsNil); diff != "" {
		t.Fatalf("store holds (-want +got):\n%s", diff)
	}
}
