// Package soak lets days of duties for 10,000 keys pass in compressed time, over
// the real journal and guard in this process, and looks at what only grows with
// time: files, memory, pauses.
//
// It does not stand for the daemon's HTTP, whose load signerctl bench measures, nor
// for crashes, which packages crash and kill are about.
package soak_test

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/secure-signer/secure-signer/bls"
	"github.com/secure-signer/secure-signer/eth2"
	"github.com/secure-signer/secure-signer/record/journal"
	"github.com/secure-signer/secure-signer/slashing"
)

const (
	keys = 10_000

	// recordSize is what a record with a block and a vote takes in a snapshot: 80
	// bytes of key, 118 of value and what frames them.
	recordSize = 210

	// The journal holds a snapshot and two segments of twice its size; while it
	// changes over, a second snapshot and the full segment besides.
	maxCopies = 8
	smallest  = 3 << 20 // of a journal without records

	day  = 225 // epochs of mainnet
	hour = day / 24
)

func TestDaysOfDutiesLeaveNothingBehind(t *testing.T) {
	epochs := 6 * hour
	switch {
	case os.Getenv("SECURE_SIGNER_LONG") != "":
		epochs = 7 * day
	case testing.Short():
		epochs = 2 * hour
	}
	goroutines := runtime.NumGoroutine()
	s := newSigner(t)
	rounds := max(8, epochs/day)
	for round := range rounds {
		for range epochs / rounds {
			s.liveEpoch(t)
		}
		s.measure(t)
		if round%2 == 1 {
			s.restart(t)
		}
	}
	s.close(t)
	s.report(t, epochs)
	s.judge(t)
	if n := runtime.NumGoroutine(); n > goroutines+2 {
		t.Errorf("%d goroutines are left, of %d at the start", n, goroutines)
	}
}

// A signer is a guard over a journal, and its clock.
type signer struct {
	dir     string
	network *eth2.Network
	journal *journal.Store
	guard   *slashing.Guard
	pubs    []bls.PublicKey
	slot    atomic.Uint64 // of the clock

	slots     []time.Duration // how long the duties of each took
	pauses    []time.Duration // the longest between two restarts
	reopened  []time.Duration // how long each start took
	backup    time.Duration   // the longest
	snapshots uint64
	records   uint64
	peak      int64    // of the files
	heap      []uint64 // by measurement
}

var journalKey = [32]byte{1}

func newSigner(t *testing.T) *signer {
	t.Helper()
	network, _ := eth2.Builtin("mainnet")
	s := &signer{dir: filepath.Join(t.TempDir(), "journal"), network: network, pubs: make([]bls.PublicKey, keys)}
	for i := range s.pubs {
		s.pubs[i][0] = 0xa0
		binary.BigEndian.PutUint32(s.pubs[i][44:], uint32(i))
	}
	s.slot.Store(400_000 * 32)
	if err := journal.Create(s.dir, journalKey); err != nil {
		t.Fatal(err)
	}
	s.open(t)
	if err := s.guard.EnrollAt(t.Context(), s.pubs, slashing.Floors{}); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *signer) open(t *testing.T) {
	t.Helper()
	began := time.Now()
	j, err := journal.Open(s.dir, journalKey)
	if err != nil {
		t.Fatal(err)
	}
	s.reopened = append(s.reopened, time.Since(began))
	s.journal = j
	s.guard = slashing.New(j, slashing.Config{Network: s.network, MaxFutureEpochs: 1, Now: s.now})
}

func (s *signer) now() time.Time {
	return time.Unix(int64(s.network.GenesisTime+s.slot.Load()*s.network.SecondsPerSlot), 0)
}

func (s *signer) close(t *testing.T) {
	t.Helper()
	stats := s.journal.Stats()
	s.snapshots += stats.Snapshots
	s.records += stats.Records
	s.pauses = append(s.pauses, stats.LongestPause)
	if err := s.journal.Close(); err != nil {
		t.Fatal(err)
	}
}

func (s *signer) restart(t *testing.T) {
	t.Helper()
	s.close(t)
	s.open(t)
}

// liveEpoch has every key vote once, a 32nd of them in each slot and all of those
// at once, and a block in every fourth slot. In each slot one client asks again,
// and one contradicts itself.
func (s *signer) liveEpoch(t *testing.T) {
	t.Helper()
	for range 32 {
		slot := s.slot.Add(1)
		voters := int(slot % 32)
		began := time.Now()
		var duties sync.WaitGroup
		for i := voters; i < keys; i += 32 {
			duties.Go(func() { s.must(t, s.vote(i, slot, 1)) })
		}
		if slot%4 == 0 {
			duties.Go(func() { s.must(t, s.propose(rand.IntN(keys), slot)) })
		}
		duties.Wait()
		s.slots = append(s.slots, time.Since(began))
		s.must(t, s.vote(voters, slot, 1))
		if err := s.vote(voters, slot, 2); !errors.Is(err, slashing.ErrSlashable) {
			t.Errorf("slot %d: a second vote of one epoch: %v", slot, err)
		}
		s.peak = max(s.peak, s.diskUsed(t))
	}
}

