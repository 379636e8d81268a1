// Package vault keeps secret keys sealed at rest, in one append-only file.
//
// A random data key, wrapped by a [Sealer], seals every entry together with its
// public key, its number and the hash of all entries before it. What this
// guarantees against whoever can write the file: no secret is readable without
// the Sealer; no entry can be changed, moved, repeated, or dropped from the
// middle; no public key can be joined to another's secret. Every such change is
// ErrDamaged, and a vault that is missing or unclear is an error, never an empty
// one. When Add or Delete returns nil the entry is on the disk.
//
// What it does not: a file cut off at its end, or replaced by an older copy of
// itself, is a valid history of the vault and cannot be told from the present.
// Keys added since are then missing, keys deleted since are back. It is the
// slashing record that keeps a key that is back from signing. Public keys and
// the number of changes are readable by anyone. A deleted secret stays in the
// file, sealed, until Rewrap.
//
// Several processes may use one vault. Each change takes a lock file beside the
// vault for as long as it is written, and reads first what others have appended.
// flock(2) does not reach across machines: a vault on a network file system must
// be used from one machine only.
//
// Sources: AES-GCM, NIST SP 800-38D; HKDF, RFC 5869; scrypt, RFC 7914.
package vault

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/secure-signer/secure-signer/bls"
	"github.com/secure-signer/secure-signer/internal/durable"
	"github.com/secure-signer/secure-signer/internal/secretmem"
)

// A Sealer wraps the 32-byte data key of a vault, by a passphrase or by trusted
// hardware. Unwrap authenticates what it is given and returns an error if this
// Sealer is not the one that wrapped it.
type Sealer interface {
	Wrap(dataKey []byte) ([]byte, error)
	Unwrap(wrapped []byte) ([]byte, error)
}

// What a caller may want to tell apart.
var (
	ErrMissing         = errors.New("vault missing")
	ErrDamaged         = errors.New("vault damaged")
	ErrVersion         = errors.New("vault of another release")
	ErrWrongPassphrase = errors.New("wrong passphrase")
	ErrNoPassphrase    = errors.New("it is not sealed by a passphrase")
	ErrExists          = errors.New("key is in the vault already")
	ErrNotFound        = errors.New("key is not in the vault")
	ErrClosed          = errors.New("vault closed")
)

// A Key is a secret key and the public key that belongs to it.
type Key struct {
	Public bls.PublicKey
	Secret *bls.SecretKey
}

// A Vault is an open vault. It holds the data key and the public keys in memory,
// and no secret key. It is safe for concurrent use.
type Vault struct {
	path   string
	append func(*os.File, []byte) error // durable.Append, or a test's fault

	turn sync.Mutex // held for a whole change, also while it waits for other processes; taken before mu

	mu        sync.Mutex     // held from the reading of what others have changed until the change is on the disk
	key       *[keySize]byte // outside the Go heap
	file      *os.File
	end       chain
	live      map[bls.PublicKey]uint64 // the number of the entry that added each key
	recovered string
	broken    error // the first change that failed
}

// Create makes an empty vault at path, with a new data key. It refuses a path
// where there is anything already.
func Create(path string, s Sealer) error {
	lock, err := lockFile(context.Background(), path)
	if err != nil {
		return fmt.Errorf("create vault: %w", err)
	}
	defer lock.Unlock()
	switch _, err := os.Lstat(path); {
	case err == nil:
		return fmt.Errorf("create vault: %s: %w", path, fs.ErrExist)
	case !errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("create vault: %w", err)
	}
	key := new([keySize]byte)
	defer clear(key[:])
	rand.Read(key[:])
	h, err := newHeader(key, s)
	if err != nil {
		return fmt.Errorf("create vault: %w", err)
	}
	if err := durable.WriteFile(path, h.encode(key), 0o600); err != nil {
		return fmt.Errorf("create vault: %w", err)
	}
	return nil
}

