// Package sealed keeps a few bytes in one file that only who has its key can read
// or change: AES-256-GCM with a nonce drawn for each write (NIST SP 800-38D,
// section 8.2.2), the file's magic and version as associated data.
//
// It does not tell an old file from the present one: whoever owns the disk can
// put one back.
package sealed

import (
	"crypto/aes"
	"crypto/cipher"
	"errors"
	"fmt"
	"os"

	"github.com/secure-signer/secure-signer/internal/durable"
)

// A File is where the bytes are kept.
type File struct {
	Path    string
	Magic   string // what every file of this kind begins with
	Version byte   // of what is sealed, the byte after it
	Key     [32]byte
}

// Errors of Read, beside those of the file system.
var (
	ErrDamaged = errors.New("damaged, or sealed by another key")
	ErrVersion = errors.New("written by another release")
)

// Write replaces what is kept, and returns nil once that is durable. A crash
// leaves the old bytes or the new ones.
func (f File) Write(plain []byte) error {
	header := f.header()
	return durable.WriteFile(f.Path, f.aead().Seal(header, nil, plain, header), 0o600)
}

// Read returns what is kept.
func (f File) Read() ([]byte, error) {
	b, err := os.ReadFile(f.Path)
	if err != nil {
		return nil, err
	}
	header := f.header()
	switch {
	case len(b) < len(header) || string(b[:len(f.Magic)]) != f.Magic:
		return nil, fmt.Errorf("%s: %w", f.Path, ErrDamaged)
	case b[len(f.Magic)] != f.Version:
		return nil, fmt.Errorf("%s: %w, in version %d of its format: this one reads version %d", f.Path, ErrVersion, b[len(f.Magic)], f.Version)
	}
	plain, err := f.aead().Open(nil, nil, b[len(header):], header)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.Path, ErrDamaged)
	}
	return plain, nil
}

func (f File) header() []byte { return append([]byte(f.Magic), f.Version) }

func (f File) aead() cipher.AEAD {
	block, err := aes.NewCipher(f.Key[:])
	if err != nil {
		panic("sealed: internal error: " + err.Error())
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		panic("sealed: internal error: " + err.Error())
	}
	return aead
}
