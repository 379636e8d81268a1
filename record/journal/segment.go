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

// A segment is a file of frames that is being written.
type segment struct {
	file   file
	path   string
	id     salt
	sealer *sealer
	size   int64
	offset int64 // of the next frame
}

// createSegment makes an empty segment of this size in dir, durably. It is
// filled with zeros, so that a disk that is full is full now, and not when a
// record needs the room.
func (j *folder) createSegment(size int64) (_ *segment, err error) {
	h := newHeader(segmentMagic, size)
	path := filepath.Join(j.dir, segmentName(h.salt))
	f, err := j.disk.Create(path)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, f.Close())
		}
	}()
	if _, err := f.WriteAt(h.encode(), 0); err != nil {
		return nil, err
	}
	zeros := make([]byte, min(size, 1<<20))
	for at := int64(blockSize); at < size; at += int64(len(zeros)) {
		if _, err := f.WriteAt(zeros[:min(size-at, int64(len(zeros)))], at); err != nil {
			return nil, err
		}
	}
	if err := f.Sync(); err != nil {
		return nil, err
	}
	if err := j.disk.SyncDir(j.dir); err != nil {
		return nil, err
	}
	return &segment{file: f, path: path, id: h.salt, sealer: j.key.sealer(h), size: size, offset: blockSize}, nil
}

// lastBehind reports whether a frame with this payload must be the last one:
// behind it there may be no room for another.
func (g *segment) lastBehind(payload int) bool {
	return g.size-g.offset-int64(frameSize(payload+nextSize)) < maxFrame
}

// write puts the next frame at the end of the segment and returns where it
// leads. The frame is durable only after sync.
func (g *segment) write(before position, payload []byte) (position, error) {
	b, after := g.sealer.seal(before, payload)
	if _, err := g.file.WriteAt(b, g.offset); err != nil {
		return position{}, err
	}
	g.offset += int64(len(b))
	return after, nil
}

// replay takes the state over the frames of a segment and returns the segment
// that follows, or nil.
//
// Frames end at the first position that does not hold one. If only zeros follow,
// the segment ends there. Otherwise this may be a frame that a crash cut short,
// which nobody can have relied on. It is not, if a later frame is whole, since
// that was written only after the fsync of this one; nor if something stands
// farther away than this frame can have reached. What remains is a crash or
// damage that looks like one, and the state becomes unsettled.
func (j *folder) replay(s *state, id salt) (*salt, error) {
	path := filepath.Join(j.dir, segmentName(id))
	b, err := j.disk.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, damaged(path, "missing")
	}
	if err != nil {
		return nil, err
	}
	h, err := parseHeader(b, segmentMagic, path)
	if err != nil {
		return nil, err
	}
	if h.salt != id || h.size != int64(len(b)) {
		return nil, damaged(path, "not the segment of this name, or cut")
	}
	sealer := j.key.sealer(h)
	for rest := b[blockSize:]; ; {
		f, ok := sealer.open(rest)
		if !ok {
			return nil, s.endAt(rest, sealer, path)
		}
		next, err := s.apply(f)
		if err != nil {
			return nil, damaged(path, "byte %d: %v", len(b)-len(rest), err)
		}
		rest = rest[f.size:]
		if next != nil {
			if !zero(rest) {
				return nil, damaged(path, "byte %d: something follows the last frame", len(b)-len(rest))
			}
			return next, nil
		}
	}
}

// endAt judges what stands in a segment behind its last whole frame.
func (s *state) endAt(rest []byte, sealer *sealer, path string) error {
	switch f, found := sealer.find(rest); {
	case zero(rest):
		return nil
	case found:
		return damaged(path, "frame %d is bad, although frame %d is whole", s.at.seq+1, f.after.seq)
	case !zero(rest[min(maxFrame, len(rest)):]):
		return damaged(path, "something stands far behind frame %d, the last one", s.at.seq)
	}
	s.unsettled = true
	return nil
}

// find returns the first whole frame at any block of b.
func (s *sealer) find(b []byte) (frame, bool) {
	for ; len(b) >= blockSize; b = b[blockSize:] {
		if f, ok := s.open(b); ok {
			return f, true
		}
	}
	return frame{}, false
}
