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

// fakeSigner keeps what it was asked, and answers.
type fakeSigner struct {
	status int
	delay  time.Duration

	mu       sync.Mutex          // guards what follows
	bodies   map[string][]string // by path
	asked    int
	together map[string]int // requests in flight, by path
	most     int            // of one path
}

func (f *fakeSigner) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	f.mu.Lock()
	f.asked++
	f.bodies[r.URL.Path] = append(f.bodies[r.URL.Path], string(body))
	f.together[r.URL.Path]++
	f.most = max(f.most, f.together[r.URL.Path])
	f.mu.Unlock()
	time.Sleep(f.delay)
	f.mu.Lock()
	f.together[r.URL.Path]--
	f.mu.Unlock()
	if f.status != http.StatusOK {
		http.Error(w, `{"reason":"below_floor"}`, f.status)
		return
	}
	fmt.Fprintf(w, `{"signature":"0x%0192x"}`, 1)
}

func start(t *testing.T, f *fakeSigner, l Load) *Target {
	t.Helper()
	f.bodies, f.together = map[string][]string{}, map[string]int{}
	server := httptest.NewServer(f)
	target := NewTarget(server.URL+"/", l, 8, nil)
	t.Cleanup(func() { target.Close(); server.Close() })
	return target
}

func load(t *testing.T, mix string, keys int) Load {
	t.Helper()
	network, ok := eth2.Builtin("hoodi")
	if !ok {
		t.Fatal("no hoodi")
	}
	m, err := ParseMix(mix)
	if err != nil {
		t.Fatal(err)
	}
	l := Load{Network: network, Mix: m, FromEpoch: 5000}
	for i := range keys {
		l.Keys = append(l.Keys, bls.PublicKey{byte(i)})
	}
	return l
}

// targets are the epochs that each path was asked to vote for.
func (f *fakeSigner) targets(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	for path, bodies := range f.bodies {
		var epochs []string
		for _, b := range bodies {
			var m struct {
				Attestation struct{ Target struct{ Epoch string } }
			}
			if err := json.Unmarshal([]byte(b), &m); err != nil {
				t.Fatal(err)
			}
			epochs = append(epochs, m.Attestation.Target.Epoch)
		}
		all[path] = strings.Join(epochs, " ")
	}
	return all
}

func TestEveryKeyIsAskedOnceInEachBurstAndEpochsOnlyGrow(t *testing.T) {
	f := &fakeSigner{status: http.StatusOK}
	target := start(t, f, load(t, "attestation", 20))
	r, err := target.Bursts(t.Context(), 20, 3)
	if err != nil || r.Signed != 60 || len(r.Errors) != 0 || target.Answered() != 60 {
		t.Fatalf("%v, %v", r, err)
	}
	targets := f.targets(t)
	if len(targets) != 20 {
		t.Errorf("%d keys were asked, want 20", len(targets))
	}
	for path, got := range targets {
		if got != "5000 5001 5002" {
			t.Errorf("%s voted for %s", path, got)
		}
	}
}

// TestAKeyVotesOnceAtATime with more connections than keys, where a signer would
// otherwise see the epochs of a key in any order and refuse the older.
func TestAKeyVotesOnceAtATime(t *testing.T) {
	f := &fakeSigner{status: http.StatusOK, delay: time.Millisecond}
	target := start(t, f, load(t, "attestation", 2))
	if _, err := target.Closed(t.Context(), 8, 100*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	if f.most != 1 {
		t.Errorf("%d votes of a key at once", f.most)
	}
	for path, got := range f.targets(t) {
		for i, epoch := range strings.Fields(got) {
			if epoch != fmt.Sprint(5000+i) {
				t.Fatalf("%s voted for %s", path, got)
			}
		}
	}
}

func TestAMixIsKeptToAndCountedByKind(t *testing.T) {
	f := &fakeSigner{status: http.StatusOK}
	r, err := start(t, f, load(t, "attestation=6,block=1,registration=3", 10)).Bursts(t.Context(), 10, 4)
	if err != nil || r.Signed != 40 {
		t.Fatalf("%v, %v", r, err)
	}
	for kind, want := range map[Kind]int{Attestation: 24, Block: 4, Registration: 12} {
		if got := r.Kinds[kind]; got.Signed != want || got.Max <= 0 || got.Max > r.Max {
			t.Errorf("%s: %+v, want %d signed", kind, got, want)
		}
	}
}

func TestARefusalIsCountedAndSaid(t *testing.T) {
	f := &fakeSigner{status: http.StatusPreconditionFailed}
	r, err := start(t, f, load(t, "block", 4)).Bursts(t.Context(), 4, 1)
	if err == nil || !strings.Contains(err.Error(), "below_floor") {
		t.Errorf("a signer that signs nothing: %v", err)
	}
	if r.Errors["412"] != 4 || r.Kinds[Block].Errors["412"] != 4 || r.Signed != 0 || r.ErrorText() != "412 ×4" {
		t.Errorf("got %v", r)
	}
}

func TestASignerThatIsGoneIsCounted(t *testing.T) {
	target := NewTarget("http://127.0.0.1:1", load(t, "block", 2), 2, nil)
	defer target.Close()
	r, err := target.Bursts(t.Context(), 2, 1)
	if err == nil || r.Errors["connection"] != 2 {
		t.Errorf("got %v, %v", r, err)
	}
}

func TestASlowSignerShowsInEveryFigure(t *testing.T) {
	const delay = 30 * time.Millisecond
	f := &fakeSigner{status: http.StatusOK, delay: delay}
	r, err := start(t, f, load(t, "randao", 3)).Closed(t.Context(), 2, 5*delay)
	if err != nil {
		t.Fatal(err)
	}
	if r.P50 < ms(delay) || r.P99 < r.P50 || r.Max < r.P99 || r.PerSecond > 2/delay.Seconds() {
		t.Errorf("a signer that takes %v: %v", delay, r)
	}
}

// TestAtAFixedRateWaitingCounts: over one connection a signer that takes 20 ms
// answers fifty a second. Of a hundred asked within half a second the last waits
// for a second and a half at least, although each was answered within 20 ms of
// being sent.
func TestAtAFixedRateWaitingCounts(t *testing.T) {
	f := &fakeSigner{status: http.StatusOK, delay: 20 * time.Millisecond}
	f.bodies, f.together = map[string][]string{}, map[string]int{}
	server := httptest.NewServer(f)
	defer server.Close()
	target := NewTarget(server.URL, load(t, "randao", 5), 1, nil)
	defer target.Close()
	r, err := target.Open(t.Context(), 200, time.Second/2)
	if err != nil || r.Signed != 100 || f.asked != 100 {
		t.Fatalf("asked %d times: %v, %v", f.asked, r, err)
	}
	if r.Max < 1400 {
		t.Errorf("the last waited for %v ms", r.Max)
	}
}

func TestALoadEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	target := start(t, &fakeSigner{status: http.StatusOK}, load(t, "randao", 1))
	for name, run := range map[string]func() (Result, error){
		"closed": func() (Result, error) { return target.Closed(ctx, 1, time.Hour) },
		"open":   func() (Result, error) { return target.Open(ctx, 1, time.Hour) },
		"bursts": func() (Result, error) { return target.Bursts(ctx, 1, 1000) },
	} {
		if r, err := run(); err == nil || r.Signed != 0 {
			t.Errorf("%s: got %v, %v", name, r, err)
		}
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
