package witness

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// patience is how long a witness may take to answer.
const patience = 3 * time.Second

// An offer is a claim for one of the counters, to be offered to all witnesses.
type offer struct {
	counter counter
	claim   claim
}

// fresh is a claim that nobody has made before.
func (c *Client) fresh(of counter, n uint64) offer {
	o := offer{counter: of, claim: claim{n: n}}
	if n == 0 {
		return o // where every counter begins: nobody's
	}
	_, _ = rand.Read(o.claim.tag[:]) // never fails
	copy(o.claim.signature[:], ed25519.Sign(c.signer, o.claim.signed(of)))
	return o
}

func (c *Client) majority() int { return len(c.witnesses)/2 + 1 }

// anything is what every answer of a witness will do for.
func anything(claim) error { return nil }

// raise returns nil once so many witnesses hold no lower claim than o.
func (c *Client) raise(ctx context.Context, o offer, need int) error {
	_, err := c.ask(ctx, o, need, func(held claim) error {
		if held.n < o.claim.n {
			return fmt.Errorf("it holds %d", held.n)
		}
		return nil
	})
	return err
}

// ask makes an offer to every witness at once. It returns what they hold as soon
// as so many have given an answer that counts, or why, as soon as that cannot be
// any more. Those that are slower are not cut off, so that they do not fall behind.
func (c *Client) ask(ctx context.Context, o offer, need int, counts func(held claim) error) ([]claim, error) {
	type answer struct {
		held claim
		err  error
	}
	answers := make(chan answer, len(c.witnesses))
	for i, w := range c.witnesses {
		c.asking.Go(func() {
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
			defer cancel()
			held, err := c.askOne(ctx, w, o)
			c.note(i, err)
			if err == nil {
				err = counts(held)
			}
			if err != nil {
				err = fmt.Errorf("witness %s: %w", w.URL, err)
			}
			answers <- answer{held, err}
		})
	}
	var held []claim
	var why []error
	for len(held) < need {
		select {
		case a := <-answers:
			if a.err == nil {
				held = append(held, a.held)
				continue
			}
			why = append(why, a.err)
			if len(c.witnesses)-len(why) < need {
				return nil, fmt.Errorf("%w: of %d it takes %d: %w", ErrTooFew, len(c.witnesses), need, list(why))
			}
		case <-ctx.Done():
			return nil, list(append(why, ctx.Err()))
		}
	}
	return held, nil
}

// A list is several errors in one line.
type list []error

func (l list) Error() string {
	texts := make([]string, len(l))
	for i, err := range l {
		texts[i] = err.Error()
	}
	return strings.Join(texts, "; ")
}

func (l list) Unwrap() []error { return l }

func (c *Client) note(i int, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last[i] = err
}

// askOne makes an offer to one witness and returns the claim that it holds then.
func (c *Client) askOne(ctx context.Context, w Witness, o offer) (claim, error) {
	r := request{counter: o.counter, claim: o.claim}
	copy(r.signer[:], c.signer.Public().(ed25519.PublicKey))
	_, _ = rand.Read(r.nonce[:]) // never fails
	post, err := http.NewRequestWithContext(ctx, http.MethodPost, w.URL+path, bytes.NewReader(r.encode()))
	if err != nil {
		return claim{}, err
	}
	post.Header["Idempotency-Key"] = nil // to net/http: may be sent again, where a kept connection turns out to be closed
	response, err := c.http.Do(post)
	if err != nil {
		return claim{}, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return claim{}, err
	}
	if response.StatusCode != http.StatusOK {
		return claim{}, fmt.Errorf("status %d: %.300q", response.StatusCode, strings.TrimSpace(string(body)))
	}
	return r.readAnswer(w.Key, body)
}

// maxAnswer bounds what is read of an answer, or of a page that an error is told
// on.
const maxAnswer = 1024
