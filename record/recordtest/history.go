package recordtest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/secure-signer/secure-signer/record"
)

// A Method of record.Store that a History knows.
type Method int

const (
	Load Method = iota
	Create
	Replace
)

func (m Method) String() string { return [...]string{"load", "create", "replace"}[m] }

// A Call is one call of a store and its answer.
type Call struct {
	Client  int
	Method  Method
	Key     record.Key
	Old     record.Version // Replace
	Value   string         // asked for by Create and Replace, found by Load
	Retry   bool           // Replace: Value is what Old was loaded with
	Version record.Version // found by Load
	Err     error          // nil, or one that says for certain that nothing has changed

	// Unknown says that the call may have taken effect, at any time after Began
	// or never. Ended is then math.MaxInt64.
	Unknown      bool
	Began, Ended int64 // ns on one clock
}

// A History is what clients have seen of a store.
type History []Call

// A Hammer calls a store from several clients at once, on few keys, so that they
// get in each other's way.
type Hammer struct {
	Clients, Calls, Keys int
	// Impatience is the chance that a call's context ends while it waits.
	Impatience float64
	Seed       uint64
}

// Strike hammers the store that current returns, which may change meanwhile, and
// returns what happened.
func (h Hammer) Strike(ctx context.Context, current func() record.Store) History {
	var (
		wg        sync.WaitGroup
		histories = make([]History, h.Clients)
		start     = time.Now()
	)
	for i := range h.Clients {
		wg.Go(func() {
			c := client{Hammer: h, id: i, rand: rand.New(rand.NewPCG(h.Seed, uint64(i))), start: start, known: make(map[record.Key]record.Record)}
			for range h.Calls {
				call := c.call(ctx, current())
				histories[i] = append(histories[i], call)
				if call.Unknown {
					time.Sleep(time.Millisecond) // the store may be about to be reopened
				}
			}
		})
	}
	wg.Wait()
	return slices.Concat(histories...)
}

type client struct {
	Hammer
	id    int
	rand  *rand.Rand
	start time.Time
	calls int
	known map[record.Key]record.Record // as last loaded
}

func (c *client) call(ctx context.Context, s record.Store) Call {
	if c.rand.Float64() < c.Impatience {
		impatient, cancel := context.WithTimeout(ctx, time.Duration(c.rand.IntN(300))*time.Microsecond)
		defer cancel()
		ctx = impatient
	}
	c.calls++
	call := Call{Client: c.id, Key: record.Key(fmt.Sprint("key ", c.rand.IntN(c.Keys)))}
	known, ok := c.known[call.Key]
	call.Value = fmt.Sprintf("client %d call %d", c.id, c.calls)
	switch r := c.rand.IntN(10); {
	case r < 4:
		call.Method = Load
	case r < 5 || !ok:
		call.Method = Create
	case r < 6: // an identical retry
		call.Method, call.Old, call.Value, call.Retry = Replace, known.Version, string(known.Value), true
	default:
		call.Method, call.Old = Replace, known.Version
	}
	c.do(ctx, s, &call)
	if call.Err == nil && !call.Unknown && call.Method == Load {
		c.known[call.Key] = record.Record{Version: call.Version, Value: []byte(call.Value)}
	}
	return call
}

func (c *client) do(ctx context.Context, s record.Store, call *Call) {
	call.Began = int64(time.Since(c.start))
	switch call.Method {
	case Load:
		var r record.Record
		r, call.Err = s.Load(ctx, call.Key)
		call.Version, call.Value = r.Version, string(r.Value)
	case Create:
		call.Err = s.Create(ctx, call.Key, []byte(call.Value))
	case Replace:
		call.Err = s.Replace(ctx, call.Key, call.Old, []byte(call.Value))
	}
	call.Ended = int64(time.Since(c.start))
	for _, certain := range []error{nil, record.ErrNotFound, record.ErrExists, record.ErrConflict} {
		if errors.Is(call.Err, certain) {
			return
		}
	}
	call.Unknown, call.Ended = true, math.MaxInt64
}