// newHeader wraps the data key. The Sealer must open what it has sealed: a vault
// that cannot be opened again would be found out too late.
func newHeader(key *[keySize]byte, s Sealer) (header, error) {
	var h header
	rand.Read(h.id[:])
	var err error
	if h.wrapped, err = s.Wrap(key[:]); err != nil {
		return header{}, fmt.Errorf("wrap the data key: %w", err)
	}
	if len(h.wrapped) > maxWrapped {
		return header{}, fmt.Errorf("the wrapped data key has %d bytes, the most is %d", len(h.wrapped), maxWrapped)
	}
	back, err := s.Unwrap(h.wrapped)
	defer clear(back)
	if err != nil || !bytes.Equal(back, key[:]) {
		return header{}, fmt.Errorf("the sealer does not open what it has just sealed: %v", err)
	}
	return h, nil
}

// Open opens the vault at path and authenticates every entry of it.
func Open(path string, s Sealer) (*Vault, error) {
	key, err := secretmem.NewKey()
	if err != nil {
		return nil, fmt.Errorf("open vault %s: memory for its data key: %w", path, err)
	}
	if err := unwrapKey(path, s, key); err != nil {
		return nil, errors.Join(err, secretmem.FreeKey(key))
	}
	v := &Vault{path: path, key: key, append: durable.Append}
	if err := v.Refresh(context.Background()); err != nil {
		return nil, errors.Join(err, v.Close())
	}
	return v, nil
}

// unwrapKey opens the data key of the vault at path. It takes no lock: a header
// never changes, only the whole file does.
func unwrapKey(path string, s Sealer, key *[keySize]byte) error {
	f, err := openFile(path)
	if err != nil {
		return err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxHeader))
	if err != nil {
		return fmt.Errorf("read vault: %w", err)
	}
	h, _, err := parseHeader(b)
	if err != nil {
		return damaged(path, 0, err)
	}
	unwrapped, err := s.Unwrap(h.wrapped)
	if err != nil {
		return fmt.Errorf("open vault %s: %w", path, err)
	}
	defer clear(unwrapped)
	if len(unwrapped) != keySize {
		return fmt.Errorf("open vault %s: the sealer returned a data key of %d bytes", path, len(unwrapped))
	}
	copy(key[:], unwrapped)
	return nil
}

func openFile(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_APPEND, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: there is no file %s: go on from a backup: secure-signer restore BACKUP --data-dir NEW; a new vault is made only when a new data folder is", ErrMissing, path)
	}
	if err != nil {
		return nil, fmt.Errorf("open vault: %w", err)
	}
	return f, nil
}

// damaged says where, and what to do. An older folder has forgotten signatures, so
// it is not put back by hand.
func damaged(path string, offset int64, reason error) error {
	if errors.Is(reason, ErrVersion) {
		return fmt.Errorf("open vault %s: %w", path, reason)
	}
	return fmt.Errorf("%w: %s, at byte %d: %w; nothing was changed. Keep this file, and go on from a backup: secure-signer restore BACKUP --data-dir NEW", ErrDamaged, path, offset, reason)
}

// List returns the public keys that are held, sorted.
func (v *Vault) List() []bls.PublicKey {
	v.mu.Lock()
	defer v.mu.Unlock()
	return slices.SortedFunc(maps.Keys(v.live), func(a, b bls.PublicKey) int { return bytes.Compare(a[:], b[:]) })
}

// Has reports whether pub is held.
func (v *Vault) Has(pub bls.PublicKey) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	_, ok := v.live[pub]
	return ok
}

// Len returns how many keys are held.
func (v *Vault) Len() int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return len(v.live)
}

// Recovered describes what the end of the file held that was never acknowledged
// and has been dropped: empty unless a process or the machine crashed during a
// change, or somebody has cut the file.
func (v *Vault) Recovered() string {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.recovered
}

// Err returns why the vault takes no more changes until it is opened again, or
// nil: an earlier change could not be written.
func (v *Vault) Err() error {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.broken
}

