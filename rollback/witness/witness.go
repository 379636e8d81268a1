// Package witness keeps the counters of package rollback by a majority of
// witnesses: small servers that others run, each on a machine that the signer's
// host has no power over.
//
// # The rules
//
// A witness holds one claim {n, tag} for each counter of each signer, and has one
// operation: it is offered a claim, takes it if its n is above that of the claim
// it holds, and answers with the claim that it then holds, once that is durable.
// So it never holds two claims for one n, and its n never falls. The claim of
// number 0, which every counter begins with, is never taken: to offer it is to
// read.
//
// More than half of the witnesses are a majority. Any two majorities have a witness
// in common, and two of them if the number of witnesses is even.
//
//   - Read asks all and takes the highest claim among the answers of a majority.
//     If these differ, it offers that claim to all and returns once a majority
//     holds no lower one. Without this a value that one witness alone holds
//     would be read now and not by the next reader, who asks others, and a
//     counter that falls stops a signer for good.
//   - Advance(n) reads, goes on only if the counter is at n-1, offers to all a
//     claim for n with a fresh random tag, and returns nil only once a majority
//     has answered with this very claim.
//
// # Why this is a rollback.Counter
//
// Of all calls of Advance(n) one succeeds at most: two would need majorities for
// two tags, and the witness in common would have held two claims for n. A call
// whose answers are lost has not succeeded, whatever becomes of its claim.
//
// What Read has returned, no later Read is below: a majority holds no lower
// number, for ever, and each later Read hears one of them. Nor does an Advance(n)
// succeed that begins after a Read has returned n or more, for the same reason.
// One that began before may: it is then as if it had moved the counter before
// that Read, and only its answer were late.
//
// Copies of a signer that race for one n may share the witnesses such that none
// has a majority. Then n is nobody's: the next Read returns it, and the next
// claim is for n+1.
//
// A message may be late, repeated, or carried to another witness by who
// carries it: a claim is offered to all of them anyway, and one that is not above
// what a witness holds changes nothing. So a claim names no witness, and is
// signed once.
//
// # Who is believed
//
// Claims are signed by the signer, and travel and rest with their signature:
// nobody else can raise a counter, not even a witness, which could end the
// signer's life by a single absurd answer. Each answer is signed by its witness
// together with the request, which holds a fresh nonce: an older answer, or one
// to another request, does not count. Nothing rests on TLS. To read needs no
// signature: whoever knows a signer's public key may learn its epoch.
//
// # Guaranteed
//
// The contract of rollback.Counter. Witnesses may be down, slow or cut off at any
// time: while a majority is not, the signer goes on, and else it claims no epoch.
// Where their number is even, one of them, and always the same, may even forget
// what it has answered, or lie as it likes.
//
//	witnesses         1  2  3  4  5  6  7
//	may be down       0  0  1  1  2  2  3
//	may forget or lie 0  1  0  1  0  1  0
//
// # Not guaranteed
//
// Anything, if more of them forget or lie, and make the difference. Of three
// witnesses that is one: if it was put back to an older state, or is in league with
// the signer's host, it may be the one that two majorities have in common, and
// tell each what it wants to hear. What it cannot do is raise a counter. Whoever
// runs a witness must never restore one: a new one, with a new key, takes its
// place.
//
// Sources: Attiya, Bar-Noy and Dolev, "Sharing Memory Robustly in Message-Passing
// Systems", 1995, for Read; Malkhi and Reiter, "Byzantine Quorum Systems", 1998,
// for what majorities have in common; Matetic et al., "ROTE", 2017, for counters
// that others keep.
package witness

import (
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// A Witness is where one is reached and how its answers are known.
type Witness struct {
	URL string // http or https; the path below which it serves, if any
	Key ed25519.PublicKey
}

// Parse reads the line that a witness hands out: its address, #, and its public
// key in hex.
func Parse(line string) (Witness, error) {
	address, key, ok := strings.Cut(strings.TrimSpace(line), "#")
	if !ok {
		return Witness{}, fmt.Errorf("witness %.200q: want its address, #, and its public key, as \"secure-signer witness init\" prints it", line)
	}
	w := Witness{URL: strings.TrimRight(address, "/")}
	var err error
	if w.Key, err = ParseKey(key); err != nil {
		return Witness{}, fmt.Errorf("witness %.200q: %w", address, err)
	}
	return w, w.check()
}

// ParseKey reads the public key of a witness or a signer: 64 hex digits.
func ParseKey(text string) (ed25519.PublicKey, error) {
	key, err := hex.DecodeString(strings.TrimPrefix(text, "0x"))
	if err != nil || len(key) != ed25519.PublicKeySize {
		return nil, fmt.Errorf("public key %.80q: want %d hex digits", text, 2*ed25519.PublicKeySize)
	}
	return key, nil
}

func (w Witness) check() error {
	u, err := url.Parse(w.URL)
	switch {
	case err != nil:
		return fmt.Errorf("witness: %w", err)
	case u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return fmt.Errorf("witness %.200q: want an address such as https://witness.example:9200", w.URL)
	case len(w.Key) != ed25519.PublicKeySize:
		return fmt.Errorf("witness %.200q has no public key", w.URL)
	}
	return nil
}

// String is the line that Parse reads.
func (w Witness) String() string { return w.URL + "#" + hex.EncodeToString(w.Key) }

// MarshalText is String, for configuration files.
func (w Witness) MarshalText() ([]byte, error) { return []byte(w.String()), w.check() }

// UnmarshalText is Parse.
func (w *Witness) UnmarshalText(line []byte) (err error) {
	*w, err = Parse(string(line))
	return err
}

var (
	// ErrTooFew means that too few witnesses have given the answer that it takes.
	ErrTooFew = errors.New("too few witnesses agree")

	// ErrMoved means that another copy of the signer has moved the counter.
	ErrMoved = errors.New("the counter was moved by another copy of this signer")
)