// Check returns an error if the history breaks one of the conditions that every
// linearizable one meets: a version of a key has one value, which somebody asked
// for, and no call finds an older version than had been seen before it began.
func (h History) Check() error {
	asked := make(map[string]bool)
	for _, c := range h {
		asked[c.Value] = asked[c.Value] || c.Method != Load
	}
	type version struct {
		key record.Key
		n   record.Version
	}
	values := make(map[version]string)
	for _, c := range h {
		_, n, ok := c.saw()
		if !ok || n == 0 {
			continue
		}
		v := version{c.Key, n}
		if other, known := values[v]; known && other != c.Value {
			return fmt.Errorf("%q has two values at version %d: %q and %q", v.key, v.n, other, c.Value)
		}
		if !asked[c.Value] {
			return fmt.Errorf("%q has a value that nobody asked for: %q", v.key, c.Value)
		}
		values[v] = c.Value
	}
	return h.checkOrder()
}

// checkOrder walks through the calls as they began, and beside them as they
// ended.
func (h History) checkOrder() error {
	began := slices.SortedFunc(slices.Values(h), func(a, b Call) int { return cmp.Compare(a.Began, b.Began) })
	ended := slices.SortedFunc(slices.Values(h), func(a, b Call) int { return cmp.Compare(a.Ended, b.Ended) })
	seen := make(map[record.Key]record.Version)
	for _, c := range began {
		for ; ended[0].Ended < c.Began; ended = ended[1:] {
			if _, after, ok := ended[0].saw(); ok {
				seen[ended[0].Key] = max(seen[ended[0].Key], after)
			}
		}
		if before, _, ok := c.saw(); ok && before < seen[c.Key] {
			return fmt.Errorf("client %d: %v of %q found version %d, but %d had been seen before", c.Client, c.Method, c.Key, before, seen[c.Key])
		}
	}
	return nil
}

// saw returns the version that a call must have found, and the one that held
// Value when it had been made, 0 for none; or false, if the answer does not tell.
func (c Call) saw() (before, after record.Version, ok bool) {
	switch {
	case c.Unknown, c.Err != nil && !errors.Is(c.Err, record.ErrNotFound):
		return 0, 0, false
	case c.Err != nil:
		return 0, 0, true
	case c.Method == Load:
		return c.Version, c.Version, true
	case c.Method == Create:
		return 0, 1, true
	case c.Retry:
		return c.Old, c.Old, true
	}
	return c.Old, c.Old + 1, true
}

func testHistory(t *testing.T, h Harness, s record.Store) {
	history := Concurrently(t, h, s, Hammer{Clients: 8, Calls: 500, Keys: 3, Impatience: 0.05, Seed: 1})
	if err := history.Check(); err != nil {
		t.Error(err)
	}
	var changed, unknown, refused int
	for _, c := range history {
		switch {
		case c.Unknown:
			unknown++
		case c.Method == Replace && c.Err == nil:
			changed++
		case c.Method == Replace:
			refused++
		}
	}
	t.Logf("%d calls: %d replaced, %d refused, %d unknown", len(history), changed, refused, unknown)
	if changed == 0 || refused == 0 {
		t.Error("the clients did not get in each other's way")
	}
}

// Concurrently strikes s. If the harness can reopen stores it does so meanwhile,
// three times.
func Concurrently(t testing.TB, h Harness, s record.Store, hammer Hammer) History {
	var current atomic.Pointer[record.Store]
	current.Store(&s)
	done := make(chan History)
	go func() {
		done <- hammer.Strike(t.Context(), func() record.Store { return *current.Load() })
	}()
	for range 3 {
		if h.Reopen == nil {
			break
		}
		time.Sleep(20 * time.Millisecond)
		reopened := h.Reopen(t, *current.Load())
		current.Store(&reopened)
	}
	return <-done
}
