package journal

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/secure-signer/secure-signer/record"
)

func backup(t testing.TB, s *Store) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := s.Backup(t.Context(), &b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// restore returns what a backup holds, from a journal that was made of it.
func restore(t testing.TB, b []byte) map[record.Key]record.Record {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "restored")
	if err := Restore(dir, testKey, b); err != nil {
		t.Fatal(err)
	}
	s := mustOpen(t, dir)
	if !s.Unsettled() {
		t.Error("a restored journal claims to know the newest records")
	}
	return all(t, s)
}

func all(t testing.TB, s *Store) map[record.Key]record.Record {
	t.Helper()
	records := make(map[record.Key]record.Record)
	for e, err := range s.List(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		records[e.Key] = e.Record
	}
	return records
}

func TestARestoredJournalHoldsWhatTheBackupDid(t *testing.T) {
	for _, keys := range []int{0, 1, 5000} { // of none, one and many frames
		t.Run(fmt.Sprintf("%d records", keys), func(t *testing.T) {
			s := mustOpen(t, mustCreate(t))
			fill(t, s, keys)
			want := all(t, s)
			if diff := cmp.Diff(want, restore(t, backup(t, s))); diff != "" {
				t.Errorf("restored (-want +got):\n%s", diff)
			}
		})
	}
}

// TestABackupIsOfOneMoment swaps a pair of records, always the first one first,
// while backups are taken: in none may the second be ahead.
func TestABackupIsOfOneMoment(t *testing.T) {
	s := mustOpen(t, mustCreate(t))
	fill(t, s, 2000)
	ctx, stop := context.WithCancel(t.Context())
	var writer sync.WaitGroup
	writer.Go(func() {
		for n := byte(1); ctx.Err() == nil; n++ {
			for _, i := range []int{0, 1999} {
				r, err := s.Load(t.Context(), benchKey(i))
				if err == nil {
					r.Value[0] = n
					err = s.Replace(t.Context(), benchKey(i), r.Version, r.Value)
				}
				if err != nil {
					t.Error(err)
					return
				}
			}
		}
	})
	apart := 0
	for range 20 {
		got := restore(t, backup(t, s))
		switch ahead := got[benchKey(0)].Version - got[benchKey(1999)].Version; ahead {
		case 0:
		case 1:
			apart++
		default:
			t.Errorf("the first record is at version %d, the second at %d", got[benchKey(0)].Version, got[benchKey(1999)].Version)
		}
	}
	stop()
	writer.Wait()
	t.Logf("%d of 20 backups fell between the two", apart)
}

// TestNoByteOfABackupCanChange also cuts and lengthens it.
func TestNoByteOfABackupCanChange(t *testing.T) {
	s := mustOpen(t, mustCreate(t))
	fill(t, s, 3)
	whole := backup(t, s)
	dir := filepath.Join(t.TempDir(), "restored")
	refused := func(what string, b []byte) {
		t.Helper()
		if err := Restore(dir, testKey, b); !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrVersion) {
			t.Errorf("%s: %v, want %v", what, err, ErrDamaged)
		}
		if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: a part of a journal is left (%v)", what, err)
		}
	}
	for i := range whole {
		b := bytes.Clone(whole)
		b[i] ^= 1 << (i % 8)
		refused(fmt.Sprintf("byte %d", i), b)
	}
	for _, n := range []int{0, 1, blockSize, len(whole) - blockSize, len(whole) - 1} {
		refused(fmt.Sprintf("cut to %d bytes", n), whole[:n])
	}
	refused("with a block more", append(bytes.Clone(whole), make([]byte, blockSize)...))
	more := mustOpen(t, mustCreate(t))
	fill(t, more, 4000)
	many := backup(t, more)
	refused("without its last frame", many[:blockSize+maxFrame])
	refused("without its first frame", append(bytes.Clone(many[:blockSize]), many[blockSize+maxFrame:]...))
}

// TestABackupIsNoSnapshot: put in the place of one by hand, it would be a valid
// journal that has forgotten what was signed since.
func TestABackupIsNoSnapshot(t *testing.T) {
	dir := mustCreate(t)
	s := mustOpen(t, dir)
	fill(t, s, 3)
	whole := backup(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	asSnapshot := bytes.Clone(whole)
	h, err := decodeHeader(asSnapshot, backupMagic, "")
	if err != nil {
		t.Fatal(err)
	}
	h.magic = snapshotMagic
	copy(asSnapshot, h.encode())
	for name, b := range map[string][]byte{"as it is": whole, "under a snapshot's header": asSnapshot} {
		if err := os.WriteFile(filepath.Join(dir, snapshotName), b, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(dir, testKey); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: %v, want %v", name, err, ErrDamaged)
		}
	}
	if err := Restore(filepath.Join(t.TempDir(), "restored"), [32]byte{1}, whole); !errors.Is(err, ErrDamaged) {
		t.Errorf("under another key: %v, want %v", err, ErrDamaged)
	}
	if err := Restore(dir, testKey, whole); !errors.Is(err, fs.ErrExist) {
		t.Errorf("over a journal: %v, want %v", err, fs.ErrExist)
	}
}

// TestARestoredJournalIsUnsettledUntilSettled also where it is opened twice: a
// restore that was cut off is then no less careful.
func TestARestoredJournalIsUnsettledUntilSettled(t *testing.T) {
	s := mustOpen(t, mustCreate(t))
	fill(t, s, 3)
	dir := filepath.Join(t.TempDir(), "restored")
	if err := Restore(dir, testKey, backup(t, s)); err != nil {
		t.Fatal(err)
	}
	for opened, want := range []bool{true, true, false} {
		restored := mustOpen(t, dir)
		if got := restored.Unsettled(); got != want {
			t.Fatalf("unsettled: %t, want %t", got, want)
		}
		if opened > 0 {
			if err := restored.Settle(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if err := restored.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestABackupOfAStoreThatFailedIsAnError(t *testing.T) {
	s := mustOpen(t, mustCreate(t))
	fill(t, s, 3)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Backup(ctx, new(bytes.Buffer)); !errors.Is(err, context.Canceled) {
		t.Errorf("given up: %v, want %v", err, context.Canceled)
	}
	_ = s.fail(errors.New("input/output error"))
	if err := s.Backup(t.Context(), new(bytes.Buffer)); !errors.Is(err, record.ErrUnavailable) {
		t.Errorf("of a failed store: %v, want %v", err, record.ErrUnavailable)
	}
}
