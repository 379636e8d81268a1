package overload_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/secure-signer/secure-signer/test/internal/interop"
)

// A crowd is the validators of a signer under load.
type crowd struct {
	url    string
	keys   []interop.Key
	client [kinds]*http.Client

	duties [kinds]chan *duty // of keys that wait for no answer
	best   float64           // the most that the signer has signed in a second
}

// A duty is what a key does of one kind, one message after the other.
type duty struct {
	kind kind
	key  interop.Key
	n    uint64
}

// An answer is what came of a message.
type answer struct {
	kind   kind
	key    interop.Key
	n      uint64
	began  time.Time
	status int
	reason string
	retry  string // the header Retry-After
	took   time.Duration
	gone   bool // the client hung up
	err    error
}

// connections are so many for each kind, so that none waits for those of another,
// and in all less than the 8,192 that the signer takes.
var connections = [kinds]int{reveal: 1400, block: 400, vote: 1000, aggregate: 2000, registration: 3300}

func newCrowd(t *testing.T, url string, keys []interop.Key) *crowd {
	t.Helper()
	c := &crowd{url: url, keys: keys}
	for k := range kinds {
		transport := &http.Transport{MaxConnsPerHost: connections[k], MaxIdleConnsPerHost: connections[k]}
		c.client[k] = &http.Client{Transport: transport}
		t.Cleanup(transport.CloseIdleConnections)
		c.duties[k] = make(chan *duty, len(keys))
		for _, key := range keys {
			c.duties[k] <- &duty{kind: kind(k), key: key}
		}
	}
	return c
}

// ask sends the next message of a kind that is due by some key. The client hangs
// up when its patience ends, if there is an end to it.
func (c *crowd) ask(ctx context.Context, k kind, patience time.Duration) answer {
	d := <-c.duties[k]
	key, n := d.key, d.n
	d.n++
	if !k.slashable() {
		c.duties[k] <- d // it may ask again at once
	}
	began := time.Now()
	if patience > 0 {
		var hangUp context.CancelFunc
		ctx, hangUp = context.WithTimeout(ctx, patience)
		defer hangUp()
	}
	a := c.post(ctx, k, key, k.body(key, n, 0))
	a.n, a.began, a.took = n, began, time.Since(began)
	if k.slashable() {
		c.duties[k] <- d
	}
	return a
}

func (c *crowd) post(ctx context.Context, k kind, key interop.Key, body string) answer {
	a := answer{kind: k, key: key}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url+"/api/v1/eth2/sign/"+key.Hex(), strings.NewReader(body))
	if err != nil {
		a.err = err
		return a
	}
	response, err := c.client[k].Do(request)
	if err != nil {
		a.err, a.gone = err, errors.Is(err, context.DeadlineExceeded)
		return a
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	a.status, a.retry, a.err = response.StatusCode, response.Header.Get("Retry-After"), err
	if a.status != http.StatusOK {
		var refusal struct{ Reason string }
		if err := json.Unmarshal(text, &refusal); err != nil {
			a.err = fmt.Errorf("%w in %q", err, text)
		}
		a.reason = refusal.Reason
	}
	return a
}

// capacity is how many votes a second the signer can sign.
func (c *crowd) capacity(t *testing.T) float64 {
	t.Helper()
	const long = 1500 * time.Millisecond
	var mu sync.Mutex
	signed := 0
	began := time.Now()
	var all sync.WaitGroup
	for range 2 * 64 {
		all.Go(func() {
			for time.Since(began) < long {
				a := c.ask(t.Context(), vote, 0)
				mu.Lock()
				if a.status == http.StatusOK {
					signed++
				}
				mu.Unlock()
			}
		})
	}
	all.Wait()
	return float64(signed) / time.Since(began).Seconds()
}

// A load is how many of a hundred requests are of each kind, and whether most
// clients of votes hang up soon.
type load struct {
	percent  [kinds]int
	patience time.Duration // 0: for ever
}

// run asks at a rate, however fast the answers come, and returns every answer.
func (c *crowd) run(t *testing.T, l load, perSecond float64, long time.Duration) []answer {
	t.Helper()
	var mu sync.Mutex
	var answers []answer
	var gained [kinds]int
	var all sync.WaitGroup
	began := time.Now()
	for i := range int(perSecond * long.Seconds()) {
		next := 0
		for k := range kinds {
			if gained[k] += l.percent[k]; gained[k] > gained[next] {
				next = k
			}
		}
		gained[next] -= 100
		time.Sleep(time.Until(began.Add(time.Duration(float64(i) / perSecond * float64(time.Second)))))
		all.Go(func() {
			patience := l.patience
			if kind(next) != vote || i%3 == 0 {
				patience = 0
			}
			a := c.ask(t.Context(), kind(next), patience)
			mu.Lock()
			defer mu.Unlock()
			answers = append(answers, a)
		})
	}
	all.Wait()
	return answers
}

// A figure is what came of the requests of one kind.
type figure struct {
	asked, signed, shed, gone int
	took                      []time.Duration // of what was signed
}

// figures counts, and fails the test for any answer that is neither a signature
// nor a refusal that tells the client to come back.
func figures(t *testing.T, answers []answer) (all [kinds]figure) {
	t.Helper()
	for _, a := range answers {
		f := &all[a.kind]
		f.asked++
		switch {
		case a.gone:
			f.gone++
		case a.err != nil:
			t.Errorf("%v: %v", a.kind, a.err)
		case a.status == http.StatusOK:
			f.signed++
			f.took = append(f.took, a.took)
		case a.status == http.StatusServiceUnavailable && a.reason == "overloaded" && a.retry != "":
			f.shed++
		default:
			t.Errorf("%v: %d %s, Retry-After %q", a.kind, a.status, a.reason, a.retry)
		}
	}
	for k := range all {
		slices.Sort(all[k].took)
	}
	return all
}

func (f figure) String() string {
	s := fmt.Sprintf("asked %5d, signed %5d, turned away %5d, hung up %4d", f.asked, f.signed, f.shed, f.gone)
	if n := len(f.took); n > 0 {
		s += fmt.Sprintf(", p50 %v, p99 %v, max %v", round(f.took[n/2]), round(f.took[n*99/100]), round(f.took[n-1]))
	}
	return s
}

func round(d time.Duration) time.Duration { return d.Round(100 * time.Microsecond) }

// shedShare is the share of those asked that were turned away.
func (f figure) shedShare() float64 { return float64(f.shed) / float64(max(f.asked, 1)) }
