// Package backup is the one file that holds a copy of a data folder: its
// config.yaml, its vault, its slashing protection, and what opens the keeper of its
// horizon, if it has one. Its token is not in it.
//
// # Guaranteed
//
// Nothing in the file is readable beyond what the folder itself shows: its parts
// are in it as their packages seal them. Whoever does not have the vault's
// data key cannot change a byte, join parts of two backups, or give one another
// date, without Authenticate telling. A file that was cut, or lost a bit, is told
// from that without any key.
//
// # Not guaranteed
//
//   - That it is the newest backup: an older one is as good. What was signed since
//     is in none, so whoever restores one must raise every floor.
//   - That its passphrase is today's: it is that of the day it was taken.
//
// It is not an archive that common tools open, so that nobody puts its parts in
// place by hand and signs.
package backup

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"
)

// KeyLabel is what the key of Write and Authenticate is derived by from the
// vault's data key.
const KeyLabel = "secure-signer backup v1"

// The layout, big endian. Every version keeps the shape of the first 36 bytes.
//
//	 0  16  magic
//	16   4  version
//	20  16  the oldest release that reads this version, padded with zero bytes
//	36   8  when it was taken, in unix seconds
//	44   4  n, the size of config.yaml
//	48   8  m, the size of the vault
//	     4  h, the size of the horizon's secret: in version 2 only
//	     n  config.yaml
//	     m  the vault
//	     h  the horizon's secret, sealed
//	        the journal, up to
//	     32 SHA-256 of all the above: tells damage from a wrong passphrase
//	     32 HMAC-SHA256 of all the above: nobody else made it
const (
	magic       = "SIGNER BACKUP\r\n\n"
	releaseAt   = len(magic) + 4
	takenAt     = releaseAt + 16
	headerSize  = takenAt + 8 + 4 + 8
	trailerSize = 2 * sha256.Size
)

// The versions that are written, and the oldest release that reads each. A folder
// without a horizon is backed up in the older one, which every release reads.
const (
	plain        = 1
	plainRelease = "0.1.0"
	bound        = 2
	boundRelease = "0.2.0"
)

// Errors of Parse and Authenticate.
var (
	ErrDamaged = errors.New("backup damaged")
	ErrVersion = errors.New("backup of another release")
	ErrForged  = errors.New("backup not made by the signer of its vault, or changed since")
)

// A Backup is what a file says. Until Authenticate has returned nil it may be
// anybody's.
type Backup struct {
	Taken time.Time
	Parts
	Journal []byte // what the journal's Backup wrote

	body, mac []byte // of the file
}

// Parts are the small files of a data folder.
type Parts struct {
	Config  []byte // config.yaml
	Vault   []byte // sealed
	Horizon []byte // what opens its keeper, sealed; empty where there is no horizon
}

// Write writes a backup whose journal comes as a stream. It is whole once Write
// has returned nil.
func Write(w io.Writer, key [32]byte, taken time.Time, parts Parts, journal func(io.Writer) error) error {
	sum, mac := sha256.New(), hmac.New(sha256.New, key[:])
	all := io.MultiWriter(w, sum, mac)
	for _, part := range [][]byte{parts.header(taken), parts.Config, parts.Vault, parts.Horizon} {
		if _, err := all.Write(part); err != nil {
			return err
		}
	}
	if err := journal(all); err != nil {
		return err
	}
	if _, err := io.MultiWriter(w, mac).Write(sum.Sum(nil)); err != nil {
		return err
	}
	_, err := w.Write(mac.Sum(nil))
	return err
}

func (p Parts) header(taken time.Time) []byte {
	version, release := uint32(plain), plainRelease
	if len(p.Horizon) > 0 {
		version, release = bound, boundRelease
	}
	b := append(make([]byte, 0, headerSize+4), magic...)
	b = binary.BigEndian.AppendUint32(b, version)
	b = append(b, release...)
	b = append(b, make([]byte, takenAt-len(b))...)
	b = binary.BigEndian.AppendUint64(b, uint64(taken.Unix()))
	b = binary.BigEndian.AppendUint32(b, uint32(len(p.Config)))
	b = binary.BigEndian.AppendUint64(b, uint64(len(p.Vault)))
	if version == bound {
		b = binary.BigEndian.AppendUint32(b, uint32(len(p.Horizon)))
	}
	return b
}

// Parse reads a backup that is whole. The error is ErrDamaged or ErrVersion.
func Parse(b []byte) (*Backup, error) {
	if len(b) < headerSize+trailerSize || string(b[:len(magic)]) != magic {
		return nil, fmt.Errorf("%w: this is no backup, or its first bytes are lost", ErrDamaged)
	}
	body, trailer := b[:len(b)-trailerSize], b[len(b)-trailerSize:]
	v := binary.BigEndian.Uint32(b[len(magic):])
	if v != plain && v != bound {
		needs := bytes.TrimRight(b[releaseAt:takenAt], "\x00")
		return nil, fmt.Errorf("%w: it has format %d, this release reads formats %d and %d: use release %q or newer", ErrVersion, v, plain, bound, needs)
	}
	if sum := sha256.Sum256(body); !bytes.Equal(sum[:], trailer[:sha256.Size]) {
		return nil, fmt.Errorf("%w: it was cut off, or has changed since it was written: use another one", ErrDamaged)
	}
	backup := &Backup{
		Taken: time.Unix(int64(binary.BigEndian.Uint64(b[takenAt:])), 0),
		body:  b[:len(b)-sha256.Size],
		mac:   trailer[sha256.Size:],
	}
	sizes := []uint64{uint64(binary.BigEndian.Uint32(b[takenAt+8:])), binary.BigEndian.Uint64(b[takenAt+12:])}
	rest := body[headerSize:]
	if v == bound {
		if len(rest) < 4 {
			return nil, fmt.Errorf("%w: it ends in its header", ErrDamaged)
		}
		sizes = append(sizes, uint64(binary.BigEndian.Uint32(rest)))
		rest = rest[4:]
	}
	for i, part := range []*[]byte{&backup.Config, &backup.Vault, &backup.Horizon}[:len(sizes)] {
		if sizes[i] > uint64(len(rest)) {
			return nil, fmt.Errorf("%w: its parts do not fit in it", ErrDamaged)
		}
		*part, rest = rest[:sizes[i]], rest[sizes[i]:]
	}
	backup.Journal = rest
	return backup, nil
}

// Authenticate returns nil if the whole backup was made with this key, else
// ErrForged.
func (b *Backup) Authenticate(key [32]byte) error {
	mac := hmac.New(sha256.New, key[:])
	mac.Write(b.body)
	if !hmac.Equal(mac.Sum(nil), b.mac) {
		return ErrForged
	}
	return nil
}
