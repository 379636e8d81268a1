package durable

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// ErrLocked says that somebody else holds the lock.
var ErrLocked = errors.New("locked by another process")

// A FileLock is an exclusive lock among processes, and among the holders in one
// process. It ends with Unlock or with the process, however that ends, so a
// crash never leaves a stale one.
type FileLock struct{ f *os.File }

// TryLock locks path, a file that serves no other purpose, or returns ErrLocked. It
// makes the file if there is none; its directory must exist.
//
// The lock is flock(2)'s: advisory, and on one machine only. A folder on a
// network file system is not protected from another machine.
func TryLock(path string) (*FileLock, error) {
	return lock(path, os.O_CREATE|os.O_RDWR|syscall.O_NOFOLLOW)
}

// TryLockDir locks an existing directory itself, or returns ErrLocked. Unlike a
// lock file, which somebody takes for a stale one and removes, it cannot go away
// from under its holder. A file system that has no such lock, as NFS, is an error.
func TryLockDir(path string) (*FileLock, error) {
	return lock(path, os.O_RDONLY|syscall.O_DIRECTORY)
}

func lock(path string, flag int) (*FileLock, error) {
	f, err := os.OpenFile(path, flag, 0o600)
	if err != nil {
		return nil, err
	}
	for {
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if !errors.Is(err, syscall.EINTR) {
			break
		}
	}
	if errors.Is(err, syscall.EWOULDBLOCK) {
		err = ErrLocked
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("lock %s: %w", path, err), f.Close())
	}
	return &FileLock{f}, nil
}

// Holds tells whether path still names what is locked: nobody has moved it away, or
// put something else in its place.
func (l *FileLock) Holds(path string) bool {
	locked, err := l.f.Stat()
	if err != nil {
		return false
	}
	named, err := os.Stat(path)
	return err == nil && os.SameFile(locked, named)
}

// Unlock ends the lock. The file stays: were it removed, one process could lock
// the removed file while another locks a new one of the same name.
func (l *FileLock) Unlock() error { return l.f.Close() }
