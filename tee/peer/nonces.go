package peer

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"maps"
	"sync"
	"time"

	"github.com/secure-signer/secure-signer/attest"
)

const (
	nonceLife = time.Minute

	// maxUsed bounds how many nonces are remembered as used. It takes accepted
	// evidence to use one.
	maxUsed = 4096
)

// nonces are drawn without being remembered: each has its time and a code by a key
// of this process, so that whoever asks for many costs no memory. Only those that a
// key was given for are kept, until they end by themselves.
type nonces struct {
	key [32]byte

	mu   sync.Mutex // guards used
	used map[attest.Nonce]time.Time
}

func newNonces() *nonces {
	n := &nonces{used: make(map[attest.Nonce]time.Time)}
	_, _ = rand.Read(n.key[:]) // never fails
	return n
}

// The parts of a nonce: milliseconds since 1970, random bytes, code.
const (
	timeSize   = 8
	randomSize = 8
)

func (n *nonces) draw(now time.Time) (nonce attest.Nonce) {
	binary.BigEndian.PutUint64(nonce[:], uint64(now.UnixMilli()))
	_, _ = rand.Read(nonce[timeSize : timeSize+randomSize])
	copy(nonce[timeSize+randomSize:], n.code(nonce))
	return nonce
}

func (n *nonces) code(nonce attest.Nonce) []byte {
	h := hmac.New(sha256.New, n.key[:])
	h.Write(nonce[:timeSize+randomSize])
	return h.Sum(nil)[:len(nonce)-timeSize-randomSize]
}

var (
	errNonce = errors.New("the nonce is not of this keeper, is older than a minute, or has been used: begin anew")
	errBusy  = errors.New("too many keys were given within a minute: ask again later")
)

// check refuses a nonce that cannot be used.
func (n *nonces) check(nonce attest.Nonce, now time.Time) error {
	if !hmac.Equal(n.code(nonce), nonce[timeSize+randomSize:]) || !n.ends(nonce).After(now) || n.ends(nonce).After(now.Add(nonceLife)) {
		return errNonce
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if _, used := n.used[nonce]; used {
		return errNonce
	}
	return nil
}

// use takes a nonce that check has let through, once.
func (n *nonces) use(nonce attest.Nonce, now time.Time) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	maps.DeleteFunc(n.used, func(_ attest.Nonce, ends time.Time) bool { return !ends.After(now) })
	if _, used := n.used[nonce]; used {
		return errNonce
	}
	if len(n.used) >= maxUsed {
		return errBusy
	}
	n.used[nonce] = n.ends(nonce)
	return nil
}

func (n *nonces) ends(nonce attest.Nonce) time.Time {
	return time.UnixMilli(int64(binary.BigEndian.Uint64(nonce[:]))).Add(nonceLife)
}
