package vault

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"

	"github.com/secure-signer/secure-signer/bls"
)

// The header, big endian. Every version keeps the shape of the first 28 bytes.
//
//	 0   8  magic
//	 8   4  version
//	12  16  the oldest release that reads this version, padded with zero bytes
//	28  32  file id: random, new whenever the file is written anew
//	60   4  n, the size of the wrapped data key
//	64   n  the data key, wrapped by the Sealer
//	     32 SHA-256 of all the above: tells damage from a wrong passphrase
//	     32 HMAC-SHA256 of all the above under the data key: nobody else made it
const (
	magic         = "SSVAULT\n"
	version       = 1
	release       = "0.1.0"
	releaseSize   = 16
	idOffset      = 28
	wrappedOffset = 64
	maxWrapped    = 64 << 10
	maxHeader     = wrappedOffset + maxWrapped + 2*sha256.Size
)

// After the header follow entries, all of one size, so that no flipped bit can
// make a complete entry look like one that a crash has cut short.
//
//	 0   1  kind
//	 1  48  public key
//	49  12  nonce
//	61  32  secret key, sealed; zero bytes, sealed, when the kind is a deletion
//	93  16  tag
//
// Each is sealed by AES-256-GCM under a key that belongs to this file id alone.
// The associated data are the entry's number, the hash of the file id and all
// entries before it, its kind and its public key: an entry opens only where it
// was written, in the history in which it was written.
//
// Nonces are random. A counter would repeat when the owner of the disk puts an
// older file back and lets it grow again; random ones are good for 2^32 entries
// under one key (NIST SP 800-38D section 8.3), of which a file may hold 2^22.
const (
	kindAdd    = 1
	kindDelete = 2

	keySize    = 32
	sealedAt   = 1 + 48
	tagSize    = 16
	entrySize  = sealedAt + 12 + keySize + tagSize
	maxEntries = 1 << 22
)

// A header is what a vault says before its entries.
type header struct {
	id      [32]byte
	wrapped []byte
}

// encode returns the header's bytes, authenticated by the data key.
func (h header) encode(key *[keySize]byte) []byte {
	b := []byte(magic)
	b = binary.BigEndian.AppendUint32(b, version)
	b = append(b, release...)
	b = append(b, make([]byte, idOffset-len(b))...)
	b = append(b, h.id[:]...)
	b = binary.BigEndian.AppendUint32(b, uint32(len(h.wrapped)))
	b = append(b, h.wrapped...)
	sum := sha256.Sum256(b)
	b = append(b, sum[:]...)
	return append(b, headerMAC(key, b)...)
}

// parseHeader reads the header at the start of b without any key, and returns
// its size. An error is ErrVersion or a reason for ErrDamaged.
func parseHeader(b []byte) (header, int, error) {
	if len(b) < wrappedOffset || string(b[:len(magic)]) != magic {
		return header{}, 0, errors.New("this is not a vault, or its first bytes are lost")
	}
	if v := binary.BigEndian.Uint32(b[len(magic):]); v != version {
		needs := bytes.TrimRight(b[len(magic)+4:idOffset], "\x00")
		return header{}, 0, fmt.Errorf("%w: it has format %d, this release reads format %d: use release %q or newer",
			ErrVersion, v, version, needs)
	}
	n := binary.BigEndian.Uint32(b[wrappedOffset-4:])
	size := wrappedOffset + int64(n) + 2*sha256.Size
	if int64(len(b)) < size {
		return header{}, 0, errors.New("the header is cut short")
	}
	body := b[:wrappedOffset+n]
	if sum := sha256.Sum256(body); !bytes.Equal(sum[:], b[len(body):len(body)+sha256.Size]) {
		return header{}, 0, errors.New("the header has changed since it was written")
	}
	return header{id: [32]byte(b[idOffset:]), wrapped: body[wrappedOffset:]}, int(size), nil
}

// authenticHeader reports whether b, a whole header, was made with the data key.
func authenticHeader(key *[keySize]byte, b []byte) bool {
	body := b[:len(b)-sha256.Size]
	return hmac.Equal(headerMAC(key, body), b[len(body):])
}