// Keys unseals one key after the other, in the order of their addition, until
// yield returns false. The secret is wiped when yield returns. An error means
// that not every key was yielded.
func (v *Vault) Keys(yield func(bls.PublicKey, *bls.SecretKey) bool) error {
	sealed, at, live, err := v.snapshot()
	if err != nil {
		return err
	}
	for e, err := range at.entries(sealed) {
		if err != nil {
			return damaged(v.path, at.offset(), err)
		}
		if number, ok := live[e.pub]; !ok || number != e.number {
			continue
		}
		sk, err := bls.ParseSecretKey(e.secret[:])
		if err != nil {
			return damaged(v.path, at.offset(), fmt.Errorf("entry %d: %w", e.number, err))
		}
		more := yield(e.pub, sk)
		sk.Wipe()
		if !more {
			return nil
		}
	}
	return nil
}

// Sealed returns the whole file as it is on the disk. A copy of it is a vault that
// the same Sealer opens.
func (v *Vault) Sealed(ctx context.Context) (b []byte, err error) {
	err = v.locked(ctx, func() error {
		b = make([]byte, v.end.offset())
		if _, err := v.file.ReadAt(b, 0); err != nil {
			return fmt.Errorf("read vault: %w", err)
		}
		return nil
	})
	return b, err
}

// snapshot returns the entries as they are on the disk, still sealed, the place
// before the first of them, and which of them are live.
func (v *Vault) snapshot() ([]byte, chain, map[bls.PublicKey]uint64, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.entries()
}

// entries is snapshot for who holds mu.
func (v *Vault) entries() ([]byte, chain, map[bls.PublicKey]uint64, error) {
	if v.key == nil {
		return nil, chain{}, nil, ErrClosed
	}
	b := make([]byte, v.end.offset())
	if _, err := v.file.ReadAt(b, 0); err != nil {
		return nil, chain{}, nil, fmt.Errorf("read vault: %w", err)
	}
	h, size, err := parseHeader(b)
	if err != nil {
		return nil, chain{}, nil, damaged(v.path, 0, err)
	}
	return b[size:], newChain(v.key, h.id, size), maps.Clone(v.live), nil
}

// DeriveKey returns a key for another use, by HKDF-SHA256 from the data key. It
// is the same for the life of the vault, whatever the passphrase.
func (v *Vault) DeriveKey(label string) [32]byte {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.key == nil {
		panic("vault: DeriveKey of a closed vault")
	}
	derived := derive(v.key, nil, "secure-signer vault derived "+label)
	defer clear(derived)
	return [32]byte(derived)
}

// SealKey gives the data key to seal, which keeps no copy, and returns what that
// returns: for the one who is to open the vault instead of this process.
func (v *Vault) SealKey(seal func(dataKey []byte) ([]byte, error)) ([]byte, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.key == nil {
		return nil, ErrClosed
	}
	dataKey := *v.key
	defer clear(dataKey[:])
	return seal(dataKey[:])
}

// Close wipes the data key. The Vault returns ErrClosed from then on.
func (v *Vault) Close() error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.key == nil {
		return ErrClosed
	}
	err := secretmem.FreeKey(v.key)
	v.key, v.live = nil, nil
	if v.file == nil {
		return err
	}
	return errors.Join(err, v.file.Close())
}

// Format prints the path and nothing else, for every verb and flag.
func (v *Vault) Format(f fmt.State, _ rune) { fmt.Fprintf(f, "vault.Vault(%s, REDACTED)", v.path) }

// lockWait bounds how long a change waits for another process's.
const lockWait = 10 * time.Second

// lockFile takes the lock that every change of the vault at path is made under.
// It asks again and again rather than wait in the kernel, where no context ends
// the wait.
func lockFile(ctx context.Context, path string) (*durable.FileLock, error) {
	ctx, cancel := context.WithTimeout(ctx, lockWait)
	defer cancel()
	for {
		lock, err := durable.TryLock(path + ".lock")
		if !errors.Is(err, durable.ErrLocked) {
			return lock, err
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("%w (%w)", err, ctx.Err())
		case <-time.After(5 * time.Millisecond):
		}
	}
}
