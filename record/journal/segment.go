package journal

import (
	"encoding/hex"
	"errors"
	"io/fs"
	"path/filepath"
	"strings"
)

const (
	segmentPrefix = "segment-"
	// minSegment leaves room for some 200 flushes between two snapshots.
	minSegment = 1 << 20
)

// segmentName returns the name of the file of a segment.
func segmentName(id salt) string { return segmentPrefix + hex.EncodeToString(id[:8]) }

func isSegmentName(name string) bool {
	digits, ok := strings.CutPrefix(name, segmentPrefix)
	b, err := hex.DecodeString(digits)
	return ok && err == nil && len(b) == 8
}

// createSegment makes an empty segment of this size, durably. It is filled with
// zeros, so that a disk that is full is full now, and not when a record needs
// the room. It holds more than the header.
func (j *folder) createSegment(size int64) (_ *output, err error) {
	h := newHeader(segmentMagic, size)
	o, err := j.createFile(filepath.Join(j.dir, segmentName(h.salt)), h)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, o.file.Close())
		}
	}()
	zeros := make([]byte, maxFrame)
	for at := o.offset; at < size; at += maxFrame {
		if _, err := o.file.WriteAt(zeros[:min(size-at, maxFrame)], at); err != nil {
			return nil, err
		}
		// In pieces, so that the fsync of a frame meanwhile waits for little.
		if err := o.file.Sync(); err != nil {
			return nil, err
		}
	}
	return o, j.disk.SyncDir(j.dir)
}

// fillsSegment reports whether a frame with this payload must be the last one of
// the segment: behind it there might be no room for another.
func (o *output) fillsSegment(payload int) bool {
	return o.size-o.offset-int64(frameSize(payload+nextSize)) < maxFrame
}

// replay takes the state over the frames of a segment and returns the segment
// that follows, or nil.
func (j *folder) replay(s *state, id salt) (*salt, error) {
	path := filepath.Join(j.dir, segmentName(id))
	in, err := j.readFile(path, segmentMagic)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, damaged(path, "missing")
	}
	if err != nil {
		return nil, err
	}
	if in.salt != id || in.size != int64(in.length) {
		return nil, damaged(path, "has another segment's contents, or was cut")
	}
	for {
		f, ok := in.next()
		if !ok {
			return nil, s.endAt(in)
		}
		next, err := s.apply(f)
		if err != nil {
			return nil, in.damaged("%v", err)
		}
		if next != nil && !zero(in.rest) {
			return nil, in.damaged("something follows the last frame")
		}
		if next != nil {
			return next, nil
		}
	}
}

// endAt judges what stands in a segment where no whole frame does.
//
// Zeros are the end. Otherwise it may be a frame that a crash cut short, which
// nobody can have relied on. It is not if a later frame is whole, since that one
// was written only after the fsync of this one, nor if something stands farther
// away than this frame can have reached. What remains is a crash, or damage that
// looks like one, and leaves the state unsettled.
func (s *state) endAt(in *input) error {
	bad := in.rest
	if zero(bad) {
		return nil
	}
	if f, found := in.find(); found {
		return damaged(in.path, "frame %d is bad, although frame %d is whole", s.at.seq+1, f.after.seq)
	}
	if !zero(bad[min(maxFrame, len(bad)):]) {
		return damaged(in.path, "something stands far behind frame %d, the last one", s.at.seq)
	}
	s.unsettled = true
	return nil
}
