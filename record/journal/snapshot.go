package journal

import (
	"errors"
	"io/fs"
	"path/filepath"
)

const (
	snapshotName = "snapshot"
	snapshotTemp = "snapshot.new"
)

// writeSnapshot puts a snapshot of s in the place of the present one, to be
// continued by the segment, and returns its size.
//
// The new file is whole and durable before it takes the name, and the name is
// durable before anything relies on it or is removed: a crash leaves the old
// snapshot and all that continues it, or the new one.
func (j *folder) writeSnapshot(s *state, segment salt) (int64, error) {
	temp := filepath.Join(j.dir, snapshotTemp)
	o, err := j.createFile(temp, newHeader(snapshotMagic, 0))
	if err != nil {
		return 0, err
	}
	err = o.writeState(s, segment)
	if err := errors.Join(err, o.file.Close()); err != nil {
		return 0, err
	}
	if err := j.disk.Rename(temp, filepath.Join(j.dir, snapshotName)); err != nil {
		return 0, err
	}
	return o.offset, j.disk.SyncDir(j.dir)
}

// writeState writes a state in frames that are a chain of their own. As each is
// synced, the fsync of a segment's frame meanwhile waits for little.
func (o *output) writeState(s *state, segment salt) error {
	var at position
	var err error
	payload := appendStart(make([]byte, 0, maxPayload), s, segment)
	for key, r := range s.records {
		if len(payload)+putSize(key, r) > maxPayload {
			if at, err = o.write(at, payload); err != nil {
				return err
			}
			payload = payload[:0]
		}
		payload = appendPut(payload, key, r)
	}
	_, err = o.write(at, payload)
	return err
}

// readSnapshot returns the state in the snapshot and the segment that continues
// it: none, the zero salt, in a journal that was never opened.
func (j *folder) readSnapshot() (*state, salt, error) {
	in, err := j.readFile(filepath.Join(j.dir, snapshotName), snapshotMagic)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, salt{}, missing(filepath.Join(j.dir, snapshotName))
	}
	if err != nil {
		return nil, salt{}, err
	}
	return in.readState()
}

// readState reads what writeState has written, all of the file, frame by frame:
// a list of all items would take more than the state.
func (in *input) readState() (*state, salt, error) {
	var b stateBuilder
	for at := (position{}); len(in.rest) > 0; {
		f, ok := in.next()
		if !ok || f.before != at {
			return nil, salt{}, in.damaged("no frame %d, or sealed under another key", at.seq+1)
		}
		items, err := decode(f.payload)
		if err == nil {
			err = b.add(items)
		}
		if err != nil {
			return nil, salt{}, in.damaged("frame %d: %v", f.after.seq, err)
		}
		at = f.after
	}
	s, err := b.finish()
	if err != nil {
		return nil, salt{}, in.damaged("%v", err)
	}
	return s, b.start.segment, nil
}
