package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/secure-signer/secure-signer/bls"
	"github.com/secure-signer/secure-signer/eth2"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fakeSigner counts what it was asked, by key and body.
type fakeSigner struct {
	mu     sync.Mutex
	bodies map[string][]string // by path
	status int
	delay  time.Duration
}

func (f *fakeSigner) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	f.mu.Lock()
	f.bodies[r.URL.Path] = append(f.bodies[r.URL.Path], string(body))
	f.mu.Unlock()
	time.Sleep(f.delay)
	if f.status != http.StatusOK {
		http.Error(w, `{"reason":"below_floor"}`, f.status)
		return
	}
	fmt.Fprintf(w, `{"signature":"0x%0192x"}`, 1)
}

func start(t *testing.T, f *fakeSigner) *Target {
	t.Helper()
	f.bodies = map[string][]string{}
	server := httptest.NewServer(f)
	target := NewTarget(server.URL+"/", 8)
	t.Cleanup(func() { target.Close(); server.Close() })
	return target
}

func load(t *testing.T, kind Kind, keys int) Load {
	t.Helper()
	network, ok := eth2.Builtin("hoodi")
	if !ok {
		t.Fatal("no hoodi")
	}
	l := Load{Network: network, Kind: kind, FromEpoch: 5000}
	for i := range keys {
		l.Keys = append(l.Keys, bls.PublicKey{byte(i)})
	}
	return l
}

func TestEveryKeyIsAskedOnceInEachBurstAndEpochsOnlyGrow(t *testing.T) {
	f := &fakeSigner{status: http.StatusOK}
	r, err := start(t, f).Burst(t.Context(), load(t, Attestation, 20), Burst{Rounds: 3})
	if err != nil || r.Signed != 60 || len(r.Errors) != 0 {
		t.Fatalf("%v, %v", r, err)
	}
	if len(f.bodies) != 20 {
		t.Errorf("%d keys were asked, want 20", len(f.bodies))
	}
	for path, bodies := range f.bodies {
		var targets []string
		for _, b := range bodies {
			var m struct {
				Attestation struct{ Target struct{ Epoch string } }
			}
			if err := json.Unmarshal([]byte(b), &m); err != nil {
				t.Fatal(err)
			}
			targets = append(targets, m.Attestation.Target.Epoch)
		}
		if got := strings.Join(targets, " "); got != "5000 5001 5002" {
			t.Errorf("%s voted for %s", path, got)
		}
	}
}

func TestKindsShareARootOrDoNot(t *testing.T) {
	shared := map[Kind]bool{Attestation: true, DistinctAttestation: false, Block: false, Randao: true, SyncMessage: true}
	for _, kind := range Kinds() {
		want, known := shared[kind]
		if !known {
			t.Errorf("%s is not in the test", kind)
		}
		b := newBodies(load(t, kind, 2))
		if got := b.at(0) == b.at(1); got != want {
			t.Errorf("%s: shared %t, want %t", kind, got, want)
		}
		if b.at(0) == b.at(2) {
			t.Errorf("%s: two rounds ask for the same", kind)
		}
		if !json.Valid([]byte(b.at(0))) {
			t.Errorf("%s: not JSON: %s", kind, b.at(0))
		}
	}
}

func TestARefusalIsCountedAndSaid(t *testing.T) {
	f := &fakeSigner{status: http.StatusPreconditionFailed}
	r, err := start(t, f).Burst(t.Context(), load(t, Block, 4), Burst{Rounds: 1})
	if err == nil || !strings.Contains(err.Error(), "below_floor") {
		t.Errorf("a signer that signs nothing: %v", err)
	}
	if r.Errors["412"] != 4 || r.Signed != 0 {
		t.Errorf("got %v", r)
	}
}

func TestASignerThatIsGoneIsCounted(t *testing.T) {
	target := NewTarget("http://127.0.0.1:1", 2)
	defer target.Close()
	r, err := target.Burst(t.Context(), load(t, Block, 2), Burst{Rounds: 1})
	if err == nil || r.Errors["connection"] != 2 {
		t.Errorf("got %v, %v", r, err)
	}
}

func TestASlowSignerShowsInEveryFigure(t *testing.T) {
	const delay = 30 * time.Millisecond
	f := &fakeSigner{status: http.StatusOK, delay: delay}
	r, err := start(t, f).Closed(t.Context(), load(t, Randao, 3), Closed{Connections: 2, Duration: 5 * delay})
	if err != nil {
		t.Fatal(err)
	}
	least := float64(delay) / float64(time.Millisecond)
	if r.P50 < least || r.P99 < r.P50 || r.Max < r.P99 || r.PerSecond > 2/delay.Seconds() {
		t.Errorf("a signer that takes %v: %v", delay, r)
	}
}

func TestALoadEndsWithItsContext(t *testing.T) {
	f := &fakeSigner{status: http.StatusOK}
	target := start(t, f)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if r, err := target.Closed(ctx, load(t, Randao, 1), Closed{Connections: 1, Duration: time.Hour}); err == nil || r.Signed != 0 {
		t.Errorf("got %v, %v", r, err)
	}
}

func TestRankIsAMeasuredValue(t *testing.T) {
	var took []time.Duration
	for i := range 200 {
		took = append(took, time.Duration(i+1))
	}
	for p, want := range map[int]time.Duration{50: 100, 99: 198, 100: 200} {
		if got := rank(took, p); got != want {
			t.Errorf("p%d of 1…200 is %d, want %d", p, got, want)
		}
	}
	if got := rank(took[:1], 50); got != 1 {
		t.Errorf("p50 of one value is %d", got)
	}
}
