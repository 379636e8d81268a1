package journal

import (
	"fmt"
	"path/filepath"
)

// A folder is where a journal's files are, and how they are sealed.
type folder struct {
	disk disk
	dir  string
	key  *masterKey

	minSegment int64 // size of the smallest segment
}

func newFolder(d disk, dir string, key [32]byte) *folder {
	return &folder{disk: d, dir: dir, key: (*masterKey)(&key), minSegment: minSegment}
}

// files returns the names of the snapshot and of the segments.
func (j *folder) files() ([]string, error) {
	entries, err := j.disk.ReadDir(j.dir)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if name := e.Name(); name == snapshotName || isSegmentName(name) {
			names = append(names, name)
		}
	}
	return names, nil
}

// A checkpoint puts a snapshot in the place of all older files and makes a segment
// in reserve, so that a full disk is noticed a whole segment before a record
// depends on it. It works in the background: what it returns is set once done is
// closed.
type checkpoint struct {
	done    chan struct{}
	reserve *output
	err     error
}

// startCheckpoint makes a checkpoint of copied, which the segment continues.
func (s *Store) startCheckpoint(copied *state, current *output) *checkpoint {
	c := &checkpoint{done: make(chan struct{})}
	go func() {
		defer close(c.done)
		var snapshotSize int64
		if c.err = s.stillOurs(); c.err == nil {
			c.reserve, snapshotSize, c.err = s.folder.checkpoint(copied, current.salt)
		}
		if c.err != nil {
			_ = s.fail(c.err) // whoever waits for the checkpoint gets its own error
			return
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.stats.Snapshots++
		s.stats.FileBytes = snapshotSize + current.size + c.reserve.size
	}()
	return c
}

// stillOurs is nil while the folder is the one that is locked. In another that has
// taken its name a checkpoint would remove the files of whoever uses that one.
func (s *Store) stillOurs() error {
	if s.lock.Holds(s.folder.dir) {
		return nil
	}
	return fmt.Errorf("%s was moved or removed while it was in use: put it back before the next start (if it is gone: secure-signer restore --data-dir D --journal-lost)", s.folder.dir)
}

func (c *checkpoint) wait() error {
	<-c.done
	return c.err
}

// checkpoint does the work on the disk. Nothing is removed before what replaces
// it is durable, and it is removed before the reserve needs the room.
func (j *folder) checkpoint(s *state, current salt) (reserve *output, snapshotSize int64, err error) {
	if snapshotSize, err = j.writeSnapshot(s, current); err != nil {
		return nil, 0, err
	}
	names, err := j.files()
	if err != nil {
		return nil, 0, err
	}
	for _, name := range names {
		if name == snapshotName || name == segmentName(current) {
			continue
		}
		if err := j.disk.Remove(filepath.Join(j.dir, name)); err != nil {
			return nil, 0, err
		}
	}
	reserve, err = j.createSegment(j.segmentSize(s))
	return reserve, snapshotSize, err
}

// segmentSize returns the size of a segment that follows a snapshot of s: twice
// the snapshot, so that writing snapshots stays a fraction of writing frames.
func (j *folder) segmentSize(s *state) int64 {
	size := max(j.minSegment, 2*s.size())
	return (size + blockSize - 1) / blockSize * blockSize
}
