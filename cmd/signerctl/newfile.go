package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/secure-signer/secure-signer/internal/durable"
)

// A newFile is a file that was not there before. It is made before the work that
// fills it begins, so that nothing is done whose result cannot be kept.
type newFile struct{ *os.File }

// createNew makes a file that only its owner reads. It never overwrites: what is
// there may be the only copy of a history.
func createNew(path string) (*newFile, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("%s exists already, and is not overwritten: name another file", path)
	}
	if err != nil {
		return nil, err
	}
	return &newFile{f}, nil
}

// keep returns nil once all that was written is on the disk under its name.
func (f *newFile) keep() error {
	err := errors.Join(f.Sync(), f.Close())
	if err == nil {
		err = durable.SyncDir(filepath.Dir(f.Name()))
	}
	return err
}

// discard removes the file. What it held must not be taken for a whole one.
func (f *newFile) discard() error {
	return errors.Join(f.Close(), os.Remove(f.Name()))
}

// fill keeps what write writes, or leaves no file.
func (f *newFile) fill(write func(io.Writer) error) error {
	err := write(f)
	if err == nil {
		return f.keep()
	}
	return errors.Join(err, f.discard())
}

// keepText writes a new file.
func keepText(path string, text []byte) error {
	f, err := createNew(path)
	if err != nil {
		return err
	}
	return f.fill(func(w io.Writer) error {
		_, err := w.Write(text)
		return err
	})
}
