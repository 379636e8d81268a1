package hostile

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/protolambda/zrnt/eth2/configs"

	"github.com/secure-signer/secure-signer/test/internal/daemon"
	"github.com/secure-signer/secure-signer/test/internal/interop"
	"github.com/secure-signer/secure-signer/test/judge"
)

// flags let keys that arrive sign for the past, as the seeds ask for.
var flags = []string{"--new-key-floor", "none", "--allow", "DEPOSIT,VOLUNTARY_EXIT", "--log-level", "debug"}

const (
	attacked = 8 // keys that the attack signs with
	honest   = 4 // keys of the honest clients
	files    = 1024
	room     = files / 2 // connections that the daemon accepts
)

// A world is a daemon under attack.
type world struct {
	d        *daemon.Daemon
	address  string
	base     string      // of every URL
	tls      *tls.Config // of honest clients; nil: plain HTTP
	token    string
	keys     []interop.Key // those that are attacked, then the honest ones
	contract contract

	mu     sync.Mutex // guards signed
	signed map[signature]judge.Signed
}

// A signature is told from another by all that makes it.
type signature struct {
	key       [48]byte
	signature [96]byte
}

// newWorld starts a daemon with all keys.
func newWorld(t *testing.T, more ...string) *world {
	t.Helper()
	f := daemon.Init(t, mainnet)
	w := &world{keys: interop.Keys(attacked + honest), contract: newContract(t), signed: map[signature]judge.Signed{}}
	w.d = daemon.Start(t, f, daemon.Options{Flags: flags, Files: files})
	w.d.Import(t, w.keys, "")
	if len(more) > 0 { // keys come in by plain HTTP
		if code := w.d.Stop(); code != 0 {
			t.Fatalf("it stops with exit %d\n%s", code, w.d.Log())
		}
		w.d = daemon.Start(t, f, daemon.Options{Flags: append(more, flags...), Files: files})
	}
	w.address, w.base = strings.TrimPrefix(w.d.URL, "http://"), w.d.URL
	token, err := os.ReadFile(filepath.Join(f.Path, "api-token.txt"))
	if err != nil {
		t.Fatal(err)
	}
	w.token = strings.TrimSpace(string(token))
	return w
}

// keep remembers what was signed, for the judge.
func (w *world) keep(key [48]byte, body, sig string) {
	s := signature{key: key}
	copy(s.signature[:], sig)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.signed[s] = judge.Signed{Key: key, Request: []byte(body), Signature: s.signature}
}

// judge holds all that was signed against itself.
func (w *world) judge(t *testing.T) judge.Verdict {
	t.Helper()
	var all []judge.Signed
	for _, s := range w.signed {
		all = append(all, s)
	}
	verdict, err := judge.Judge(configs.Mainnet, all)
	if err != nil {
		t.Errorf("the judge cannot read what was signed: %v", err)
	}
	for _, c := range verdict.Crimes {
		t.Errorf("slashable: %v\n%s\n%s", c, all[c.First].Request, all[c.Second].Request)
	}
	return verdict
}

// slot is how long an honest client goes on asking for one duty.
const slot = 12 * time.Second

// served counts what became of the honest clients' duties.
type served struct {
	mu       sync.Mutex
	duties   int
	again    int // tries after a 503 or a connection that broke
	worst    time.Duration
	newcomer time.Duration // the worst of a client that connects for each request
	failures []string
}

func (s *served) add(began time.Time, tries int, newcomer bool, failure string) {
	took := time.Since(began)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.duties++
	s.again += tries - 1
	if newcomer {
		s.newcomer = max(s.newcomer, took)
	} else {
		s.worst = max(s.worst, took)
	}
	if failure != "" {
		s.failures = append(s.failures, failure)
	}
}

func (s *served) String() string {
	return fmt.Sprintf("%d duties of honest clients, worst after %v on a kept connection and %v on a new one, %d tries again",
		s.duties, s.worst.Round(time.Millisecond), s.newcomer.Round(time.Millisecond), s.again)
}

