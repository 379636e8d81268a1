// Package custody brings keys into service and takes them out, in the one order
// that is safe wherever a machine may stop.
//
//	in:   the record is durable → the vault has the key, durably → the keyring signs
//	out:  the record is disabled, durably → the keyring forgets → the vault deletes
//
// # Guaranteed
//
//   - A key that signs has a durable record, and the record is not disabled.
//   - A key that lies in the vault without a record, or with a disabled one, is not
//     brought into service by a restart: missing state is an error, never an empty
//     state.
//   - An operation that failed, or that a crash cut off, can be repeated until it
//     succeeds. An import that reported an error does not sign after a restart,
//     unless its error says that this is unknown.
//   - Operations on one key exclude each other.
//
// # Not guaranteed
//
//   - That a key which arrives signs nowhere else. Only its owner can know.
//   - Which messages are safe: package slashing decides, and remembers.
//
// Statuses are those of the keymanager API.
// Source: ethereum/keymanager-APIs apis/local_keystores.yaml and flows/README.md.
package custody

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/secure-signer/secure-signer/bls"
	"github.com/secure-signer/secure-signer/slashing"
	"github.com/secure-signer/secure-signer/vault"
)

// A Vault keeps secret keys sealed and durable. Source: vault.Vault.
type Vault interface {
	List() []bls.PublicKey
	Keys(yield func(bls.PublicKey, *bls.SecretKey) bool) error           // wipes each secret after yield
	Add(ctx context.Context, sk *bls.SecretKey, pub bls.PublicKey) error // vault.ErrExists
	Delete(ctx context.Context, pub bls.PublicKey) error                 // vault.ErrNotFound
}

// A Keyring holds the keys that sign. Source: bls.Keyring.
type Keyring interface {
	Key(pub bls.PublicKey) (*bls.Key, bool)
	PublicKeys() []bls.PublicKey
	Add(pub bls.PublicKey, sk *bls.SecretKey) (*bls.Key, error)
	Remove(pub bls.PublicKey) bool // returns once nothing is signed with pub any more
}

// A Guard keeps the record of what each key has signed. Source: slashing.Guard.
type Guard interface {
	Enroll(ctx context.Context, pub bls.PublicKey, origin slashing.Origin) error
	Disable(ctx context.Context, pub bls.PublicKey) error                 // slashing.ErrNoRecord
	State(ctx context.Context, pub bls.PublicKey) (slashing.State, error) // slashing.ErrNoRecord
}

// A Custodian is the only one who changes which keys are held and which sign.
// Nothing changes before Load has returned.
type Custodian struct {
	Vault   Vault
	Keyring Keyring
	Guard   Guard

	// NewKeyFloor is where a key starts that arrives without history.
	NewKeyFloor Floor

	// A lock is held from the first to the last step of an operation on a key.
	// Keys share one by their last byte: it costs some waiting, and no memory
	// for keys that come and go.
	locks [64]sync.Mutex

	ready atomic.Bool // Load has returned
}

// A Status is the outcome of an import or a deletion that did not fail.
type Status string

// Statuses of Import and of Delete.
const (
	Imported  Status = "imported"
	Duplicate Status = "duplicate" // in service already; nothing has changed

	Deleted   Status = "deleted"
	NotActive Status = "not_active" // not held, but its history is
	NotFound  Status = "not_found"  // neither held nor known
)

// ErrLoading is the error of every change before Load has returned.
var ErrLoading = errors.New("keys are still loading: try again in a moment")

// ErrDisabled is why a key of the vault is not in service whose record says
// that the key has been deleted.
var ErrDisabled = errors.New("its deletion was begun: delete it again to finish, or import it again to use it")

// finishTime bounds an operation that has begun. It goes on when its caller
// hangs up, so that its outcome is one of those that the order allows for.
const finishTime = 30 * time.Second

// Generate draws a key inside this process and brings it into service.
func (c *Custodian) Generate(ctx context.Context) (bls.PublicKey, error) {
	if !c.ready.Load() {
		return bls.PublicKey{}, ErrLoading
	}
	sk, err := bls.GenerateKey()
	if err != nil {
		return bls.PublicKey{}, fmt.Errorf("draw a key: %w", err)
	}
	defer sk.Wipe()
	pub := sk.PublicKey()
	defer c.lock(pub)()
	if err := c.enter(ctx, pub, sk, slashing.Generated); err != nil {
		return bls.PublicKey{}, err
	}
	return pub, nil
}

