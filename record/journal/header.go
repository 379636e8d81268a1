package journal

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
)

// Every file begins with one block in clear:
//
//	bytes 0–15    what the file is
//	bytes 16–19   version of the format, big endian
//	bytes 20–51   random salt
//	bytes 52–59   size of the file, 0 where it is not fixed
//	bytes 60–4063 zero
//	then          SHA-256 of the above
//
// The place of the version and of the hash is the same in all versions, so that
// a file from a newer release is not taken for a damaged one.
const (
	segmentMagic  = "SIGNER SEGMENT\r\n"
	snapshotMagic = "SIGNER SNAPSHOT\n"
	formatVersion = 1
	headerUsed    = 60
	headerSum     = blockSize - sha256.Size
)

type salt [32]byte

type header struct {
	magic string
	salt  salt
	size  int64
}

func newHeader(magic string, size int64) header {
	h := header{magic: magic, size: size}
	rand.Read(h.salt[:]) // never fails: it ends the process instead
	return h
}

func (h header) encode() []byte {
	b := make([]byte, 0, blockSize)
	b = append(b, h.magic...)
	b = binary.BigEndian.AppendUint32(b, formatVersion)
	b = append(b, h.salt[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(h.size))
	b = b[:headerSum]
	sum := sha256.Sum256(b)
	return append(b, sum[:]...)
}

// parseHeader reads the first block of the file at path.
func parseHeader(b []byte, magic, path string) (header, error) {
	if len(b) < blockSize {
		return header{}, damaged(path, "%d bytes, too short for a header", len(b))
	}
	sum := sha256.Sum256(b[:headerSum])
	if !bytes.Equal(sum[:], b[headerSum:blockSize]) || string(b[:16]) != magic {
		return header{}, damaged(path, "header is not that of a %q", magic)
	}
	if v := binary.BigEndian.Uint32(b[16:]); v != formatVersion {
		return header{}, fmt.Errorf("%w: %s: format version %d, this release reads %d (install the release that wrote it, or a newer one)",
			ErrVersion, path, v, formatVersion)
	}
	h := header{magic: magic, salt: salt(b[20:52]), size: int64(binary.BigEndian.Uint64(b[52:]))}
	if !bytes.Equal(h.encode(), b[:blockSize]) {
		return header{}, damaged(path, "header holds more than version %d knows", formatVersion)
	}
	return h, nil
}

// A masterKey seals nothing itself: each file has a key derived from it.
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
	return &sealer{aead: aead, header: h.encode()[:headerUsed]}
}
