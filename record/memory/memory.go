// Package memory keeps records in memory: the smallest store that honours the
// contract of record.Store, for tests and examples.
//
// It forgets everything when the process ends. A signer that restarts with an
// empty store would sign a conflicting message, so nothing that signs for a
// real validator may use it.
package memory

import (
	"context"
	"iter"
	"maps"
	"slices"
	"sync"

	"github.com/secure-signer/secure-signer/record"
)

// A Store is a record.Store in memory.
type Store struct {
	mu      sync.Mutex // makes each method one step
	records map[record.Key]record.Record
}

// New returns an empty store.
func New() *Store { return &Store{records: make(map[record.Key]record.Record)} }

// Load implements record.Store.
func (s *Store) Load(ctx context.Context, key record.Key) (record.Record, error) {
	if err := ctx.Err(); err != nil {
		return record.Record{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	r, ok := s.records[key]
	if !ok {
		return record.Record{}, record.ErrNotFound
	}
	r.Value = slices.Clone(r.Value)
	return r, nil
}

// Create implements record.Store.
func (s *Store) Create(ctx context.Context, key record.Key, value []byte) error {
	if err := record.Check(key, value); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.records[key]; ok {
		return record.ErrExists
	}
	s.records[key] = record.Record{Value: slices.Clone(value), Version: 1}
	return nil
}

// Replace implements record.Store.
func (s *Store) Replace(ctx context.Context, key record.Key, old record.Version, value []byte) error {
	if err := record.Check(key, value); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	r, ok := s.records[key]
	switch {
	case !ok:
		return record.ErrNotFound
	case r.Version != old:
		return record.ErrConflict
	}
	s.records[key] = record.Record{Value: slices.Clone(value), Version: old + 1}
	return nil
}

// List implements record.Store.
func (s *Store) List(ctx context.Context) iter.Seq2[record.Entry, error] {
	return func(yield func(record.Entry, error) bool) {
		s.mu.Lock()
		keys := slices.Sorted(maps.Keys(s.records))
		s.mu.Unlock()
		for _, key := range keys {
			r, err := s.Load(ctx, key)
			if !yield(record.Entry{Key: key, Record: r}, err) || err != nil {
				return
			}
		}
	}
}
