package bls

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"sync"

	blst "github.com/supranational/blst/bindings/go"

	"github.com/secure-signer/secure-signer/internal/secretmem"
)

// Errors of a keyring. Nothing was signed or added.
var (
	ErrDuplicate = errors.New("key is in the keyring already")
	ErrRemoved   = errors.New("key is not in the keyring")
	ErrClosed    = errors.New("keyring is closed")
)

// Protections of the memory that secrets lie in.
const (
	ProtectionLocked = secretmem.Locked // never written to swap
	ProtectionNoDump = secretmem.NoDump // left out of core dumps
	ProtectionNoFork = secretmem.NoFork // zero or absent in a forked child
	ProtectionSecret = secretmem.Secret // not even the kernel can read it, so nobody can through it: not root, not a debugger
)

// defaultCachedRoots outlasts a slot of tens of thousands of validators, whose
// attestations share a root and whose aggregates do not, in half a megabyte.
const defaultCachedRoots = 1024

// Config says how a keyring works. Its zero value is a good one.
type Config struct {
	Workers     int // how many signatures are computed at once; 0: GOMAXPROCS
	CachedRoots int // how many hashed roots are remembered; 0: 1,024
}

// A Keyring holds the keys in service and signs with them. It is safe for
// concurrent use.
type Keyring struct {
	hashes  *hashCache
	jobs    chan *job     // unbuffered: sent is taken, so what waits can be withdrawn
	first   chan *job     // the same, taken before jobs
	closing chan struct{} // closed by Close
	workers sync.WaitGroup

	mu      sync.RWMutex // guards what follows; workers never take it
	keys    map[PublicKey]*Key
	changes uint64 // of keys
	arena   arena
	closed  bool

	listing  sync.Mutex // guards what follows; taken before mu
	list     []PublicKey
	listedAt uint64 // of changes
}

// A Key is a handle into the keyring that it was added to. It holds no secret.
type Key struct {
	pub PublicKey

	mu   sync.RWMutex        // held for reading while the slot is signed with
	slot hidden[blst.Scalar] // empty once removed
}

// PublicKey returns the key's public key.
func (k *Key) PublicKey() PublicKey { return k.pub }

// String returns the public key in hexadecimal.
func (k *Key) String() string { return k.pub.String() }

// OpenKeyring starts a keyring without keys. It fails if the library does not
// compute a known answer, or if there is no memory for secrets.
func OpenKeyring(cfg Config) (*Keyring, error) { return newKeyring(cfg, secretmem.Map) }

// newKeyring is OpenKeyring over memory of a kind.
func newKeyring(cfg Config, pages mapper) (*Keyring, error) {
	if cfg.Workers < 0 || cfg.CachedRoots < 0 {
		return nil, fmt.Errorf("open keyring: negative size in %+v", cfg)
	}
	if cfg.Workers == 0 {
		cfg.Workers = runtime.GOMAXPROCS(0)
	}
	if cfg.CachedRoots == 0 {
		cfg.CachedRoots = defaultCachedRoots
	}
	if err := official.check(); err != nil {
		return nil, fmt.Errorf("open keyring: self-test: %w", err)
	}
	k := &Keyring{
		hashes:  newHashCache(cfg.CachedRoots, hashToCurve),
		jobs:    make(chan *job),
		first:   make(chan *job),
		closing: make(chan struct{}),
		keys:    make(map[PublicKey]*Key),
		arena:   arena{pages: pages},
	}
	if err := k.arena.grow(); err != nil {
		return nil, fmt.Errorf("open keyring: %w", err)
	}
	for range cfg.Workers {
		k.workers.Go(k.work)
	}
	return k, nil
}

// Add brings a key into service, copying its secret: the caller wipes sk. That
// pub belongs to sk is trusted, since computing it takes 75 µs.
//
// Errors: ErrDuplicate, ErrInvalidSecretKey (sk has been wiped), ErrClosed, or no
// memory.
func (k *Keyring) Add(pub PublicKey, sk *SecretKey) (*Key, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.closed {
		return nil, ErrClosed
	}
	if _, ok := k.keys[pub]; ok {
		return nil, ErrDuplicate
	}
	if !sk.valid() {
		return nil, ErrInvalidSecretKey
	}
	slot, err := k.arena.take()
	if err != nil {
		return nil, err
	}
	*slot.reveal() = *sk.scalar.reveal()
	key := &Key{pub: pub, slot: slot}
	k.keys[pub] = key
	k.changes++
	return key, nil
}

// Key returns the handle of a key in service.
func (k *Keyring) Key(pub PublicKey) (*Key, bool) {
	k.mu.RLock()
	defer k.mu.RUnlock()
	key, ok := k.keys[pub]
	return key, ok
}

