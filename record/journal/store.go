package journal

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/secure-signer/secure-signer/internal/durable"
	"github.com/secure-signer/secure-signer/record"
)

// A Store is an open journal. It implements record.Store and is safe for
// concurrent use.
type Store struct {
	folder *folder
	lock   *durable.FileLock

	mu      sync.Mutex // guards all below; never held while the disk works
	state   *state     // all of it durable
	pending map[record.Key]*change
	queue   []*change // those of pending that the writer has not taken
	arrived sync.Cond // queue, closed or err has changed
	closed  bool
	err     error // why nothing can be made durable any more
	stats   Stats

	failed  chan struct{} // closed once err is set
	stopped chan struct{} // closed once the writer has ended

	// The writer's own.
	current    *output
	checkpoint *checkpoint // the last one: its reserve follows current
}

// A change waits to become durable. There is at most one for a key: others wait
// for it, because whether they may follow depends on it.
type change struct {
	key    record.Key // empty: settle
	record record.Record

	done chan struct{} // closed once err is the outcome
	err  error
}

var _ record.Store = (*Store)(nil)

func newStore(j *folder, lock *durable.FileLock, recovered *state, current *output) *Store {
	s := &Store{
		folder:  j,
		lock:    lock,
		state:   recovered,
		pending: make(map[record.Key]*change),
		failed:  make(chan struct{}),
		stopped: make(chan struct{}),
		current: current,
	}
	s.arrived.L = &s.mu
	s.checkpoint = s.startCheckpoint(recovered.clone(), current)
	return s
}

// Load returns the record of key, or record.ErrNotFound. If a change of it is on
// its way to the disk, Load waits for the outcome.
func (s *Store) Load(ctx context.Context, key record.Key) (record.Record, error) {
	s.mu.Lock()
	pending := s.pending[key]
	s.mu.Unlock()
	if pending != nil {
		if err := pending.wait(ctx); err != nil {
			return record.Record{}, err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.unavailable(); err != nil {
		return record.Record{}, err
	}
	r, ok := s.state.records[key]
	if !ok {
		return record.Record{}, record.ErrNotFound
	}
	r.Value = slices.Clone(r.Value)
	return r, nil
}

// Create makes the record of key, or returns record.ErrExists.
//
// If ctx ends while the record is on its way to the disk, Create returns an
// error and the record is still made.
func (s *Store) Create(ctx context.Context, key record.Key, value []byte) error {
	return s.change(ctx, key, value, func(now record.Version) error {
		if now != 0 {
			return record.ErrExists
		}
		return nil
	})
}

// Replace swaps the value of key if its version is old, or returns
// record.ErrConflict or record.ErrNotFound. For the value that is there already
// it returns nil and leaves the version: all that can be loaded is durable.
//
// If ctx ends while the record is on its way to the disk, Replace returns an
// error and the record is still replaced.
func (s *Store) Replace(ctx context.Context, key record.Key, old record.Version, value []byte) error {
	return s.change(ctx, key, value, func(now record.Version) error {
		switch now {
		case 0:
			return record.ErrNotFound
		case old:
			return nil
		}
		return record.ErrConflict
	})
}

// change makes value the next version of key, if the present version, 0 for
// none, allows it.
func (s *Store) change(ctx context.Context, key record.Key, value []byte, allowed func(now record.Version) error) error {
	if err := record.Check(key, value); err != nil {
		return err
	}
	if err := s.lockIdle(ctx, key); err != nil {
		return err
	}
	now := s.state.records[key]
	if err := allowed(now.Version); err != nil {
		s.mu.Unlock()
		return err
	}
	if now.Version != 0 && bytes.Equal(now.Value, value) {
		s.mu.Unlock()
		return nil
	}
	c := s.enqueue(key, record.Record{Value: slices.Clone(value), Version: now.Version + 1})
	s.mu.Unlock()
	return c.wait(ctx)
}

// lockIdle locks s.mu at a moment when no change of key is pending. If it
// returns an error s.mu is not locked.
func (s *Store) lockIdle(ctx context.Context, key record.Key) error {
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		s.mu.Lock()
		if err := s.unavailable(); err != nil {
			s.mu.Unlock()
			return err
		}
		pending := s.pending[key]
		if pending == nil {
			return nil
		}
		s.mu.Unlock()
		if err := pending.wait(ctx); err != nil {
			return err
		}
	}
}

// enqueue hands a change to the writer. s.mu is locked.
func (s *Store) enqueue(key record.Key, r record.Record) *change {
	c := &change{key: key, record: r, done: make(chan struct{})}
	s.pending[key] = c
	s.queue = append(s.queue, c)
	s.arrived.Signal()
	return c
}

// wait returns the outcome of the change. The end of ctx ends only the waiting.
func (c *change) wait(ctx context.Context) error {
	select {
	case <-c.done:
		return c.err
	case <-ctx.Done():
		return fmt.Errorf("outcome of the pending change not known yet: %w", ctx.Err())
	}
}

// unavailable returns why the store answers no more, or nil. s.mu is locked.
func (s *Store) unavailable() error {
	if s.err == nil && s.closed {
		return fmt.Errorf("%w: closed", record.ErrUnavailable)
	}
	return s.err
}

// List yields every record in ascending order of key, each as Load would return
// it when its turn comes.
func (s *Store) List(ctx context.Context) iter.Seq2[record.Entry, error] {
	return func(yield func(record.Entry, error) bool) {
		s.mu.Lock()
		err := s.unavailable()
		keys := slices.Collect(maps.Keys(s.state.records))
		s.mu.Unlock()
		if err != nil {
			yield(record.Entry{}, err)
			return
		}
		slices.Sort(keys)
		for _, key := range keys {
			r, err := s.Load(ctx, key)
			if err != nil {
				yield(record.Entry{}, err)
				return
			}
			if !yield(record.Entry{Key: key, Record: r}, nil) {
				return
			}
		}
	}
}

// Unsettled reports whether this or an earlier Open found that the end of the
// journal is bad, and no Settle followed. What stood there may have been
// acknowledged: whoever signs must take everything up to now for signed.
func (s *Store) Unsettled() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state.unsettled
}

