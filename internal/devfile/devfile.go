// Package devfile reads and writes files that are no files: what a kernel, or a
// library that stands for one, shows of its devices.
//
// They take a value by one write and must not be made where they are missing: a
// file that took what was meant for hardware would be an answer to nobody.
package devfile

import (
	"errors"
	"fmt"
	"io"
	"os"
)

// Write writes a value, at once, into a file that is there.
func Write(path string, value []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.Write(value)
	return errors.Join(err, f.Close())
}

// Read reads all that a file holds, but at most limit bytes: who is outside may
// have it never end.
func Read(path string, limit int) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	value, err := io.ReadAll(io.LimitReader(f, int64(limit)+1))
	if err == nil && len(value) > limit {
		err = fmt.Errorf("%s has more than %d bytes", path, limit)
	}
	return value, err
}
