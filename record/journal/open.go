package journal

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/secure-signer/secure-signer/internal/durable"
)

// Create makes an empty journal in dir, which it makes too if need be. It
// refuses, with an error that wraps fs.ErrExist, where there is a journal or a
// part of one. A crash leaves no journal or a whole one.
func Create(dir string, key [32]byte) error {
	return create(osDisk{}, dir, key, new(state))
}

func create(d disk, dir string, key [32]byte, s *state) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("create journal: %w", err)
		}
	}()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	lock, err := lockFolder(dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lock.Unlock()) }()
	j := newFolder(d, dir, key)
	names, err := j.files()
	if err != nil {
		return err
	}
	if len(names) > 0 {
		return fmt.Errorf("%w: %s", fs.ErrExist, filepath.Join(dir, names[0]))
	}
	if _, err := j.writeSnapshot(s, salt{}); err != nil {
		return err
	}
	return d.SyncDir(filepath.Dir(dir))
}

// Open opens the journal in dir and locks it until Close. It never makes one:
// see ErrMissing, ErrDamaged, ErrVersion and ErrLocked.
//
// When Open returns, the recovered state stands on the disk in new files. The
// old ones are not written to again: after a crash, or a failed fsync, the page
// cache may show what the disk does not have, and to sync the same file again is
// not enough.
func Open(dir string, key [32]byte) (*Store, error) {
	return open(osDisk{}, dir, key)
}

func open(d disk, dir string, key [32]byte) (_ *Store, err error) {
	defer func() { err = advise(err) }()
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		return nil, missing(dir)
	}
	lock, err := lockFolder(dir)
	if err != nil {
		return nil, err
	}
	s, err := newFolder(d, dir, key).start(lock)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open journal: %w", err), lock.Unlock())
	}
	return s, nil
}

// advise says what to do where the disk does not let us read or write.
func advise(err error) error {
	switch {
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%w (give the folder, and all that is in it, to the user who runs this, for reading and writing)", err)
	case errors.Is(err, syscall.EROFS):
		return fmt.Errorf("%w (mount it for writing, then start again: nothing is lost)", err)
	case errors.Is(err, syscall.ENOSPC):
		return fmt.Errorf("%w (make room, then start again: nothing is lost)", err)
	case errors.Is(err, syscall.EIO):
		return fmt.Errorf("%w (the disk may be failing: see the kernel's log)", err)
	}
	return err
}

// start reads the files, replaces them and starts the writer.
func (j *folder) start(lock *durable.FileLock) (*Store, error) {
	recovered, err := j.readState()
	if err != nil {
		return nil, err
	}
	current, err := j.createSegment(j.segmentSize(recovered))
	if err != nil {
		return nil, err
	}
	s := newStore(j, lock, recovered, current)
	if err := s.checkpoint.wait(); err != nil {
		return nil, errors.Join(err, current.file.Close())
	}
	go s.write()
	return s, nil
}

// lockFolder locks the folder itself. Were it a file in there, whoever removed it
// as a stale one would let a second process replace the files that the first is
// writing to: what the first signs from then on would be forgotten.
func lockFolder(dir string) (*durable.FileLock, error) {
	lock, err := durable.TryLockDir(dir)
	if errors.Is(err, durable.ErrLocked) {
		return nil, fmt.Errorf("%w: %s (stop the other one; two would sign twice)", ErrLocked, dir)
	}
	if err != nil {
		return nil, fmt.Errorf("lock journal: %w", err)
	}
	return lock, nil
}

// readState returns the state that the files hold.
func (j *folder) readState() (*state, error) {
	s, first, err := j.readSnapshot()
	if err != nil {
		return nil, err
	}
	read := map[string]bool{snapshotName: true}
	for id := &first; id != nil && *id != (salt{}); {
		read[segmentName(*id)] = true
		if id, err = j.replay(s, *id); err != nil {
			return nil, err
		}
	}
	return s, j.checkStrays(s, read)
}

// checkStrays looks at the segments that nothing leads to. There may be one in
// reserve, one from an Open that did not finish, and those that a crash kept
// from being removed. None of them holds a later frame than the state: if one
// does, the snapshot or a segment is older than the rest of the folder.
func (j *folder) checkStrays(s *state, read map[string]bool) error {
	names, err := j.files()
	if err != nil {
		return err
	}
	for _, name := range names {
		if read[name] {
			continue
		}
		in, err := j.readFile(filepath.Join(j.dir, name), segmentMagic)
		if errors.Is(err, ErrDamaged) {
			continue // cut short when it was made: no frame was written to it
		}
		if err != nil {
			return err
		}
		for f, ok := in.find(); ok; f, ok = in.find() {
			if f.after.seq > s.at.seq {
				return damaged(in.path, "holds frame %d, but the snapshot leads only to frame %d", f.after.seq, s.at.seq)
			}
		}
	}
	return nil
}
