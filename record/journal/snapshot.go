package journal

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/secure-signer/secure-signer/record"
)

const (
	snapshotName = "snapshot"
	snapshotTemp = "snapshot.new"
)

// writeSnapshot puts a snapshot of s in the place of the present one, and says
// that the segment continues it. It returns the size of the file.
//
// The new file is whole and durable before it takes the name, and the name is
// durable before anything else may rely on it or be removed: a crash leaves the
// old snapshot and all it needs, or the new one.
func (j *folder) writeSnapshot(s *state, segment salt) (int64, error) {
	temp := filepath.Join(j.dir, snapshotTemp)
	f, err := j.disk.Create(temp)
	if err != nil {
		return 0, err
	}
	w := &snapshotWriter{file: f, header: newHeader(snapshotMagic, 0)}
	w.sealer = j.key.sealer(w.header)
	err = w.write(s, segment)
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return 0, err
	}
	if err := j.disk.Rename(temp, filepath.Join(j.dir, snapshotName)); err != nil {
		return 0, err
	}
	return w.size, j.disk.SyncDir(j.dir)
}

type snapshotWriter struct {
	file   file
	header header
	sealer *sealer
	at     position // in the chain of the snapshot's own frames
	size   int64
}

func (w *snapshotWriter) write(s *state, segment salt) error {
	if err := w.append(w.header.encode()); err != nil {
		return err
	}
	payload := make([]byte, 0, maxFrame)
	payload = appendStart(payload, snapshotStart{s.at, s.unsettled, uint64(len(s.records))}, segment)
	for key, r := range s.records {
		if len(payload)+putSize(key, r) > maxPayload {
			if err := w.frame(payload); err != nil {
				return err
			}
			payload = payload[:0]
		}
		payload = appendPut(payload, key, r)
	}
	return w.frame(payload)
}

func (w *snapshotWriter) frame(payload []byte) error {
	b, after := w.sealer.seal(w.at, payload)
	w.at = after
	return w.append(b)
}

func (w *snapshotWriter) append(b []byte) error {
	_, err := w.file.WriteAt(b, w.size)
	w.size += int64(len(b))
	return err
}

// readSnapshot returns the state in the snapshot and the segment that continues
// it, which is the zero salt in a journal that was never opened.
func (j *folder) readSnapshot() (*state, salt, error) {
	path := filepath.Join(j.dir, snapshotName)
	b, err := j.disk.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, salt{}, fmt.Errorf("%w: %s does not exist (%s; a journal never starts empty by itself)", ErrMissing, path, remedy)
	}
	if err != nil {
		return nil, salt{}, err
	}
	h, err := parseHeader(b, snapshotMagic, path)
	if err != nil {
		return nil, salt{}, err
	}
	var items []item
	var at position
	sealer := j.key.sealer(h)
	for rest := b[blockSize:]; len(rest) > 0; {
		f, ok := sealer.open(rest)
		if !ok || f.before != at {
			return nil, salt{}, damaged(path, "no frame %d at byte %d, or it was sealed under another key", at.seq+1, len(b)-len(rest))
		}
		some, err := decode(f.payload)
		if err != nil {
			return nil, salt{}, damaged(path, "frame %d: %v", f.after.seq, err)
		}
		items = append(items, some...)
		at, rest = f.after, rest[f.size:]
	}
	s, segment, err := fromSnapshot(items)
	if err != nil {
		return nil, salt{}, damaged(path, "%v", err)
	}
	return s, segment, nil
}

func fromSnapshot(items []item) (*state, salt, error) {
	if len(items) == 0 || items[0].kind != itemStart {
		return nil, salt{}, errors.New("does not begin with a start")
	}
	first := items[0]
	s := &state{at: first.start.at, unsettled: first.start.unsettled, records: make(map[record.Key]record.Record, len(items))}
	for _, it := range items[1:] {
		if it.kind != itemPut {
			return nil, salt{}, errors.New("holds something else than records")
		}
		s.records[it.key] = it.record
	}
	if uint64(len(s.records)) != first.start.records || len(s.records) != len(items)-1 {
		return nil, salt{}, fmt.Errorf("holds %d records of %d", len(s.records), first.start.records)
	}
	return s, first.segment, nil
}
