package witness

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"

	"github.com/secure-signer/secure-signer/rollback"
)

// Config is what a signer knows of its witnesses.
type Config struct {
	// Signer is this signer's key, known to nobody else: whoever has it can move the
	// counters as a copy of the signer does.
	Signer ed25519.PrivateKey

	// Witnesses are all that there are: three or four for most. Every copy of the
	// signer must be given the same.
	Witnesses []Witness

	Client *http.Client // nil: one that trusts what the machine trusts
}

// MaxWitnesses bounds how many a signer may have.
const MaxWitnesses = 15

// A Client is a signer's end.
type Client struct {
	signer    ed25519.PrivateKey
	witnesses []Witness
	http      *http.Client
	asking    sync.WaitGroup // every request that is under way

	mu   sync.Mutex // guards what follows
	last []error    // of each witness: what was wrong with its last answer, if anything
}

// New checks the configuration. It asks nobody yet.
func New(c Config) (*Client, error) {
	n := len(c.Witnesses)
	switch {
	case len(c.Signer) != ed25519.PrivateKeySize:
		return nil, errors.New("witnesses need the key of this signer")
	case n == 0:
		return nil, errors.New("no witness is named: three go on while one is down, and of four one may even forget or lie")
	case n > MaxWitnesses:
		return nil, fmt.Errorf("%d witnesses: no more than %d", n, MaxWitnesses)
	}
	for i, w := range c.Witnesses {
		if err := w.check(); err != nil {
			return nil, err
		}
		for _, other := range c.Witnesses[:i] {
			if w.URL == other.URL || w.Key.Equal(other.Key) {
				return nil, fmt.Errorf("%s and %s are one witness, which must not count twice", other, w)
			}
		}
	}
	client := http.Client{}
	if c.Client != nil {
		client = *c.Client
	}
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &Client{signer: c.Signer, witnesses: c.Witnesses, http: &client, last: make([]error, n)}, nil
}

// Epochs is the counter of the epochs that were claimed.
func (c *Client) Epochs() rollback.Counter { return one{c, epochs} }

// Stops is the counter of the clean stops.
func (c *Client) Stops() rollback.Counter { return one{c, stops} }

// Provision prepares the counters of a signer: that of the epochs is at base
// or later when it returns nil. Unlike all else it needs every witness, so that
// one that does not know the signer yet is found now, and not when another is down.
// It gives nothing to anybody, so it does no harm to call it again.
func (c *Client) Provision(ctx context.Context, base uint64) error {
	all := len(c.witnesses)
	if err := c.raise(ctx, offer{counter: stops}, all); err != nil {
		return fmt.Errorf("prepare the witnesses, which takes all of them, once: %w", err)
	}
	if err := c.raise(ctx, c.fresh(epochs, base), all); err != nil {
		return fmt.Errorf("prepare the witnesses, which takes all of them, once: %w", err)
	}
	return nil
}

// Raise moves the counter of the epochs to epoch, if it is below. Nobody owns
// any epoch by it: to the copies of the signer it is as if another one had claimed
// all of them. A signer that was down for long need not claim what is past.
func (c *Client) Raise(ctx context.Context, epoch uint64) error {
	if err := c.raise(ctx, c.fresh(epochs, epoch), c.majority()); err != nil {
		return fmt.Errorf("raise the counter of %s to %d: %w", epochs, epoch, err)
	}
	return nil
}

// Silent says of each witness whose last answer did not come or was not good what
// was wrong.
func (c *Client) Silent() []error {
	c.mu.Lock()
	defer c.mu.Unlock()
	var silent []error
	for i, err := range c.last {
		if err != nil {
			silent = append(silent, fmt.Errorf("witness %s: %w", c.witnesses[i].URL, err))
		}
	}
	return silent
}

// Close waits for the requests to witnesses that were slower than the others. No
// call may be under way.
func (c *Client) Close() { c.asking.Wait() }

// one is one of the two counters.
type one struct {
	*Client
	counter counter
}

// Read implements rollback.Counter.
func (c one) Read(ctx context.Context) (uint64, error) {
	held, err := c.ask(ctx, offer{counter: c.counter}, c.majority(), anything)
	if err != nil {
		return 0, fmt.Errorf("read the counter of %s: %w", c.counter, err)
	}
	byNumber := func(a, b claim) int { return cmp.Compare(a.n, b.n) }
	highest := slices.MaxFunc(held, byNumber)
	if slices.MinFunc(held, byNumber).n < highest.n {
		if err := c.raise(ctx, offer{c.counter, highest}, c.majority()); err != nil {
			return 0, fmt.Errorf("read the counter of %s, of which %d is known to some: %w", c.counter, highest.n, err)
		}
	}
	return highest.n, nil
}

// Advance implements rollback.Counter.
func (c one) Advance(ctx context.Context, n uint64) error {
	at, err := c.Read(ctx)
	if err != nil {
		return err
	}
	if at != n-1 {
		return fmt.Errorf("%w: it is at %d, and not at %d", ErrMoved, at, n-1)
	}
	mine := c.fresh(c.counter, n)
	if _, err = c.ask(ctx, mine, c.majority(), func(held claim) error {
		if held != mine.claim {
			return fmt.Errorf("%w: it is at %d", ErrMoved, held.n)
		}
		return nil
	}); err != nil {
		return fmt.Errorf("move the counter of %s to %d: %w", c.counter, n, err)
	}
	return nil
}
