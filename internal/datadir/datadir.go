// Package datadir is the folder that a signer keeps everything in: which
// network it signs for, what it is bound to, its keys, its slashing protection
// and its token.
//
// A folder is made once, whole, by Create. Open never makes anything: a
// missing, half-made, damaged or foreign folder is an error that says what to
// do next.
package datadir

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/secure-signer/secure-signer/eth2"
	"github.com/secure-signer/secure-signer/internal/durable"
)

// A Dir names the parts of one data folder.
type Dir struct{ path string }

// Path returns the folder itself.
func (d Dir) Path() string { return d.path }

// Config returns the path of the file that makes a folder a data folder.
func (d Dir) Config() string { return filepath.Join(d.path, "config.yaml") }

// Vault returns the path of the sealed keys.
func (d Dir) Vault() string { return filepath.Join(d.path, "vault") }

// Journal returns the folder of the slashing protection.
func (d Dir) Journal() string { return filepath.Join(d.path, "journal") }

// Audit is the folder of the audit log, which need not be there.
func (d Dir) Audit() string { return filepath.Join(d.path, "audit") }

// Horizon returns the folder of what belongs to the horizon, where there is one.
func (d Dir) Horizon() string { return filepath.Join(d.path, "horizon") }

// HorizonSecret returns the path of what opens the horizon's keeper, sealed.
func (d Dir) HorizonSecret() string { return filepath.Join(d.Horizon(), "secret") }

// HorizonMemo returns the path of what one run leaves for the next, sealed.
func (d Dir) HorizonMemo() string { return filepath.Join(d.Horizon(), "memo") }

// TokenFile returns the path of the bearer token.
func (d Dir) TokenFile() string { return filepath.Join(d.path, "api-token.txt") }

// At returns the parts of the folder at path, whether or not it exists.
func At(path string) Dir { return Dir{path} }

// Settings are what config.yaml says.
type Settings struct {
	Network *eth2.Network
	Binding Binding
}

// Hash stands for all of it that must not change behind the back of what seals
// the vault.
func (s Settings) Hash() [32]byte {
	return s.Binding.Hash(s.Network.GenesisValidatorsRoot, s.Network.SlotsPerEpoch())
}

// A Folder is a data folder that was opened.
type Folder struct {
	Dir
	Settings
}

// Errors of Create and Open.
var (
	ErrExists  = errors.New("exists already")
	ErrMissing = errors.New("no data folder")
	ErrDamaged = errors.New("data folder is damaged")
	ErrVersion = errors.New("data folder of another release")
)

// Create makes the folder at path with these settings and a fresh token, and calls
// fill to make the vault and the journal. The file config.yaml is written
// last: a crash leaves a folder that Open refuses as half made. If fill fails
// nothing is left in it.
func Create(path string, settings Settings, fill func(Dir) error) error {
	d := At(path)
	entries, err := os.ReadDir(path)
	wasThere := err == nil
	switch {
	case err == nil && len(entries) > 0:
		if _, err := os.Stat(d.Config()); errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%s %w and is no data folder: choose another. %s", path, ErrExists, halfMade)
		}
		return fmt.Errorf("%s %w: to use it: secure-signer serve --data-dir %s", path, ErrExists, path)
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return err
	}
	config, err := encode(settings)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(path, 0o700); err != nil {
		return err
	}
	if err := os.Chmod(path, 0o700); err != nil {
		return err
	}
	if err := fill(d); err != nil {
		return errors.Join(err, discard(path, wasThere))
	}
	if err := durable.WriteFile(d.TokenFile(), []byte(newToken()+"\n"), 0o600); err != nil {
		return err
	}
	if err := durable.WriteFile(d.Config(), config, 0o600); err != nil {
		return err
	}
	return durable.SyncDir(filepath.Dir(filepath.Clean(path)))
}

// Open returns the folder at path.
func Open(path string) (Folder, error) {
	d := At(path)
	text, err := os.ReadFile(d.Config())
	if errors.Is(err, fs.ErrNotExist) {
		return Folder{}, missing(d)
	}
	if errors.Is(err, fs.ErrPermission) {
		return Folder{}, fmt.Errorf("%w: run this as the user who owns %s, or give the folder to the signer's user with chown -R", err, path)
	}
	if err != nil {
		return Folder{}, err
	}
	settings, err := decode(text)
	if errors.Is(err, ErrDamaged) {
		return Folder{}, fmt.Errorf("%s: %w; copy it from another folder, which init makes for the same network and platform, or go on from a backup: secure-signer restore BACKUP --data-dir NEW", d.Config(), err)
	}
	if err != nil {
		return Folder{}, fmt.Errorf("%s: %w", d.Config(), err)
	}
	return Folder{d, settings}, nil
}

// missing tells a folder that never was from one that is not, or no more, one
// of ours.
func missing(d Dir) error {
	entries, err := os.ReadDir(d.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%w at %s: check the path, or make one with: secure-signer init --data-dir %s --network NETWORK", ErrMissing, d.path, d.path)
	case err != nil:
		return err
	case len(entries) == 0:
		return fmt.Errorf("%w at %s, which is empty: is its disk mounted? To make one: secure-signer init --data-dir %s --network NETWORK", ErrMissing, d.path, d.path)
	}
	return fmt.Errorf("%w at %s: config.yaml is missing. If keys are in there, copy that file from another folder, which init makes for the same network. %s", ErrMissing, d.path, halfMade)
}

const halfMade = "If init or restore was cut off there, and only then, remove it and run the same again"

// Token reads the bearer token.
func (d Dir) Token() (string, error) {
	text, err := os.ReadFile(d.TokenFile())
	if err != nil {
		return "", fmt.Errorf("read bearer token: %w: put a long random word in that file, mode 0600, if it is lost", err)
	}
	token := strings.TrimSpace(string(text))
	if token == "" {
		return "", fmt.Errorf("%s is empty: put a long random word in it", d.TokenFile())
	}
	return token, nil
}

// newToken draws a token of 256 bits, in the form that the keymanager API's
// other servers give theirs.
func newToken() string {
	var b [32]byte
	rand.Read(b[:])
	return "api-token-0x" + hex.EncodeToString(b[:])
}
