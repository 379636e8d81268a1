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

// A tally counts answers. The zero tally is ready.
type tally struct {
	mu     sync.Mutex
	took   []time.Duration // of what was signed
	errors map[string]int
	said   string // by the first refusal
}

func (t *tally) add(took time.Duration, status int, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if err == nil {
		t.took = append(t.took, took)
		return
	}
	if t.errors == nil {
		t.errors = map[string]int{}
	}
	switch status {
	case 0:
		t.errors["connection"]++
	case http.StatusOK:
		t.errors["no signature"]++
	default:
		t.errors[strconv.Itoa(status)]++
	}
	if t.said == "" {
		t.said = err.Error()
	}
}

func (t *tally) result(elapsed time.Duration) Result {
	slices.Sort(t.took)
	r := Result{Signed: len(t.took), Seconds: elapsed.Seconds(), Errors: t.errors}
	if r.Errors == nil {
		r.Errors = map[string]int{}
	}
	if r.Signed > 0 {
		r.PerSecond = float64(r.Signed) / r.Seconds
		r.P50, r.P99, r.Max = ms(rank(t.took, 50)), ms(rank(t.took, 99)), ms(t.took[len(t.took)-1])
	}
	return r
}

// rank returns the p-th percentile of sorted by the nearest rank: a value that
// was measured, and never one between two.
func rank(sorted []time.Duration, p int) time.Duration {
	return sorted[(len(sorted)*p+99)/100-1]
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// String is the result for a person.
func (r Result) String() string {
	errs := "none"
	if len(r.Errors) > 0 {
		var parts []string
		for _, status := range slices.Sorted(maps.Keys(r.Errors)) {
			parts = append(parts, fmt.Sprintf("%s ×%d", status, r.Errors[status]))
		}
		errs = strings.Join(parts, ", ")
	}
	return fmt.Sprintf("%s: %.0f signatures/s (%d in %.2f s), p50 %.2f ms, p99 %.2f ms, max %.2f ms, errors %s, client CPU %.2f s",
		r.URL, r.PerSecond, r.Signed, r.Seconds, r.P50, r.P99, r.Max, errs, r.ClientCPU)
}
