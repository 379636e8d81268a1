package http_test

import (
	"encoding/hex"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/secure-signer/secure-signer/test/internal/daemon"
	"github.com/secure-signer/secure-signer/test/internal/interop"
	"github.com/secure-signer/secure-signer/test/judge"
)

// A storm is what rivals ask for, one in each other's way, and what they get.
type storm struct {
	next []atomic.Uint64 // by key: the epoch, also the slot, that all rivals ask for

	mu     sync.Mutex
	signed []judge.Signed
}

func (s *storm) signedSoFar() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.signed)
}

// contend asks for messages of one variant until the daemon has gone.
func (s *storm) contend(d *daemon.Daemon, key interop.Key, next *atomic.Uint64, variant byte) {
	for {
		n := next.Load()
		for _, body := range []string{
			attestation(n-1, n, variant),
			attestation(n-3, n+1, variant), // surrounds what a rival has signed
			block(n, variant),
		} {
			answer, err := d.Sign(key.Public, []byte(body))
			if err != nil {
				return
			}
			if answer.Status == http.StatusOK {
				s.keep(key, body, answer)
			}
		}
		next.CompareAndSwap(n, n+1)
	}
}

func (s *storm) keep(key interop.Key, body string, answer daemon.Answer) {
	signed := judge.Signed{Key: key.Public, Request: []byte(body)}
	text, err := answer.Signature()
	if err == nil {
		_, err = hex.Decode(signed.Signature[:], []byte(strings.TrimPrefix(text, "0x")))
	}
	if err != nil {
		panic("a signature that is none: " + err.Error())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.signed = append(s.signed, signed)
}