func headerMAC(key *[keySize]byte, body []byte) []byte {
	mac := hmac.New(sha256.New, derive(key, nil, "secure-signer vault header"))
	mac.Write(body)
	return mac.Sum(nil)
}

// derive is HKDF-SHA256 (RFC 5869).
func derive(key *[keySize]byte, salt []byte, info string) []byte {
	out, err := hkdf.Key(sha256.New, key[:], salt, info, keySize)
	if err != nil {
		panic("vault: internal error: " + err.Error()) // only for output beyond 255 hashes
	}
	return out
}

// A chain is a place in a vault: the number of the next entry, from 0, and the
// hash of everything before it.
type chain struct {
	id    [32]byte    // of the file
	aead  cipher.AEAD // nil between uses
	start int64       // where the entries begin in the file
	next  uint64
	head  [sha256.Size]byte
}

// newChain returns the place before the first entry of the file id.
func newChain(key *[keySize]byte, id [32]byte, start int) chain {
	c := chain{id: id, start: int64(start), head: sha256.Sum256(id[:])}
	c.unlock(key)
	return c
}

// unlock derives what seals and opens the entries of this file.
func (c *chain) unlock(key *[keySize]byte) {
	secret := derive(key, c.id[:], "secure-signer vault entries")
	defer clear(secret)
	block, err := aes.NewCipher(secret)
	if err != nil {
		panic("vault: internal error: " + err.Error()) // only for a wrong key size
	}
	c.aead, err = cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		panic("vault: internal error: " + err.Error()) // only for a wrong block size
	}
}

// offset returns where in the file the next entry begins.
func (c *chain) offset() int64 { return c.start + int64(c.next)*entrySize }

// seal appends the next entry to dst and moves past it. A nil secret is that of
// a deletion.
func (c *chain) seal(dst []byte, kind byte, pub bls.PublicKey, secret []byte) []byte {
	if secret == nil {
		secret = make([]byte, keySize)
	}
	start := len(dst)
	dst = append(append(dst, kind), pub[:]...)
	dst = c.aead.Seal(dst, nil, secret, c.associated(dst[start:]))
	c.advance(dst[start:])
	return dst
}

// An entry is what an authentic one says. The secret is overwritten by the next.
type entry struct {
	number uint64
	kind   byte
	pub    bls.PublicKey
	secret *[keySize]byte
}

// entries opens each entry of b, which holds complete ones only, and moves past
// it once the loop's body has been run. An error ends the sequence: anything but
// the very entry that was sealed in this place.
func (c *chain) entries(b []byte) iter.Seq2[entry, error] {
	return func(yield func(entry, error) bool) {
		secret := new([keySize]byte)
		defer clear(secret[:])
		for ; len(b) > 0; b = b[entrySize:] {
			named, sealed := b[:sealedAt], b[sealedAt:entrySize]
			if _, err := c.aead.Open(secret[:0], nil, sealed, c.associated(named)); err != nil {
				yield(entry{}, fmt.Errorf("entry %d does not authenticate", c.next))
				return
			}
			if !yield(entry{c.next, named[0], bls.PublicKey(named[1:]), secret}, nil) {
				return
			}
			c.advance(b[:entrySize])
		}
	}
}

func (c *chain) associated(named []byte) []byte {
	b := binary.BigEndian.AppendUint64(make([]byte, 0, 8+sha256.Size+sealedAt), c.next)
	b = append(b, c.head[:]...)
	return append(b, named...)
}

func (c *chain) advance(entry []byte) {
	c.next++
	c.head = sha256.Sum256(append(c.head[:], entry...))
}

// whole returns how many bytes of b, the entries of a file, are complete. What
// follows was never acknowledged: an entry cut short, or ones whose tag is all
// zero, because a file system made the file longer and crashed before the data
// reached the disk. (A true tag is zero once in 2^128 entries.)
func whole(b []byte) int {
	n := len(b) - len(b)%entrySize
	for n > 0 && [tagSize]byte(b[n-tagSize:n]) == [tagSize]byte{} {
		n -= entrySize
	}
	return n
}
