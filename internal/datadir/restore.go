package datadir

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/secure-signer/secure-signer/internal/durable"
)

// ReadConfig returns the settings of a config.yaml that lies elsewhere than in a
// folder.
func ReadConfig(text []byte) (Settings, error) { return decode(text) }

// ReplaceJournal puts the journal that fill makes in the place of the folder's. The
// old one, if there is one, is kept beside it under a name with the time, which is
// returned. Nobody may have it open: the error is then durable.ErrLocked.
//
// The new journal is whole before anything else changes, and takes its name last: a
// crash leaves the old journal, none, or the new one. The same call then goes on.
func (d Dir) ReplaceJournal(now time.Time, fill func(dir string) error) (kept string, err error) {
	old, fresh := d.Journal(), d.Journal()+".new"
	lock, err := durable.TryLockDir(old)
	if err == nil {
		defer func() { err = errors.Join(err, lock.Unlock()) }()
		kept = old + ".lost-" + now.UTC().Format("20060102T150405Z")
	} else if !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	if err := os.RemoveAll(fresh); err != nil { // left by a crash, and never used
		return "", err
	}
	if err := fill(fresh); err != nil {
		return "", errors.Join(err, os.RemoveAll(fresh))
	}
	if kept != "" {
		if err := os.Rename(old, kept); err != nil {
			return "", err
		}
	}
	if err := os.Rename(fresh, old); err != nil {
		return kept, err
	}
	return kept, durable.SyncDir(d.path)
}

// discard empties a folder that was empty before, and removes one that was not
// there. An error tells why something may be left.
func discard(path string, wasThere bool) error {
	entries, err := os.ReadDir(path)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := os.RemoveAll(filepath.Join(path, e.Name())); err != nil {
			return err
		}
	}
	if wasThere {
		return nil
	}
	return os.Remove(path)
}
