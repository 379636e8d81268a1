package horizon_test

import (
	"crypto/ed25519"
	"encoding/hex"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/secure-signer/secure-signer/rollback/witness"
)

// TestKilledWitnessesGiveNoNumberTwice: copies of a signer race over witnesses that
// are killed in the middle of it. Epochs of a chain pass slowly; here hundreds pass.
func TestKilledWitnessesGiveNoNumberTwice(t *testing.T) {
	t.Parallel()
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	keepers := startKeepers(t, 3)
	config := witness.Config{Signer: private}
	for _, k := range keepers {
		k.enrol(hex.EncodeToString(public))
		config.Witnesses = append(config.Witnesses, k.Witness)
	}
	r := &race{won: make(map[uint64]int)}
	done := make(chan struct{})
	var all sync.WaitGroup
	for id := range 3 {
		c, err := witness.New(config)
		if err != nil {
			t.Fatal(err)
		}
		all.Go(func() {
			defer c.Close()
			r.run(t, id, c, done)
		})
	}
	kills := 0
	began, least := time.Now(), duration(5*time.Second)
	for ; time.Since(began) < least || !r.tested() && time.Since(began) < least+2*time.Minute; kills++ {
		time.Sleep(time.Duration(rand.IntN(400)) * time.Millisecond)
		some := rand.Perm(len(keepers))[:1+rand.IntN(2)] // one, or too many
		for _, i := range some {
			keepers[i].kill()
		}
		time.Sleep(time.Duration(rand.IntN(200)) * time.Millisecond)
		for _, i := range some {
			keepers[i].start()
		}
	}
	close(done)
	all.Wait()
	t.Logf("%d times one or two witnesses were killed; %d numbers won, %d calls failed, the counter is at %d", kills, len(r.won), r.failed, r.floor)
	if !r.tested() {
		t.Error("that is too few of them: the race is none")
	}
}

// A race is what several copies have found out together.
type race struct {
	mu     sync.Mutex
	won    map[uint64]int // by whom
	floor  uint64         // no call that begins now may find less
	failed int
}

func (r *race) run(t *testing.T, id int, c *witness.Client, done chan struct{}) {
	for {
		select {
		case <-done:
			return
		default:
		}
		floor := r.begun()
		at, err := c.Epochs().Read(t.Context())
		if err != nil {
			r.note(func() { r.failed++ })
			continue
		}
		if at < floor {
			t.Errorf("a read fell to %d after %d was known", at, floor)
		}
		r.note(func() { r.floor = max(r.floor, at) })
		n := at + 1
		if err := c.Epochs().Advance(t.Context(), n); err != nil {
			r.note(func() { r.failed++ })
			continue
		}
		r.note(func() {
			if other, taken := r.won[n]; taken {
				t.Errorf("number %d was won by copy %d and by copy %d", n, other, id)
			}
			r.won[n] = id
			r.floor = max(r.floor, n)
		})
	}
}

// tested tells whether enough has happened.
func (r *race) tested() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.won) >= 20 && r.failed >= 20
}

func (r *race) begun() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.floor
}

func (r *race) note(f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f()
}
