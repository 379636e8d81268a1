package race

import (
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/protolambda/zrnt/eth2/configs"

	"github.com/secure-signer/secure-signer/test/internal/daemon"
	"github.com/secure-signer/secure-signer/test/internal/interop"
	"github.com/secure-signer/secure-signer/test/judge"
	"github.com/secure-signer/secure-signer/test/linear"
)

func TestMain(m *testing.M) { os.Exit(daemon.Main(m)) }

const (
	connections = 512
	contended   = 3 // keys that all connections fight for
	variants    = 3 // messages of one duty that conflict
	operators   = 12
)

var flags = []string{"--max-future-epochs", "off", "--new-key-floor", "none"}

// rounds is how many requests each connection sends.
func rounds() int {
	if os.Getenv("SECURE_SIGNER_LONG") != "" {
		return 100
	}
	return 6
}

func TestHundredsOfConnectionsRaceForAFewKeys(t *testing.T) {
	keys := interop.Keys(contended + 1)
	d := daemon.Start(t, daemon.Init(t, daemon.Network{Name: "mainnet"}), daemon.Options{Race: true, Flags: flags})
	d.Import(t, keys, "")

	w := &world{d: d, keys: keys[:contended], began: time.Now(), signed: map[signature]judge.Signed{}}
	for i := range w.keys {
		w.next = append(w.next, new(atomic.Uint64))
		w.next[i].Store(500_000)
	}
	stop := bystanders(t, d)
	w.contend(t)
	duties := w.together(t, keys[contended])
	stop()

	result, draw := linear.CheckSigner(w.history, 2*time.Minute)
	if result != porcupine.Ok {
		t.Errorf("the search for an order ended with %q, see %s", result, page(t, draw))
	}
	verdict, err := judge.Judge(configs.Mainnet, slices.Collect(maps.Values(w.signed)))
	if err != nil {
		t.Fatal(err)
	}
	for _, crime := range verdict.Crimes {
		t.Errorf("slashable: %v", crime)
	}
	// A daemon whose race detector found something ends with 66.
	if code := d.Stop(); code != 0 || strings.Contains(d.Log(), "DATA RACE") {
		t.Errorf("exit %d\n%s", code, reports(d.Log()))
	}
	w.report(t, verdict, duties)
}

// A world is what the connections ask for and what they get.
type world struct {
	d     *daemon.Daemon
	keys  []interop.Key
	next  []*atomic.Uint64 // by key: the epoch, and slot, that all ask for
	began time.Time

	mu      sync.Mutex // guards what follows
	history []linear.Asked
	labels  map[string]int
	signed  map[signature]judge.Signed
}

// A signature is told from another by all that makes it.
type signature struct {
	key       [48]byte
	signature [96]byte
}

// contend lets every connection ask for duties: most of the duty that all others
// ask for at that moment, in one of several variants.
func (w *world) contend(t *testing.T) {
	w.labels = map[string]int{}
	start := make(chan struct{})
	var all sync.WaitGroup
	for c := range connections {
		all.Go(func() {
			client := &http.Client{Transport: &http.Transport{}, Timeout: 2 * time.Minute}
			defer client.CloseIdleConnections()
			<-start
			for round := range rounds() {
				duty := w.duty(c, round)
				if err := w.ask(client, c, duty); err != nil {
					t.Error(err)
					return
				}
				w.next[duty.Key].CompareAndSwap(duty.Target, duty.Target+1)
			}
		})
	}
	close(start)
	all.Wait()
}

// duty is what connection c asks for: a vote, a vote that would surround the
// last ones, or a block.
func (w *world) duty(c, round int) linear.Duty {
	key := c % len(w.keys)
	n := w.next[key].Load()
	d := linear.Duty{Key: key, Target: n, Source: n - 1, Root: c / len(w.keys) % variants}
	switch (c/len(w.keys)/variants + round) % 4 {
	case 0:
		d.Block, d.Source = true, 0
	case 1:
		d.Source = n - 3
	}
	return d
}

