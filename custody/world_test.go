package custody

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/secure-signer/secure-signer/bls"
	"github.com/secure-signer/secure-signer/eth2"
	"github.com/secure-signer/secure-signer/record"
	"github.com/secure-signer/secure-signer/record/memory"
	"github.com/secure-signer/secure-signer/slashing"
	"github.com/secure-signer/secure-signer/vault"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The steps that change something, in the words of the package comment.
const (
	stepEnroll  = "make the record"
	stepSeal    = "put in the vault"
	stepServe   = "put in the keyring"
	stepDisable = "disable the record"
	stepForget  = "take out of the keyring"
	stepUnseal  = "delete from the vault"
)

// How a step goes wrong.
type mode string

const (
	crashBefore       mode = "the machine stops before"
	crashAfter        mode = "the machine stops after"
	failAndNotPersist mode = "it fails"
	failButPersist    mode = "it fails, though it was done:"
)

var modes = []mode{crashBefore, crashAfter, failAndNotPersist, failButPersist}

// errFault is the error of a step that was made to fail.
var errFault = errors.New("disk on fire")

// A crash is what a step panics with where the machine stops.
type crash struct{}

// A world is what a Custodian works on. Records and vault survive a crash, the
// keyring does not. It is an error of the test's to break the order.
type world struct {
	t     *testing.T
	guard *slashing.Guard
	store record.Store

	mu      sync.Mutex // guards what follows
	sealed  map[bls.PublicKey][]byte
	serving map[bls.PublicKey]bool
	trace   map[bls.PublicKey][]string
	faults  map[string]mode
}

// epochNow is where the clock of a world stands.
const epochNow = 100

func newWorld(t *testing.T) *world {
	network := *builtin(t, "mainnet")
	now := time.Unix(int64(network.GenesisTime+epochNow*32*12), 0)
	store := memory.New()
	return &world{
		t:       t,
		store:   store,
		guard:   slashing.New(store, slashing.Config{Network: &network, Now: func() time.Time { return now }}),
		sealed:  make(map[bls.PublicKey][]byte),
		serving: make(map[bls.PublicKey]bool),
		trace:   make(map[bls.PublicKey][]string),
		faults:  make(map[string]mode),
	}
}

func builtin(t *testing.T, name string) *eth2.Network {
	n, ok := eth2.Builtin(name)
	if !ok {
		t.Fatalf("no network %s", name)
	}
	return n
}

// start starts a signer on the world: what a restart does.
func (w *world) start() *Custodian {
	w.t.Helper()
	w.mu.Lock()
	clear(w.serving)
	w.mu.Unlock()
	c := w.unloaded()
	if _, err := c.Load(w.t.Context()); err != nil {
		w.t.Fatalf("load: %v", err)
	}
	w.check()
	return c
}

func (w *world) unloaded() *Custodian {
	return &Custodian{Vault: fakeVault{w}, Keyring: fakeKeyring{w}, Guard: fakeGuard{w}}
}

// step performs one step, or what the world's faults make of it.
func (w *world) step(name string, pub bls.PublicKey, effect func() error) error {
	w.mu.Lock()
	how, faulty := w.faults[name]
	if faulty {
		delete(w.faults, name)
	}
	w.trace[pub] = append(w.trace[pub], name)
	w.mu.Unlock()
	runtime.Gosched() // let others between two steps
	switch {
	case !faulty:
		return effect()
	case how == crashBefore:
		panic(crash{})
	case how == failAndNotPersist:
		return errFault
	}
	_ = effect() // what it says is lost
	if how == crashAfter {
		panic(crash{})
	}
	return errFault
}

// attempt calls f and tells whether the machine stopped in it.
func attempt(f func() error) (err error, crashed bool) {
	defer func() {
		if r := recover(); r != nil {
			if _, ok := r.(crash); !ok {
				panic(r)
			}
			crashed = true
		}
	}()
	return f(), false
}

// stumble calls f with one step at fault, and tells whether the machine stopped.
// It is an error if the fault did not happen, or if f did not report it.
func (w *world) stumble(step string, how mode, f func() error) (crashed bool) {
	w.t.Helper()
	w.faults[step] = how
	err, crashed := attempt(f)
	if len(w.faults) > 0 {
		w.t.Fatal("the fault did not happen")
	}
	if !crashed && !errors.Is(err, errFault) {
		w.t.Fatalf("error %v, want the fault", err)
	}
	return crashed
}

// check holds the world against the promise of the package.
func (w *world) check() {
	w.t.Helper()
	for _, pub := range w.servingKeys() {
		if s, err := w.guard.State(context.Background(), pub); err != nil || s.Disabled() {
			w.t.Errorf("key %v signs; its record: disabled %v, error %v", pub, s.Disabled(), err)
		}
		if !w.holds(pub) {
			w.t.Errorf("key %v signs and is not in the vault", pub)
		}
	}
}

func (w *world) servingKeys() []bls.PublicKey {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Collect(maps.Keys(w.serving))
}

