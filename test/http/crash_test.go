package http_test

import (
	"encoding/hex"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/protolambda/zrnt/eth2/configs"

	"github.com/secure-signer/secure-signer/test/internal/daemon"
	"github.com/secure-signer/secure-signer/test/internal/interop"
	"github.com/secure-signer/secure-signer/test/judge"
)

// TestNoKillMakesTwoSignaturesConflict lets several clients of each key ask for
// conflicting messages, kills the daemon as a crash does, starts it again and
// goes on below the last watermark. In the end every pair that was ever signed
// is judged.
func TestNoKillMakesTwoSignaturesConflict(t *testing.T) {
	t.Parallel()
	const rounds, rivals = 5, 3
	keys := interop.Keys(4)
	f := initMainnet(t)
	d := serveKeys(t, f, keys, unbound...)
	s := &storm{next: make([]atomic.Uint64, len(keys))}
	for i := range s.next {
		// Past the clock, where a key also signs that is held back after a torn
		// record.
		s.next[i].Store(clockEpoch() + 1000)
	}
	for round := range rounds {
		before := s.signedSoFar()
		var running sync.WaitGroup
		for i, key := range keys {
			for rival := range rivals {
				running.Go(func() { s.contend(d, key, &s.next[i], byte(1+round*rivals+rival)) })
			}
		}
		waitFor(t, "something is signed in each round", func() bool { return s.signedSoFar() > before })
		time.Sleep(time.Duration(50+rand.IntN(250)) * time.Millisecond)
		d.Kill()
		running.Wait()
		for i := range s.next {
			s.next[i].Store(s.next[i].Load() - 3) // what was signed is asked for again, differently
		}
		d = daemon.Serve(t, f, unbound...)
	}

	verdict, err := judge.Judge(configs.Mainnet, s.signed)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(verdict.Crimes); n > 0 {
		t.Errorf("%d slashable pairs were signed, the first: %v", n, verdict.Crimes[0])
	}
	if verdict.Blocks == 0 || verdict.Attestations == 0 || s.refused.Load() == 0 || s.cutOff.Load() == 0 {
		t.Error("the test missed what it aims at")
	}
	t.Logf("%d rounds: %d blocks and %d attestations signed, %d conflicts refused, %d requests cut off",
		rounds, verdict.Blocks, verdict.Attestations, s.refused.Load(), s.cutOff.Load())
}

// A storm is what conflicting clients ask for and what they get.
type storm struct {
	next    []atomic.Uint64 // by key: the epoch, also the slot, that all clients ask for
	refused atomic.Int64
	cutOff  atomic.Int64

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
				s.cutOff.Add(1)
				return
			}
			if answer.Status == http.StatusOK {
				s.keep(key, body, answer)
			} else {
				s.refused.Add(1)
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