// PublicKeys returns the keys in service in ascending order. The slice must not
// be changed: whoever asks gets the same one until a key comes or goes, because
// there may be many who ask, and five megabytes to list.
func (k *Keyring) PublicKeys() []PublicKey {
	k.listing.Lock()
	defer k.listing.Unlock()
	var pubs []PublicKey
	k.mu.RLock()
	now := k.changes
	if k.list == nil || k.listedAt != now {
		pubs = slices.AppendSeq(make([]PublicKey, 0, len(k.keys)), maps.Keys(k.keys))
	}
	k.mu.RUnlock()
	if pubs != nil {
		slices.SortFunc(pubs, func(a, b PublicKey) int { return bytes.Compare(a[:], b[:]) })
		k.list, k.listedAt = pubs, now
	}
	return k.list
}

// Len returns how many keys are in service.
func (k *Keyring) Len() int {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return len(k.keys)
}

// Protections returns those of the Protection constants that hold for every
// secret in the keyring. It may lose one as keys are added: a process may lock
// only so much memory (RLIMIT_MEMLOCK).
func (k *Keyring) Protections() []string {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return slices.Clone(k.arena.protections)
}

// Remove takes a key out of service and reports whether it was in it. When it
// returns, no signature with that key is under way, none will be made, and its
// secret has been wiped.
func (k *Keyring) Remove(pub PublicKey) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	key, ok := k.keys[pub]
	if !ok {
		return false
	}
	delete(k.keys, pub)
	k.changes++
	k.arena.put(key.retire())
	return true
}

// Close takes every key out of service, waits for the signatures under way and
// wipes all secrets. Later calls do nothing.
func (k *Keyring) Close() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.closed {
		return nil
	}
	k.closed = true
	close(k.closing)
	k.workers.Wait()
	for _, key := range k.keys {
		key.retire()
	}
	clear(k.keys)
	k.changes++
	return k.arena.release()
}

// retire waits until the key's slot is not in use and takes it away.
func (k *Key) retire() hidden[blst.Scalar] {
	k.mu.Lock()
	defer k.mu.Unlock()
	slot := k.slot
	k.slot = hidden[blst.Scalar]{}
	return slot
}

// A job is one signature to be made. Its worker fills in sig and err and closes
// done.
type job struct {
	key  *Key
	root [32]byte

	sig  Signature
	err  error
	done chan struct{}
}

// Sign signs a root, which must be one that may be signed: the keyring does not
// judge. It waits its turn for a worker, until ctx is done; from there on, for
// less than a millisecond, it waits for the signature.
//
// Errors: ErrRemoved, ErrClosed, ErrFault, or ctx's.
func (k *Keyring) Sign(ctx context.Context, key *Key, root [32]byte) (Signature, error) {
	return k.hand(ctx, k.jobs, key, root)
}

// SignFirst is Sign for what cannot wait: it goes before all who wait in Sign.
func (k *Keyring) SignFirst(ctx context.Context, key *Key, root [32]byte) (Signature, error) {
	return k.hand(ctx, k.first, key, root)
}

// hand hands a job to the next worker that takes one from queue.
func (k *Keyring) hand(ctx context.Context, queue chan<- *job, key *Key, root [32]byte) (Signature, error) {
	if err := ctx.Err(); err != nil {
		return Signature{}, err
	}
	if key == nil {
		return Signature{}, ErrRemoved
	}
	j := &job{key: key, root: root, done: make(chan struct{})}
	select {
	case queue <- j:
		<-j.done
		return j.sig, j.err
	case <-ctx.Done():
		return Signature{}, ctx.Err()
	case <-k.closing:
		return Signature{}, ErrClosed
	}
}

// work signs until the keyring closes. A fixed number of workers keeps the
// library on as many threads as there are processors.
func (k *Keyring) work() {
	for {
		select {
		case j := <-k.first:
			k.do(j)
			continue
		default:
		}
		select {
		case j := <-k.first:
			k.do(j)
		case j := <-k.jobs:
			k.do(j)
		case <-k.closing:
			return
		}
	}
}

func (k *Keyring) do(j *job) {
	j.sig, j.err = j.key.sign(k.hashes, j.root)
	close(j.done)
}

// sign signs with a key that stays in service meanwhile.
func (k *Key) sign(hashes *hashCache, root [32]byte) (Signature, error) {
	k.mu.RLock()
	defer k.mu.RUnlock()
	secret := k.slot.reveal()
	if secret == nil {
		return Signature{}, ErrRemoved
	}
	return sign(hashes.point(root), secret)
}
