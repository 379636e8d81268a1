package custody

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/secure-signer/secure-signer/bls"
	"github.com/secure-signer/secure-signer/slashing"
)

// A Report says what Load did.
type Report struct {
	Served   int
	Problems []Problem
}

// A Problem is a key of the vault that is not in service, and why.
type Problem struct {
	PublicKey bls.PublicKey
	Err       error
}

// Load brings into service every key of the vault whose record says that it may
// sign. A key for which that cannot be said is a Problem of the report: it does
// not sign, and does not keep the others from signing. An error means that not
// every key was looked at. Until it returns for the first time, the keys in
// service among those of the vault tell how far it is.
func (c *Custodian) Load(ctx context.Context) (Report, error) {
	var report Report
	err := c.Vault.Keys(func(pub bls.PublicKey, sk *bls.SecretKey) bool {
		if err := c.serve(ctx, pub, sk); err != nil {
			report.Problems = append(report.Problems, Problem{pub, err})
		} else {
			report.Served++
		}
		return ctx.Err() == nil
	})
	if err := cmp.Or(ctx.Err(), err); err != nil {
		return Report{}, err
	}
	c.ready.Store(true)
	return report, nil
}

// Ready tells whether Load has returned.
func (c *Custodian) Ready() bool { return c.ready.Load() }

// Reload brings into service what has become possible since Load: keys that
// another process has added to the vault, if their record is here, and keys that
// could not be loaded. It takes no key out of service, whatever the vault has
// lost: only Delete does. The secrets are unsealed only if there is such a key.
func (c *Custodian) Reload(ctx context.Context) (Report, error) {
	if !c.ready.Load() {
		return Report{}, ErrLoading
	}
	withheld := c.Withheld(ctx)
	if slices.ContainsFunc(withheld, func(p Problem) bool { return errors.Is(p.Err, errNotLoaded) }) {
		return c.Load(ctx)
	}
	return Report{Served: len(c.Keyring.PublicKeys()), Problems: withheld}, nil
}

// serve puts one key of the vault in the keyring, unless it is there.
func (c *Custodian) serve(ctx context.Context, pub bls.PublicKey, sk *bls.SecretKey) error {
	defer c.lock(pub)() // against a Delete between the two steps
	if _, ok := c.Keyring.Key(pub); ok {
		return nil
	}
	if err := c.mayServe(ctx, pub); err != nil {
		return err
	}
	if _, err := c.Keyring.Add(pub, sk); err != nil {
		return fmt.Errorf("put the key in the keyring: %w", err)
	}
	return nil
}

// mayServe is nil if the record of pub exists and is not disabled.
func (c *Custodian) mayServe(ctx context.Context, pub bls.PublicKey) error {
	state, err := c.Guard.State(ctx, pub)
	switch {
	case errors.Is(err, slashing.ErrNoRecord):
		return fmt.Errorf("nothing is known of what it has signed on this network: import it again with its slashing protection data, or if it was generated here: secure-signer restore --data-dir D: %w", err)
	case err != nil:
		return fmt.Errorf("load the record of the key: %w", err)
	case state.Disabled():
		return ErrDisabled
	}
	return nil
}

// errNotLoaded is why a key is not in service although its record allows it.
var errNotLoaded = errors.New("it could not be put in the keyring: restart the signer")

// Withheld returns the keys of the vault that are not in service, sorted.
func (c *Custodian) Withheld(ctx context.Context) []Problem {
	var withheld []Problem
	for _, pub := range c.Vault.List() {
		if err := c.WhyWithheld(ctx, pub); err != nil {
			withheld = append(withheld, Problem{pub, err})
		}
	}
	return withheld
}

// WhyWithheld is why a key of the vault is not in service, or nil if it is.
func (c *Custodian) WhyWithheld(ctx context.Context, pub bls.PublicKey) error {
	if _, ok := c.Keyring.Key(pub); ok {
		return nil
	}
	if err := c.mayServe(ctx, pub); err != nil {
		return err
	}
	return errNotLoaded
}