// Import brings a key from elsewhere into service. The origin is
// slashing.WithHistory if an interchange that names the key was just imported,
// else slashing.Arrived. The caller wipes sk.
func (c *Custodian) Import(ctx context.Context, sk *bls.SecretKey, origin slashing.Origin) (Status, error) {
	if !c.ready.Load() {
		return "", ErrLoading
	}
	if origin == slashing.Arrived && c.NewKeyFloor == NoFloor {
		origin = slashing.ArrivedNoFloor
	}
	pub := sk.PublicKey()
	defer c.lock(pub)()
	if _, ok := c.Keyring.Key(pub); ok {
		return Duplicate, nil
	}
	if err := c.enter(ctx, pub, sk, origin); err != nil {
		return "", err
	}
	return Imported, nil
}

// enter brings a key into service that is not in service yet:
//
//  1. its record exists durably, so that no restart serves it without one;
//  2. the vault has it durably, so that nobody is told of a key that a crash
//     takes away;
//  3. only now does it sign.
//
// If one of them fails the record is disabled again: what the vault may hold is
// then not served. It is not deleted there: it may be the only copy of a key that
// was withheld before.
func (c *Custodian) enter(ctx context.Context, pub bls.PublicKey, sk *bls.SecretKey, origin slashing.Origin) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), finishTime)
	defer cancel()

	if err := c.Guard.Enroll(ctx, pub, origin); err != nil {
		return c.withhold(ctx, pub, fmt.Errorf("make the record of the key: %w", err))
	}
	err := c.Vault.Add(ctx, sk, pub)
	if errors.Is(err, vault.ErrExists) { // withheld, or left by an operation that was cut off
		err = nil
	}
	if err != nil {
		return c.withhold(ctx, pub, fmt.Errorf("seal the key in the vault: %w", err))
	}
	if _, err := c.Keyring.Add(pub, sk); err != nil {
		return c.withhold(ctx, pub, fmt.Errorf("put the key in the keyring: %w", err))
	}
	return nil
}

// withhold disables the record of a key that could not be brought into service.
func (c *Custodian) withhold(ctx context.Context, pub bls.PublicKey, cause error) error {
	if err := c.Guard.Disable(ctx, pub); err != nil && !errors.Is(err, slashing.ErrNoRecord) {
		return errors.Join(cause, fmt.Errorf("and it is unknown whether the key will be in service after a restart: delete it, or import it again: %w", err))
	}
	return cause
}

// Delete takes a key out of service and out of the vault:
//
//  1. its record is disabled durably, so that a request in flight which has not
//     been recorded yet is refused, and no restart serves the key;
//  2. the keyring has forgotten it, after the signatures in flight, each of them
//     recorded;
//  3. only now is the sealed copy deleted.
//
// An interchange exported after Delete has returned therefore holds every
// signature that was ever released. History is kept for ever.
func (c *Custodian) Delete(ctx context.Context, pub bls.PublicKey) (Status, error) {
	if !c.ready.Load() {
		return "", ErrLoading
	}
	defer c.lock(pub)()
	if err := ctx.Err(); err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), finishTime)
	defer cancel()

	err := c.Guard.Disable(ctx, pub)
	known := !errors.Is(err, slashing.ErrNoRecord)
	if err != nil && known {
		return "", fmt.Errorf("the key is still in service, because its record could not be disabled: %w", err)
	}
	c.Keyring.Remove(pub)
	switch err := c.Vault.Delete(ctx, pub); {
	case err == nil:
		return Deleted, nil
	case !errors.Is(err, vault.ErrNotFound):
		return "", fmt.Errorf("the key is out of service and stays so, but its sealed copy could not be deleted, try again: %w", err)
	case known:
		return NotActive, nil
	default:
		return NotFound, nil
	}
}

// List returns the keys in service, sorted.
func (c *Custodian) List() []bls.PublicKey { return c.Keyring.PublicKeys() }

// lock locks an operation on pub and returns what unlocks it.
func (c *Custodian) lock(pub bls.PublicKey) (unlock func()) {
	mu := &c.locks[int(pub[len(pub)-1])%len(c.locks)]
	mu.Lock()
	return mu.Unlock
}