const forkInfo = `"fork_info":{"fork":{"previous_version":"0x05000000","current_version":"0x06000000","epoch":"411392"},` +
	`"genesis_validators_root":"0x4b363db94e286120d76eb905340fdd4e54bfe9f06bf33ff6cf5ad27f511bfe95"}`

// body is the request for a duty.
func body(d linear.Duty) string {
	root := func(n int) string { return fmt.Sprintf("0x%064x", n) }
	if d.Block {
		return fmt.Sprintf(`{"type":"BLOCK_V2",%s,"beacon_block":{"version":"FULU","block_header":{"slot":"%d","proposer_index":"7",`+
			`"parent_root":%q,"state_root":%q,"body_root":%q}}}`, forkInfo, d.Target*32, root(0), root(0), root(d.Root))
	}
	return fmt.Sprintf(`{"type":"ATTESTATION",%s,"attestation":{"slot":"%d","index":"0","beacon_block_root":%q,`+
		`"source":{"epoch":"%d","root":%q},"target":{"epoch":"%d","root":%q}}}`,
		forkInfo, d.Target*32, root(d.Root), d.Source, root(0), d.Target, root(0))
}

// ask sends one request and keeps what became of it. The error is for what no
// client should see.
func (w *world) ask(client *http.Client, c int, d linear.Duty) error {
	text := body(d)
	began := time.Since(w.began)
	answer, err := post(client, w.d.URL, w.keys[d.Key], text)
	asked := linear.Asked{Duty: d, Client: c, Began: began, Ended: time.Since(w.began)}
	if err != nil {
		return err
	}
	label := fmt.Sprintf("%d %s", answer.Status, answer.Reason())
	w.mu.Lock()
	defer w.mu.Unlock()
	w.labels[label]++
	switch {
	case answer.Status == http.StatusOK:
		if err := w.keep(w.keys[d.Key], text, answer); err != nil {
			return err
		}
	case answer.Status == http.StatusPreconditionFailed:
		asked.Outcome = linear.Refused
	case answer.Reason() == "overloaded": // before anything was decided
		return nil
	default:
		return fmt.Errorf("%s %s", label, answer.Body)
	}
	w.history = append(w.history, asked)
	return nil
}

// keep remembers a signature for the judge. It is called with the lock held.
func (w *world) keep(key interop.Key, text string, answer daemon.Answer) error {
	s := signature{key: key.Public}
	sig, err := answer.Signature()
	if err == nil {
		_, err = hex.Decode(s.signature[:], []byte(strings.TrimPrefix(sig, "0x")))
	}
	w.signed[s] = judge.Signed{Key: key.Public, Request: []byte(text), Signature: s.signature}
	return err
}

