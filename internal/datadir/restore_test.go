package datadir_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/secure-signer/secure-signer/eth2"
	"github.com/secure-signer/secure-signer/internal/datadir"
	"github.com/secure-signer/secure-signer/internal/durable"
)

// oldJournal is a folder whose journal holds one file.
func oldJournal(t *testing.T) datadir.Dir {
	t.Helper()
	hoodi, _ := eth2.Builtin("hoodi")
	path := filepath.Join(t.TempDir(), "data")
	err := datadir.Create(path, datadir.Settings{Network: hoodi}, func(d datadir.Dir) error { return fill("old")(d.Journal()) })
	if err != nil {
		t.Fatal(err)
	}
	return datadir.At(path)
}

// fill makes a journal that holds one file.
func fill(text string) func(string) error {
	return func(dir string) error {
		return errors.Join(os.Mkdir(dir, 0o700), os.WriteFile(filepath.Join(dir, "snapshot"), []byte(text), 0o600))
	}
}

func holds(t *testing.T, journal, want string) {
	t.Helper()
	if got, err := os.ReadFile(filepath.Join(journal, "snapshot")); err != nil || string(got) != want {
		t.Errorf("%s holds %q, %v; want %q", journal, got, err, want)
	}
}

var noon = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)

func TestALostJournalIsReplacedAndKept(t *testing.T) {
	d := oldJournal(t)
	kept, err := d.ReplaceJournal(noon, fill("new"))
	if err != nil || !strings.HasSuffix(kept, "journal.lost-20261125T120000Z") {
		t.Fatalf("kept %q, %v", kept, err)
	}
	holds(t, d.Journal(), "new")
	holds(t, kept, "old")

	// Twice in a second must not lose the first.
	if _, err := d.ReplaceJournal(noon, fill("newer")); err == nil {
		t.Error("a kept journal was overwritten")
	}
	holds(t, kept, "old")
}

func TestAJournalIsReplacedWherePartsOfItAreMissing(t *testing.T) {
	d := oldJournal(t)
	remove(t, d.Journal())
	if err := fill("left by a crash")(d.Journal() + ".new"); err != nil {
		t.Fatal(err)
	}
	if kept, err := d.ReplaceJournal(noon, fill("new")); err != nil || kept != "" {
		t.Errorf("kept %q, %v; want nothing", kept, err)
	}
	holds(t, d.Journal(), "new")
}

func TestAJournalInUseIsNotReplaced(t *testing.T) {
	d := oldJournal(t)
	lock, err := durable.TryLockDir(d.Journal())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.ReplaceJournal(noon, fill("new")); !errors.Is(err, durable.ErrLocked) {
		t.Errorf("got %v, want %v", err, durable.ErrLocked)
	}
	holds(t, d.Journal(), "old")
	if err := lock.Unlock(); err != nil {
		t.Fatal(err)
	}
	full := errors.New("disk full")
	if _, err := d.ReplaceJournal(noon, func(dir string) error { return errors.Join(fill("half")(dir), full) }); !errors.Is(err, full) {
		t.Errorf("got %v, want %v", err, full)
	}
	holds(t, d.Journal(), "old")
	if _, err := d.ReplaceJournal(noon, fill("new")); err != nil {
		t.Errorf("a failed attempt is not the last: %v", err)
	}
}