func (s *signer) must(t *testing.T, err error) {
	if err != nil {
		t.Error(err)
	}
}

func (s *signer) vote(i int, slot uint64, variant byte) error {
	target := eth2.Epoch(slot / 32)
	return s.guard.Record(context.Background(), s.pubs[i], &eth2.Attestation{Data: eth2.AttestationData{
		Source: eth2.Checkpoint{Epoch: target - 1}, Target: eth2.Checkpoint{Epoch: target},
	}}, eth2.Root{0: variant, 1: byte(target), 2: byte(i)})
}

func (s *signer) propose(i int, slot uint64) error {
	return s.guard.Record(context.Background(), s.pubs[i],
		&eth2.Block{Header: &eth2.BeaconBlockHeader{Slot: eth2.Slot(slot)}}, eth2.Root{0: byte(slot)})
}

// measure takes a backup, as an operator does now and then, and notes what is used
// when nothing goes on.
func (s *signer) measure(t *testing.T) {
	t.Helper()
	began := time.Now()
	if err := s.journal.Backup(t.Context(), io.Discard); err != nil {
		t.Fatal(err)
	}
	s.backup = max(s.backup, time.Since(began))
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	s.heap = append(s.heap, m.HeapAlloc)
}

// diskUsed returns the bytes in the files of the journal, which come and go.
func (s *signer) diskUsed(t *testing.T) int64 {
	t.Helper()
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		t.Fatal(err)
	}
	var n int64
	for _, e := range entries {
		if info, err := e.Info(); err == nil {
			n += info.Size()
		} else if !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
	}
	return n
}

// judge compares what was used with what the number of keys allows, and what is
// remembered with what was signed.
func (s *signer) judge(t *testing.T) {
	t.Helper()
	if limit := int64(smallest + maxCopies*keys*recordSize); s.peak > limit {
		t.Errorf("the journal took %d bytes at its peak, the limit for %d keys is %d", s.peak, keys, limit)
	}
	early, late := s.heap[len(s.heap)/4], s.heap[len(s.heap)-1]
	if late > early+keys*recordSize { // a snapshot may be under way
		t.Errorf("memory grows: %d bytes after a quarter of the time, %d at the end", early, late)
	}
	// Each segment is twice a snapshot, so this many records fill one at least.
	if want := s.records*recordSize/(4*keys*recordSize) + 1; s.snapshots < want {
		t.Errorf("%d snapshots for %d records, want %d: the test missed what it aims at", s.snapshots, s.records, want)
	}
	s.open(t)
	defer s.close(t)
	want := eth2.Epoch(s.slot.Load() / 32)
	for i, pub := range s.pubs {
		state, err := s.guard.State(t.Context(), pub)
		if err != nil {
			t.Fatal(err)
		}
		last := want
		if i%32 > int(s.slot.Load()%32) {
			last--
		}
		if got := state.Watermarks().Target; got != last {
			t.Fatalf("key %d: the last vote is remembered as of epoch %d, want %d", i, got, last)
		}
	}
}

func (s *signer) report(t *testing.T, epochs int) {
	t.Helper()
	slices.Sort(s.slots)
	slices.Sort(s.pauses)
	at := func(share float64) time.Duration { return s.slots[int(share*float64(len(s.slots)-1))] }
	t.Logf("%.1f days for %d keys: %d records, %d snapshots, %d restarts", float64(epochs)/day, keys, s.records, s.snapshots, len(s.reopened)-1)
	t.Logf("disk: %.1f MB at its peak, %.1f times one record of each key", float64(s.peak)/1e6, float64(s.peak)/(keys*recordSize))
	t.Logf("memory: %.1f MB after a quarter, %.1f MB at the end", float64(s.heap[len(s.heap)/4])/1e6, float64(s.heap[len(s.heap)-1])/1e6)
	t.Logf("the longest pause by a snapshot: %v (aim: 20 ms)", s.pauses[len(s.pauses)-1])
	t.Logf("the %d votes of a slot: p50 %v, p99 %v, longest %v", keys/32, at(0.5), at(0.99), at(1))
	t.Logf("longest backup %v, longest restart %v", s.backup, slices.Max(s.reopened))
}
