// Package pty opens pseudo-terminals for tests: of what a person types and reads, and
// of what stands for a device.
package pty

import (
	"errors"
	"fmt"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// Open returns both ends of a pseudo-terminal: where an operator types and reads, and
// what the program has. Both are closed when the test ends.
func Open(t testing.TB) (operator, program *os.File) {
	t.Helper()
	open := func(path string) (*os.File, error) {
		f, err := os.OpenFile(path, os.O_RDWR|unix.O_NOCTTY, 0)
		if err == nil {
			t.Cleanup(func() { f.Close() })
		}
		return f, err
	}
	operator, err := open("/dev/ptmx")
	if err != nil {
		t.Skipf("no pseudo-terminals here: %v", err)
	}
	fd := int(operator.Fd())
	number, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err := errors.Join(err, unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0)); err != nil {
		t.Fatal(err)
	}
	program, err = open(fmt.Sprintf("/dev/pts/%d", number))
	if err != nil {
		t.Fatal(err)
	}
	return operator, program
}
