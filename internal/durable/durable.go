// Package durable holds the few file operations that end on the disk, not in
// the page cache.
//
// When a function of this package returns nil its effect survives a crash of
// the process, of the kernel and of the power supply, as far as the kernel and
// the disk keep the promise of fsync(2). When it returns an error nothing is
// known about the effect: after a failed fsync the page cache may show what the
// disk does not have, and a second fsync that succeeds proves nothing. The
// caller must stop trusting the file it holds open, not try again.
package durable

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// WriteFile makes path a file with these contents and permissions, replacing
// any file of that name. A crash leaves the old file or the new one, whole.
//
// A crash may also leave a file named ".<name>.*.tmp" beside it, which nothing
// reads.
func WriteFile(path string, data []byte, perm fs.FileMode) error {
	temp, err := writeTemp(path, data, perm)
	if err != nil {
		return err
	}
	// The contents are on the disk before the name points to them, and the name
	// is on the disk before the caller may rely on it.
	if err := os.Rename(temp, path); err != nil {
		return errors.Join(err, os.Remove(temp))
	}
	return SyncDir(filepath.Dir(path))
}

// writeTemp writes and syncs a new file beside path, under a name that nobody
// can have planted there.
func writeTemp(path string, data []byte, perm fs.FileMode) (string, error) {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*.tmp")
	if err != nil {
		return "", err
	}
	if err := errors.Join(f.Chmod(perm), Append(f, data), f.Close()); err != nil {
		return "", errors.Join(err, os.Remove(f.Name()))
	}
	return f.Name(), nil
}

// Append writes data at the file's offset (at its end, if it was opened with
// os.O_APPEND) and returns nil once it is on the disk. After an error the file
// may hold a part of data.
func Append(f *os.File, data []byte) error {
	if _, err := f.Write(data); err != nil {
		return err
	}
	return f.Sync()
}

// SyncDir makes the creations, renames and removals in a directory durable.
// Until then a crash may undo them, although the files themselves are synced.
func SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	if err := errors.Join(d.Sync(), d.Close()); err != nil {
		return fmt.Errorf("sync directory: %w", err)
	}
	return nil
}
