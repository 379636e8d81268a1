package journal

import (
	"context"
	"fmt"
	"io"
)

// A backup is a snapshot under another magic, and so under a key of its own: put
// in the place of one, it opens no journal. It has forgotten what was signed
// since, so the only way to use it is Restore.
const (
	backupMagic = "SIGNER BACKUP J\n"
	backupName  = "the journal in the backup"
)

// Backup writes every record as of one moment to w, sealed like the journal's own
// files. All that it writes is durable here. Changes go on meanwhile.
func (s *Store) Backup(ctx context.Context, w io.Writer) error {
	s.mu.Lock()
	err := s.unavailable()
	copied := s.state.clone()
	s.mu.Unlock()
	if err == nil {
		err = s.folder.writeBackup(copied, &stream{ctx: ctx, w: w})
	}
	if err != nil {
		return fmt.Errorf("back up journal: %w", err)
	}
	return nil
}

func (j *folder) writeBackup(s *state, f file) error {
	o, err := j.newOutput(f, newHeader(backupMagic, 0))
	if err != nil {
		return err
	}
	return o.writeState(s, salt{})
}

// A stream is a file that is written front to back and is somebody else's to make
// durable.
type stream struct {
	ctx context.Context
	w   io.Writer
}

func (f *stream) WriteAt(b []byte, _ int64) (int, error) {
	if err := f.ctx.Err(); err != nil {
		return 0, err
	}
	return f.w.Write(b)
}

func (f *stream) Sync() error  { return nil }
func (f *stream) Close() error { return nil }

// Restore makes a journal in dir, as Create does, of what Backup has written under
// the same key. It is Unsettled: what was signed after the backup is unknown.
func Restore(dir string, key [32]byte, backup []byte) error {
	s, err := newFolder(osDisk{}, dir, key).readBackup(backup)
	if err != nil {
		return fmt.Errorf("restore journal: %w", err)
	}
	return create(osDisk{}, dir, key, s)
}

func (j *folder) readBackup(b []byte) (*state, error) {
	in, err := j.newInput(b, backupMagic, backupName)
	if err != nil {
		return nil, err
	}
	s, _, err := in.readState()
	if err != nil {
		return nil, err
	}
	s.unsettled = true
	return s, nil
}
