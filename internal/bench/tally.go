package bench

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Figures are what came of some requests.
type Figures struct {
	Signed    int            `json:"signed"`
	PerSecond float64        `json:"signatures_per_second"`
	P50       float64        `json:"p50_ms"` // of what was signed, from when it was due
	P99       float64        `json:"p99_ms"`
	Max       float64        `json:"max_ms"`
	Errors    map[string]int `json:"errors"` // by status, or "connection", or "no signature"
}

// A Result is what came of one load on one signer.
type Result struct {
	URL       string  `json:"url"`
	Seconds   float64 `json:"seconds"`
	ClientCPU float64 `json:"client_cpu_seconds"` // that the load itself took
	Figures
	Kinds map[Kind]Figures `json:"kinds"`
}

// A tally counts answers. The zero tally is ready.
type tally struct {
	mu    sync.Mutex // guards what follows
	kinds map[Kind]*counts
	said  string // by the first refusal
}

type counts struct {
	took   []time.Duration // of what was signed
	errors map[string]int
}

func (t *tally) add(kind Kind, took time.Duration, status int, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.kinds == nil {
		t.kinds = map[Kind]*counts{}
	}
	c := t.kinds[kind]
	if c == nil {
		c = &counts{errors: map[string]int{}}
		t.kinds[kind] = c
	}
	if err == nil {
		c.took = append(c.took, took)
		return
	}
	switch status {
	case 0:
		c.errors["connection"]++
	case http.StatusOK:
		c.errors["no signature"]++
	default:
		c.errors[strconv.Itoa(status)]++
	}
	if t.said == "" {
		t.said = err.Error()
	}
}

func (t *tally) result(elapsed time.Duration) Result {
	r := Result{Seconds: elapsed.Seconds(), Kinds: map[Kind]Figures{}}
	all := counts{errors: map[string]int{}}
	for kind, c := range t.kinds {
		all.took = append(all.took, c.took...)
		for status, n := range c.errors {
			all.errors[status] += n
		}
		r.Kinds[kind] = c.figures(elapsed)
	}
	r.Figures = all.figures(elapsed)
	return r
}

func (c *counts) figures(elapsed time.Duration) Figures {
	f := Figures{Signed: len(c.took), Errors: c.errors}
	if f.Signed == 0 {
		return f
	}
	slices.Sort(c.took)
	f.PerSecond = float64(f.Signed) / elapsed.Seconds()
	f.P50, f.P99, f.Max = ms(rank(c.took, 50)), ms(rank(c.took, 99)), ms(c.took[len(c.took)-1])
	return f
}

// rank returns the p-th percentile of sorted by the nearest rank: a value that
// was measured, and never one between two.
func rank(sorted []time.Duration, p int) time.Duration {
	return sorted[(len(sorted)*p+99)/100-1]
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// ErrorText is the errors for a person.
func (f Figures) ErrorText() string {
	if len(f.Errors) == 0 {
		return "none"
	}
	var parts []string
	for _, status := range slices.Sorted(maps.Keys(f.Errors)) {
		parts = append(parts, fmt.Sprintf("%s ×%d", status, f.Errors[status]))
	}
	return strings.Join(parts, ", ")
}
