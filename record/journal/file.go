package journal

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
)

// A header is the first block of every file, in clear:
//
//	bytes 0–15    magic: what the file is
//	bytes 16–19   version of the format, big endian
//	bytes 20–51   random salt
//	bytes 52–59   size of the file, 0 where it is not fixed
//	bytes 60–75   zero; in a later version the oldest release that reads it
//	bytes 76–4063 zero
//	then          SHA-256 of the above
//
// The places of the version, of the release and of the hash are the same in all
// versions, so that a file from a newer release is not taken for a damaged one.
type header struct {
	magic string
	salt  salt
	size  int64
}

type salt [32]byte

const (
	segmentMagic  = "SIGNER SEGMENT\r\n"
	snapshotMagic = "SIGNER SNAPSHOT\n"
	formatVersion = 1
	headerUsed    = 60
	headerRelease = 76
	headerSum     = blockSize - sha256.Size
)

func newHeader(magic string, size int64) header {
	h := header{magic: magic, size: size}
	rand.Read(h.salt[:]) // never fails: it ends the process instead
	return h
}

// fields returns what every frame of the file is bound to.
func (h header) fields() []byte {
	b := append(make([]byte, 0, blockSize), h.magic...)
	b = binary.BigEndian.AppendUint32(b, formatVersion)
	b = append(b, h.salt[:]...)
	return binary.BigEndian.AppendUint64(b, uint64(h.size))
}

func (h header) encode() []byte {
	b := h.fields()[:headerSum]
	sum := sha256.Sum256(b)
	return append(b, sum[:]...)
}

// decodeHeader reads the header at the beginning of b, the file at path.
func decodeHeader(b []byte, magic, path string) (header, error) {
	if len(b) < blockSize {
		return header{}, damaged(path, "too short: %d bytes", len(b))
	}
	sum := sha256.Sum256(b[:headerSum])
	if string(b[:len(magic)]) != magic || !bytes.Equal(sum[:], b[headerSum:blockSize]) {
		return header{}, damaged(path, "does not begin with a whole %q header", magic)
	}
	if v := binary.BigEndian.Uint32(b[16:]); v != formatVersion {
		needs := bytes.TrimRight(b[headerUsed:headerRelease], "\x00")
		return header{}, fmt.Errorf("%w: %s has format version %d, this release reads version %d: use release %q or newer",
			ErrVersion, path, v, formatVersion, needs)
	}
	if !zero(b[headerUsed:headerSum]) {
		return header{}, damaged(path, "has a header that version %d does not know", formatVersion)
	}
	return header{magic, salt(b[20:52]), int64(binary.BigEndian.Uint64(b[52:]))}, nil
}

// A masterKey seals nothing itself: each file has a key derived from it, so that
// no two files, nor a file and its copy in an older state, share a nonce.
type masterKey [32]byte

// sealer returns the cipher for the frames of the file that begins with h.
func (k *masterKey) sealer(h header) *sealer {
	derived, err := hkdf.Key(sha256.New, k[:], h.salt[:], h.magic, 32)
	if err != nil {
		panic("journal: internal error: " + err.Error())
	}
	block, err := aes.NewCipher(derived)
	if err != nil {
		panic("journal: internal error: " + err.Error())
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		panic("journal: internal error: " + err.Error())
	}
	return &sealer{aead: aead, header: h.fields()}
}

// An output is a file of frames that is being written, front to back, once.
type output struct {
	header
	file   file
	sealer *sealer
	offset int64 // of the next frame
}

func (j *folder) createFile(path string, h header) (*output, error) {
	f, err := j.disk.Create(path)
	if err != nil {
		return nil, err
	}
	o, err := j.newOutput(f, h)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return o, nil
}

// newOutput begins the empty file f.
func (j *folder) newOutput(f file, h header) (*output, error) {
	if _, err := f.WriteAt(h.encode(), 0); err != nil {
		return nil, err
	}
	return &output{header: h, file: f, sealer: j.key.sealer(h), offset: blockSize}, nil
}

// write appends the frame that continues history at before, and returns where it
// leads. It returns nil only when the frame is durable.
func (o *output) write(before position, payload []byte) (after position, err error) {
	b, after := o.sealer.seal(before, payload)
	if _, err := o.file.WriteAt(b, o.offset); err != nil {
		return position{}, err
	}
	if err := o.file.Sync(); err != nil {
		return position{}, err
	}
	o.offset += int64(len(b))
	return after, nil
}

// An input is a file of frames as it was read.
type input struct {
	header
	path   string
	sealer *sealer
	length int    // of the file
	rest   []byte // behind the frames read so far
}

func (j *folder) readFile(path, magic string) (*input, error) {
	b, err := j.disk.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return j.newInput(b, magic, path)
}

// newInput reads the header of b, the contents of the file at path.
func (j *folder) newInput(b []byte, magic, path string) (*input, error) {
	h, err := decodeHeader(b, magic, path)
	if err != nil {
		return nil, err
	}
	return &input{header: h, path: path, sealer: j.key.sealer(h), length: len(b), rest: b[blockSize:]}, nil
}

// next reads the frame at the front of rest. It returns false, and moves
// nothing, if no whole frame is there.
func (in *input) next() (frame, bool) {
	f, ok := in.sealer.open(in.rest)
	in.rest = in.rest[f.size:]
	return f, ok
}

// find reads the next whole frame, over whatever stands before it.
func (in *input) find() (frame, bool) {
	for len(in.rest) > 0 {
		if f, ok := in.next(); ok {
			return f, true
		}
		in.rest = in.rest[min(blockSize, len(in.rest)):]
	}
	return frame{}, false
}

// damaged says what is wrong where in the file.
func (in *input) damaged(format string, args ...any) error {
	return damaged(in.path, "byte %d: %s", in.length-len(in.rest), fmt.Sprintf(format, args...))
}
