// Package dev is a platform without any hardware: a test root in a file stands for
// it, so that everything which needs trusted hardware can be tried and tested where
// there is none.
//
// It protects nothing. Whoever reads the file of the test root opens what it has
// sealed and can state any measurement. A release build refuses to start with it.
// What it does keep is the shape: another program, as measured by its bytes, cannot
// open what this one has sealed unless it takes the root and says so itself.
//
// Its evidence is that of package attest/dev, which no policy accepts that does not
// name the kind "dev" and the root.
package dev

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/secure-signer/secure-signer/attest"
	"github.com/secure-signer/secure-signer/attest/dev"
	"github.com/secure-signer/secure-signer/tee"
)

// A Platform implements tee.Platform.
type Platform struct {
	// Measurement says which program this is. Open sets it to the SHA-256 of the
	// file that this process runs; only tests set another.
	Measurement attest.Hex

	// Debug has it state that the host may look inside, to see who refuses that.
	Debug bool

	file string
	root ed25519.PrivateKey
}

// Open opens the test root in a file: the seed of an Ed25519 key in 64 hex digits,
// readable by its owner alone. A missing file is made.
func Open(file string) (*Platform, error) {
	measurement, err := measure()
	if err != nil {
		return nil, fmt.Errorf("measure this program: %w", err)
	}
	root, err := openRoot(file)
	if errors.Is(err, fs.ErrNotExist) {
		root, err = makeRoot(file)
	}
	if err != nil {
		return nil, fmt.Errorf("test root: %w", err)
	}
	return &Platform{Measurement: measurement, file: file, root: root}, nil
}

// measure reads what this process runs, even if the file has been replaced since.
func measure() (attest.Hex, error) {
	f, err := os.Open("/proc/self/exe")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return nil, err
	}
	return h.Sum(nil), nil
}

func openRoot(file string) (ed25519.PrivateKey, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("others can read %s: chmod 600 it", file)
	}
	text, err := io.ReadAll(io.LimitReader(f, 1<<10))
	if err != nil {
		return nil, err
	}
	seed, err := hex.DecodeString(string(bytes.TrimSpace(text)))
	if err != nil || len(seed) != ed25519.SeedSize {
		return nil, fmt.Errorf("%s is none: want 64 hex digits; remove it to have a new one made, which opens nothing that the old one has sealed", file)
	}
	return ed25519.NewKeyFromSeed(seed), nil
}

func makeRoot(file string) (ed25519.PrivateKey, error) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	_, err = fmt.Fprintf(f, "%x\n", key.Seed())
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return nil, err
	}
	return key, nil
}

// Root is the name by which a policy knows the test root.
func (p *Platform) Root() attest.Digest { return dev.Root(p.root.Public().(ed25519.PublicKey)) }

// Identity implements tee.Platform.
func (p *Platform) Identity(context.Context) (tee.Identity, error) {
	return tee.Identity{
		Kind:         attest.KindDev,
		Measurements: map[string]attest.Hex{"measurement": p.Measurement},
		Debug:        p.Debug,
		Lacks: []string{
			fmt.Sprintf("it is no hardware: whoever reads %s has every key, and can state any measurement under the test root %v", p.file, p.Root()),
		},
	}, nil
}

// Evidence implements tee.Platform.
func (p *Platform) Evidence(_ context.Context, rd attest.ReportData) (attest.Evidence, error) {
	return dev.Sign(p.root, dev.Statement{Measurement: p.Measurement, Debug: p.Debug, IssuedAt: time.Now().UTC(), ReportData: rd})
}

// SealKey implements tee.Platform, by HKDF-SHA256 (RFC 5869) from the test root's
// seed over the measurement and the label.
func (p *Platform) SealKey(_ context.Context, label string) ([]byte, error) {
	info := []byte("secure-signer dev seal v1\x00")
	info = binary.BigEndian.AppendUint64(info, uint64(len(p.Measurement)))
	info = append(append(info, p.Measurement...), label...)
	return hkdf.Key(sha256.New, p.root.Seed(), nil, string(info), 32)
}
