// Package bench loads a signer with what validators ask of it, and says what
// came of it. It drives any URL that speaks the Web3Signer API.
//
// It is made to be fair: a body is rendered before its request is due, the time
// of a request is from the moment when it was due, errors are counted by status
// and never left out of a rate silently, two signers are asked for the same, and
// the percentiles are values that were measured. The load takes processor time
// of the machine that it runs on; the report says how much.
//
// It does not verify signatures, and sends no signing_root: computing either
// would take as long as signing.
package bench

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/secure-signer/secure-signer/bls"
	"github.com/secure-signer/secure-signer/eth2"
)

// A Load says what to ask for.
type Load struct {
	Network *eth2.Network
	Keys    []bls.PublicKey // asked in turn
	Mix     Mix

	// FromEpoch is the first epoch that is signed in. Each key signs once of a
	// kind in each, so the keys must not have signed in it or later.
	FromEpoch eth2.Epoch
}

// A Target is a signer under load.
type Target struct {
	url    string
	client *http.Client
	load   Load
	bodies *writer

	pattern  []Kind
	next     atomic.Uint64 // of the requests, in the order of pattern
	kinds    map[Kind]*turns
	answered atomic.Int64
}

// turns is whose turn it is to ask for a kind.
type turns struct {
	next atomic.Uint64
	keys []turn
}

// A turn is what one key asks for next.
type turn struct {
	asking sync.Mutex // held until the answer, if the kind is ordered: no validator votes twice at once
	round  atomic.Uint64
}

// NewTarget returns the signer at url, to be asked for l over at most so many
// connections, and if its address is https by what secured says: nil is as this
// machine does.
func NewTarget(url string, l Load, connections int, secured *tls.Config) *Target {
	transport := &http.Transport{
		MaxIdleConns: connections, MaxIdleConnsPerHost: connections, MaxConnsPerHost: connections,
		DisableCompression: true, TLSClientConfig: secured,
	}
	t := &Target{
		url: strings.TrimRight(url, "/"), client: &http.Client{Transport: transport, Timeout: 30 * time.Second},
		load: l, bodies: newWriter(l), pattern: l.Mix.pattern(), kinds: map[Kind]*turns{},
	}
	for _, s := range l.Mix {
		t.kinds[s.Kind] = &turns{keys: make([]turn, len(l.Keys))}
	}
	return t
}

// URL is where the signer is.
func (t *Target) URL() string { return t.url }

// Answered is how many requests have been answered so far, in all loads.
func (t *Target) Answered() int { return int(t.answered.Load()) }

// Close closes the target's connections.
func (t *Target) Close() { t.client.CloseIdleConnections() }

// A request is one that is ready to be sent.
type request struct {
	kind Kind
	path string
	body string
	done func() // lets the next one of the same key go on
}

// ready makes the next request. Of a kind that is ordered it waits until the
// key's last one is answered.
func (t *Target) ready() request {
	kind := t.pattern[(t.next.Add(1)-1)%uint64(len(t.pattern))]
	turns := t.kinds[kind]
	key := int((turns.next.Add(1) - 1) % uint64(len(turns.keys)))
	turn := &turns.keys[key]
	done := func() {}
	if kind.ordered() {
		turn.asking.Lock()
		done = turn.asking.Unlock
	}
	return request{
		kind: kind, done: done,
		path: "/api/v1/eth2/sign/" + t.load.Keys[key].String(),
		body: t.bodies.body(kind, key, turn.round.Add(1)-1),
	}
}

// ask sends a request and counts the answer. Its time began when it was due.
func (t *Target) ask(ctx context.Context, r request, due time.Time, to *tally) {
	defer r.done()
	status, err := t.post(ctx, r)
	t.answered.Add(1)
	to.add(r.kind, time.Since(due), status, err)
}

// post returns the status of the answer, and as an error what a refusal said.
func (t *Target) post(ctx context.Context, r request) (int, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, t.url+r.path, strings.NewReader(r.body))
	if err != nil {
		return 0, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json")
	resp, err := t.client.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	if err != nil {
		return 0, err
	}
	if resp.StatusCode != http.StatusOK {
		return resp.StatusCode, fmt.Errorf("%.200s", answer)
	}
	if !strings.Contains(string(answer), "0x") {
		return http.StatusOK, fmt.Errorf("no signature in %.200q", answer)
	}
	return http.StatusOK, nil
}

// measure times run and sums up what it tallied. If nothing was signed that is
// an error.
func (t *Target) measure(run func(*tally)) (Result, error) {
	var tally tally
	cpu, start := cpuSeconds(), time.Now()
	run(&tally)
	r := tally.result(time.Since(start))
	r.URL, r.ClientCPU = t.url, cpuSeconds()-cpu
	if r.Signed == 0 {
		return r, fmt.Errorf("%s signed nothing: %s (%s)", t.url, r.ErrorText(), tally.said)
	}
	return r, nil
}

// cpuSeconds is what this process has spent.
func cpuSeconds() float64 {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()).Seconds()
}