func post(client *http.Client, url string, key interop.Key, text string) (daemon.Answer, error) {
	r, err := client.Post(url+"/api/v1/eth2/sign/"+key.Hex(), "application/json", strings.NewReader(text))
	if err != nil {
		return daemon.Answer{}, err
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	return daemon.Answer{Status: r.StatusCode, ContentType: r.Header.Get("Content-Type"), Body: string(b)}, err
}

// together lets twelve clients ask for the same message at the same moment, as
// the operators of an SSV cluster do. All must get the same signature.
func (w *world) together(t *testing.T, key interop.Key) (duties int) {
	clients := make([]*http.Client, operators)
	for i := range clients {
		clients[i] = &http.Client{Transport: &http.Transport{}}
		defer clients[i].CloseIdleConnections()
	}
	for duties = range 40 {
		text := body(linear.Duty{Block: duties%4 == 0, Source: uint64(499_999 + duties), Target: uint64(500_000 + duties)})
		answers := make([]daemon.Answer, operators)
		start := make(chan struct{})
		var all sync.WaitGroup
		for i, client := range clients {
			all.Go(func() {
				<-start
				var err error
				if answers[i], err = post(client, w.d.URL, key, text); err != nil {
					t.Error(err)
				}
			})
		}
		close(start)
		all.Wait()
		for _, a := range answers {
			if a.Status != http.StatusOK || a.Body != answers[0].Body {
				t.Errorf("duty %d: %d %s and %s", duties, a.Status, a.Body, answers[0].Body)
			}
		}
		if t.Failed() {
			return duties
		}
		if err := w.keep(key, text, answers[0]); err != nil {
			t.Error(err)
		}
	}
	return duties + 1
}

// bystanders ask for everything else that a daemon serves, until stop is called.
func bystanders(t *testing.T, d *daemon.Daemon) (stop func()) {
	done := make(chan struct{})
	var all sync.WaitGroup
	repeat := func(ask func()) {
		all.Go(func() {
			for {
				select {
				case <-done:
					return
				case <-time.After(100 * time.Millisecond):
					ask()
				}
			}
		})
	}
	get := func(url string) {
		r, err := http.Get(url)
		if err != nil {
			t.Error(err)
			return
		}
		defer r.Body.Close()
		if _, err := io.Copy(io.Discard, r.Body); err != nil || r.StatusCode != http.StatusOK {
			t.Errorf("%s: %s, %v", url, r.Status, err)
		}
	}
	repeat(func() { get(d.URL + "/api/v1/eth2/publicKeys") })
	repeat(func() { get(d.URL + "/healthcheck") })
	repeat(func() { get(d.Metrics) })
	come := interop.New(50)
	repeat(func() { // a key that comes and goes
		keystore := map[string][]string{"keystores": {come.Keystore("p")}, "passwords": {"p"}}
		var answer struct{ Data []struct{ Status string } }
		d.Keymanager(t, http.MethodPost, keystore, &answer)
		d.Keymanager(t, http.MethodGet, nil, &answer)
		d.Keymanager(t, http.MethodDelete, map[string][]string{"pubkeys": {come.Hex()}}, &answer)
	})
	return func() {
		close(done)
		all.Wait()
	}
}

// report says what was raced for, and fails if that was little.
func (w *world) report(t *testing.T, verdict judge.Verdict, duties int) {
	t.Helper()
	signed := map[linear.Duty]bool{}
	for _, a := range w.history {
		if a.Outcome == linear.Signed {
			signed[a.Duty] = true
		}
	}
	conflicts, again := 0, 0
	for _, a := range w.history {
		switch {
		case a.Outcome == linear.Refused && conflictsWithOne(a.Duty, signed):
			conflicts++
		case a.Outcome == linear.Signed:
			again++
		}
	}
	again -= len(signed)
	t.Logf("%d connections, %d requests in %v: %v", connections, len(w.history), time.Since(w.began).Round(time.Second), w.labels)
	t.Logf("%d conflicts attempted and refused; %d identical messages signed again; %d duties of %d clients at once",
		conflicts, again, duties, operators)
	t.Logf("judged: %d attestations, %d blocks, %d conflicts", verdict.Attestations, verdict.Blocks, len(verdict.Crimes))
	if conflicts < len(w.history)/4 || again < len(w.history)/20 || verdict.Attestations == 0 || verdict.Blocks == 0 {
		t.Error("aimed badly: too few conflicts or identical messages")
	}
}

// conflictsWithOne tells whether d could be held against one that was signed.
func conflictsWithOne(d linear.Duty, signed map[linear.Duty]bool) bool {
	for s := range signed {
		if d.Key != s.Key || d.Block != s.Block {
			continue
		}
		surrounds := d.Source < s.Source && s.Target < d.Target || s.Source < d.Source && d.Target < s.Target
		if d.Target == s.Target && d != s || !d.Block && surrounds {
			return true
		}
	}
	return false
}

// reports are what the race detector wrote, without the log between.
func reports(log string) string {
	var b strings.Builder
	for line := range strings.Lines(log) {
		if !strings.HasPrefix(line, "time=") {
			b.WriteString(line)
		}
	}
	return b.String()
}

// page writes the drawing where it outlives the test.
func page(t *testing.T, draw func(io.Writer) error) string {
	t.Helper()
	f, err := os.CreateTemp("", "race-*.html")
	if err != nil {
		t.Fatal(err)
	}
	if err := draw(f); err != nil {
		t.Error(err)
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	return f.Name()
}