// serve runs honest clients until ctx is done: each key has one that attests a
// few times a second, and one client connects anew each time.
func (w *world) serve(ctx context.Context, s *served) (wait func()) {
	var clients sync.WaitGroup
	for i, key := range w.keys[attacked:] {
		clients.Go(func() {
			client := w.client(false)
			defer client.CloseIdleConnections()
			for target := uint64(412_000); ctx.Err() == nil; target++ {
				body := attestation(target, i)
				s.duty(false, func() error { return w.attest(client, key, body) })
				time.Sleep(250 * time.Millisecond)
			}
		})
	}
	clients.Go(func() {
		for ctx.Err() == nil {
			s.duty(true, func() error {
				answer, err := w.client(true).Get(w.base + "/api/v1/eth2/publicKeys")
				if err != nil {
					return err
				}
				defer answer.Body.Close()
				text, err := io.ReadAll(answer.Body)
				if err == nil && (answer.StatusCode != http.StatusOK || !bytes.Contains(text, []byte(w.keys[attacked].Hex()))) {
					err = fmt.Errorf("%s %.200s", answer.Status, text)
				}
				return err
			})
			time.Sleep(100 * time.Millisecond)
		}
	})
	return clients.Wait
}

func (w *world) client(newcomer bool) *http.Client {
	return &http.Client{Transport: &http.Transport{TLSClientConfig: w.tls, DisableKeepAlives: newcomer}, Timeout: slot}
}

// duty tries until it succeeds, for a slot.
func (s *served) duty(newcomer bool, try func() error) {
	began, tries := time.Now(), 0
	for {
		tries++
		err := try()
		if err == nil {
			s.add(began, tries, newcomer, "")
			return
		}
		if time.Since(began) > slot {
			s.add(began, tries, newcomer, err.Error())
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func (w *world) attest(client *http.Client, key interop.Key, body string) error {
	ctx, cancel := context.WithTimeout(context.Background(), slot)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, w.base+"/api/v1/eth2/sign/"+key.Hex(), strings.NewReader(body))
	if err != nil {
		return err
	}
	answer, err := client.Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return err
	}
	sig := signatureIn(text)
	if answer.StatusCode != http.StatusOK || sig == "" {
		return fmt.Errorf("%s %.200s", answer.Status, text)
	}
	w.keep(key.Public, body, sig)
	return nil
}

// A reading is what the daemon says of itself.
type reading struct{ goroutines, descriptors int }

func (w *world) reading(t *testing.T) reading {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}
	answer, err := client.Get(w.d.Metrics)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	value := func(name string) int {
		for line := range strings.Lines(string(text)) {
			if v, ok := strings.CutPrefix(line, name+" "); ok {
				n, err := strconv.Atoi(strings.TrimSpace(v))
				if err != nil {
					t.Fatalf("%s: %v", line, err)
				}
				return n
			}
		}
		t.Fatalf("no %s among the metrics", name)
		return 0
	}
	return reading{value("go_goroutines"), value("process_open_fds")}
}

// settles waits until nothing is left of the attack.
func (w *world) settles(t *testing.T, before reading) reading {
	t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(200 * time.Millisecond) {
		now := w.reading(t)
		if now.goroutines <= before.goroutines && now.descriptors <= before.descriptors {
			return now
		}
		if time.Now().After(deadline) {
			t.Errorf("left over: %+v, before the attack %+v", now, before)
			return now
		}
	}
}

// memory reads a line of /proc/PID/status, in MiB.
func (w *world) memory(t *testing.T, line string) int {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", w.d.PID()))
	if err != nil {
		t.Fatal(err)
	}
	for l := range strings.Lines(string(text)) {
		if v, ok := strings.CutPrefix(l, line+":"); ok {
			kib, err := strconv.Atoi(strings.TrimSuffix(strings.TrimSpace(v), " kB"))
			if err != nil {
				t.Fatal(err)
			}
			return kib >> 10
		}
	}
	t.Fatalf("no %s in /proc", line)
	return 0
}