func (w *world) holds(pub bls.PublicKey) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.sealed[pub] != nil
}

func (w *world) serves(pub bls.PublicKey) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.serving[pub]
}

// recorded tells whether there is a record of pub, and whether it is disabled.
func (w *world) recorded(pub bls.PublicKey) (exists, disabled bool) {
	s, err := w.guard.State(context.Background(), pub)
	if err != nil && !errors.Is(err, slashing.ErrNoRecord) {
		w.t.Errorf("state: %v", err)
	}
	return err == nil, s.Disabled()
}

// takeTrace returns the steps taken with pub since the last call.
func (w *world) takeTrace(pub bls.PublicKey) []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	defer delete(w.trace, pub)
	return w.trace[pub]
}

type fakeVault struct{ *world }

func (v fakeVault) List() []bls.PublicKey {
	v.mu.Lock()
	defer v.mu.Unlock()
	return slices.SortedFunc(maps.Keys(v.sealed), func(a, b bls.PublicKey) int { return slices.Compare(a[:], b[:]) })
}

func (v fakeVault) Keys(yield func(bls.PublicKey, *bls.SecretKey) bool) error {
	for _, pub := range v.List() {
		sk, err := bls.ParseSecretKey(v.sealed[pub])
		if err != nil {
			return err
		}
		if !yield(pub, sk) {
			return nil
		}
	}
	return nil
}

func (v fakeVault) Add(_ context.Context, sk *bls.SecretKey, pub bls.PublicKey) error {
	return v.step(stepSeal, pub, func() error {
		if exists, _ := v.recorded(pub); !exists {
			v.t.Errorf("key %v goes into the vault before its record is durable", pub)
		}
		v.mu.Lock()
		defer v.mu.Unlock()
		if v.sealed[pub] != nil {
			return fmt.Errorf("%w: %v", vault.ErrExists, pub)
		}
		v.sealed[pub] = sk.Bytes()
		return nil
	})
}

func (v fakeVault) Delete(_ context.Context, pub bls.PublicKey) error {
	return v.step(stepUnseal, pub, func() error {
		v.mu.Lock()
		defer v.mu.Unlock()
		if v.serving[pub] {
			v.t.Errorf("key %v leaves the vault while it signs", pub)
		}
		if v.sealed[pub] == nil {
			return fmt.Errorf("%w: %v", vault.ErrNotFound, pub)
		}
		delete(v.sealed, pub)
		return nil
	})
}

type fakeKeyring struct{ *world }

func (k fakeKeyring) Key(pub bls.PublicKey) (*bls.Key, bool) { return nil, k.serves(pub) }

func (k fakeKeyring) PublicKeys() []bls.PublicKey { return k.servingKeys() }

func (k fakeKeyring) Add(pub bls.PublicKey, sk *bls.SecretKey) (*bls.Key, error) {
	return nil, k.step(stepServe, pub, func() error {
		if exists, disabled := k.recorded(pub); !exists || disabled {
			k.t.Errorf("key %v comes into service with record %v, disabled %v", pub, exists, disabled)
		}
		if !k.holds(pub) {
			k.t.Errorf("key %v comes into service before the vault has it", pub)
		}
		if sk.PublicKey() != pub {
			k.t.Errorf("key %v comes into service with another's secret", pub)
		}
		k.mu.Lock()
		defer k.mu.Unlock()
		if k.serving[pub] {
			return bls.ErrDuplicate
		}
		k.serving[pub] = true
		return nil
	})
}

func (k fakeKeyring) Remove(pub bls.PublicKey) (was bool) {
	err := k.step(stepForget, pub, func() error {
		if exists, disabled := k.recorded(pub); exists && !disabled {
			k.t.Errorf("key %v leaves service before its record is disabled", pub)
		}
		k.mu.Lock()
		defer k.mu.Unlock()
		was = k.serving[pub]
		delete(k.serving, pub)
		return nil
	})
	if err != nil {
		k.t.Errorf("a keyring's Remove cannot fail: %v", err)
	}
	return was
}

type fakeGuard struct{ *world }

func (g fakeGuard) Enroll(ctx context.Context, pub bls.PublicKey, origin slashing.Origin) error {
	return g.step(stepEnroll, pub, func() error { return g.guard.Enroll(ctx, pub, origin) })
}

func (g fakeGuard) Disable(ctx context.Context, pub bls.PublicKey) error {
	return g.step(stepDisable, pub, func() error { return g.guard.Disable(ctx, pub) })
}

func (g fakeGuard) State(ctx context.Context, pub bls.PublicKey) (slashing.State, error) {
	return g.guard.State(ctx, pub)
}

// secret returns a key, the same for the same n.
func secret(t *testing.T, n byte) (*bls.SecretKey, bls.PublicKey) {
	t.Helper()
	b := sha256.Sum256([]byte{n})
	b[0] &= 0x3f // below the order of the group
	sk, err := bls.ParseSecretKey(b[:])
	if err != nil {
		t.Fatal(err)
	}
	return sk, sk.PublicKey()
}