// Settle notes, durably, that every record has been raised over what Unsettled
// warns of.
func (s *Store) Settle(ctx context.Context) error {
	if err := s.lockIdle(ctx, settleKey); err != nil {
		return err
	}
	if !s.state.unsettled {
		s.mu.Unlock()
		return nil
	}
	c := s.enqueue(settleKey, record.Record{})
	s.mu.Unlock()
	return c.wait(ctx)
}

// settleKey stands for Settle among the pending changes. No record has this key.
const settleKey record.Key = ""

// Head returns the number of durable frames and the hash of their chain. Of two
// journals with the same head each holds what the other holds.
func (s *Store) Head() (seq uint64, hash [32]byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state.at.seq, s.state.at.hash
}

// Stats are counters since Open, except for Keys and FileBytes.
type Stats struct {
	Keys         int
	FileBytes    int64         // of snapshot and segments, when no snapshot is being written
	Flushes      uint64        // frames made durable
	Records      uint64        // changes made durable
	Flushing     time.Duration // that all flushes took together
	FlushTimes   [23]uint64    // flushes by the binary digits of their microseconds; 2 s and more share the last
	Snapshots    uint64        // made since Open
	LongestPause time.Duration // in which a snapshot kept changes waiting
}

// Stats returns figures for operators.
func (s *Store) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	stats := s.stats
	stats.Keys = len(s.state.records)
	return stats
}

// Failed is closed once a write or an fsync has failed. From then on the store
// answers only record.ErrUnavailable: the process should end and open it again.
func (s *Store) Failed() <-chan struct{} { return s.failed }

// Err returns what failed, or nil.
func (s *Store) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// Close makes the changes that were asked for durable, waits for the writer and
// gives up the lock. Later calls of any method fail.
func (s *Store) Close() error {
	s.mu.Lock()
	first := !s.closed
	s.closed = true
	s.arrived.Signal()
	s.mu.Unlock()
	<-s.stopped
	if !first {
		return nil
	}
	err := s.current.file.Close()
	if s.checkpoint.wait() == nil {
		err = errors.Join(err, s.checkpoint.reserve.file.Close())
	}
	return errors.Join(err, s.lock.Unlock())
}
