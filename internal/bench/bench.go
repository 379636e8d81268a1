// Package bench loads a signer with what validators ask of it, and says what
// came of it. It drives any URL that speaks the Web3Signer API.
//
// It is made to be fair: bodies are rendered before the clock starts, the time
// of a request is from the moment when it was due, errors are counted and never
// left out of a rate silently, and two signers are compared in rounds that
// alternate, since a machine's speed drifts. The load takes processor time of
// the machine that it runs on; the report says how much.
package bench

import (
	"context"
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
	Kind    Kind

	// FromEpoch is the first epoch that is signed in. Each key signs at most
	// once in each, so the keys must not have signed in it or later.
	FromEpoch eth2.Epoch
}

// Closed is a closed loop: so many connections, each of which asks again as
// soon as it is answered, for so long.
type Closed struct {
	Connections int
	Duration    time.Duration
}

// A Burst is what a slot's start looks like: every key at once, so many times.
// The time of a request is from the burst's start.
type Burst struct {
	Rounds int
}

// A Result is what came of one load on one signer.
type Result struct {
	URL       string         `json:"url"`
	Signed    int            `json:"signed"`
	Seconds   float64        `json:"seconds"`
	PerSecond float64        `json:"signatures_per_second"`
	P50       float64        `json:"p50_ms"`
	P99       float64        `json:"p99_ms"`
	Max       float64        `json:"max_ms"`
	Errors    map[string]int `json:"errors"` // by status, or "connection"
	ClientCPU float64        `json:"client_cpu_seconds"`
}

// A Target is a signer under load.
type Target struct {
	url    string
	client *http.Client
	next   atomic.Int64 // of the requests, in the order of epochs and keys
}

// NewTarget returns the signer at url, to be asked over at most so many
// connections.
func NewTarget(url string, connections int) *Target {
	transport := &http.Transport{
		MaxIdleConns: connections, MaxIdleConnsPerHost: connections, MaxConnsPerHost: connections,
		DisableCompression: true,
	}
	return &Target{url: strings.TrimRight(url, "/"), client: &http.Client{Transport: transport, Timeout: 30 * time.Second}}
}

// Close closes the target's connections.
func (t *Target) Close() { t.client.CloseIdleConnections() }

// Closed runs a closed loop.
func (t *Target) Closed(ctx context.Context, l Load, c Closed) (Result, error) {
	ctx, cancel := context.WithTimeout(ctx, c.Duration)
	defer cancel()
	bodies := newBodies(l)
	return t.measure(func(tally *tally) {
		var workers sync.WaitGroup
		for range c.Connections {
			workers.Go(func() {
				for ctx.Err() == nil {
					i := t.next.Add(1) - 1
					due := time.Now()
					status, err := t.ask(context.WithoutCancel(ctx), l, bodies, i)
					tally.add(time.Since(due), status, err)
				}
			})
		}
		workers.Wait()
	})
}

// Burst asks for every key at once, again and again.
func (t *Target) Burst(ctx context.Context, l Load, b Burst) (Result, error) {
	bodies := newBodies(l)
	return t.measure(func(tally *tally) {
		for range b.Rounds {
			if ctx.Err() != nil {
				return
			}
			first := t.next.Add(int64(len(l.Keys))) - int64(len(l.Keys))
			bodies.render(first, len(l.Keys))
			var asked sync.WaitGroup
			due := time.Now()
			for k := range l.Keys {
				asked.Go(func() {
					status, err := t.ask(ctx, l, bodies, first+int64(k))
					tally.add(time.Since(due), status, err)
				})
			}
			asked.Wait()
		}
	})
}

// measure times run and sums up what it tallied.
func (t *Target) measure(run func(*tally)) (Result, error) {
	var tally tally
	cpu, start := cpuSeconds(), time.Now()
	run(&tally)
	r := tally.result(time.Since(start))
	r.URL, r.ClientCPU = t.url, cpuSeconds()-cpu
	if r.Signed == 0 {
		return r, fmt.Errorf("%s signed nothing: %v (%s)", t.url, r.Errors, tally.said)
	}
	return r, nil
}

// ask asks for the i-th signature and returns the status of the answer, and as
// an error what a refusal said.
func (t *Target) ask(ctx context.Context, l Load, bodies *bodies, i int64) (int, error) {
	pub := l.Keys[i%int64(len(l.Keys))]
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, t.url+"/api/v1/eth2/sign/"+pub.String(), strings.NewReader(bodies.at(i)))
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

// cpuSeconds is what this process has spent.
func cpuSeconds() float64 {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()).Seconds()
}
