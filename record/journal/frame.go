package journal

import (
	"crypto/cipher"
	"crypto/sha256"
	"encoding/binary"
)

// A frame is what reaches the disk in one flush. It fills whole blocks, because
// a disk may tear the sector it is writing: a frame that shared one with an
// acknowledged frame could destroy it. No common disk has larger sectors.
//
//	bytes 0–3    number of blocks, big endian
//	bytes 4–11   sequence number, from 1, without gaps
//	bytes 12–43  hash of the chain before this frame
//	bytes 44–    payload and zeros to fill the blocks, sealed
//
// The associated data are the file's header and the 44 bytes. That the hash
// stands in the frame lets a frame be recognised behind a bad one. As it was
// written only after the bad one's fsync, it proves that the bad one was whole.
const (
	blockSize     = 4096
	frameHead     = 4 + 8 + 32
	frameOverhead = frameHead + 16
	maxFrame      = 64 * blockSize
)

// A position in history: how many frames, and the hash of them all.
type position struct {
	seq  uint64
	hash [32]byte
}

// A frame as it was read back. Its payload ends in zeros.
type frame struct {
	before, after position
	payload       []byte
	size          int
}

// frameSize returns the bytes that a frame takes on the disk.
func frameSize(payload int) int {
	return (payload + frameOverhead + blockSize - 1) / blockSize * blockSize
}

type sealer struct {
	aead   cipher.AEAD
	header []byte // of the file
}

// seal returns the frame that continues history at before, and where it leads.
// A sealer must not be asked twice for the same position: its nonce is before.seq.
func (s *sealer) seal(before position, payload []byte) ([]byte, position) {
	size := frameSize(len(payload))
	b := make([]byte, size)
	binary.BigEndian.PutUint32(b, uint32(size/blockSize))
	binary.BigEndian.PutUint64(b[4:], before.seq+1)
	copy(b[12:], before.hash[:])
	copy(b[frameHead:], payload)
	plain := b[frameHead : size-s.aead.Overhead()]
	s.aead.Seal(plain[:0], nonce(b), plain, s.associated(b))
	return b, position{before.seq + 1, sha256.Sum256(b)}
}

// open returns the frame at the beginning of b, or false if none of this file's
// is there.
func (s *sealer) open(b []byte) (frame, bool) {
	if len(b) < blockSize {
		return frame{}, false
	}
	blocks := binary.BigEndian.Uint32(b)
	size := int(blocks) * blockSize
	if blocks == 0 || blocks > maxFrame/blockSize || size > len(b) {
		return frame{}, false
	}
	b = b[:size]
	payload, err := s.aead.Open(nil, nonce(b), b[frameHead:], s.associated(b))
	if err != nil {
		return frame{}, false
	}
	seq := binary.BigEndian.Uint64(b[4:])
	return frame{
		before:  position{seq - 1, [32]byte(b[12:])},
		after:   position{seq, sha256.Sum256(b)},
		payload: payload,
		size:    size,
	}, true
}

// nonce is the sequence number of the frame in b. It is unique under the file's
// key: a file is written by one process, once, front to back.
func nonce(b []byte) []byte {
	return append(make([]byte, 4, 12), b[4:12]...)
}

func (s *sealer) associated(b []byte) []byte {
	return append(s.header[:len(s.header):len(s.header)], b[:frameHead]...)
}
