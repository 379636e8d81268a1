package statuspage

import (
	"cmp"
	"maps"
	"math/bits"
	"slices"
	"sync"
	"time"

	"github.com/secure-signer/secure-signer/eth2"
	"github.com/secure-signer/secure-signer/signer"
)

// An Activity remembers what was asked in the last hour, minute by minute. It takes
// less than half a megabyte, however much is asked. The zero value remembers
// nothing yet.
type Activity struct {
	mu      sync.Mutex
	minutes [minutes]minute // each at its number, modulo their number
}

const minutes = 60

type minute struct {
	number  int64 // since 1970; of another one nothing counts any more
	kinds   [kinds]counts
	reasons map[signer.Reason]int
}

// kinds are those of eth2, and 0 for what could not be told.
const kinds = int(eth2.KindBuilderRequestAuth) + 1

type counts struct {
	signed, refused int
	times           *times // of what was signed; nil if nothing ever was
}

// Observe counts one answered request. An empty reason means that it was signed; a
// zero kind, that it could not be told what was asked.
func (a *Activity) Observe(kind eth2.Kind, reason signer.Reason, took time.Duration) {
	if int(kind) >= kinds {
		kind = 0
	}
	number := time.Now().Unix() / 60
	a.mu.Lock()
	defer a.mu.Unlock()
	m := &a.minutes[number%minutes]
	if m.number != number {
		m.begin(number)
	}
	c := &m.kinds[kind]
	if reason != "" {
		c.refused++
		m.reasons[reason]++
		return
	}
	c.signed++
	if c.times == nil {
		c.times = new(times)
	}
	c.times[slotOf(took)]++
}

// begin forgets the minute an hour before, and keeps its memory.
func (m *minute) begin(number int64) {
	for i := range m.kinds {
		kept := m.kinds[i].times
		if kept != nil {
			*kept = times{}
		}
		m.kinds[i] = counts{times: kept}
	}
	m.number, m.reasons = number, make(map[signer.Reason]int)
}

// An hour is what an Activity shows.
type hour struct {
	Signed, Refused [minutes]int // the oldest first; the last one is not over
	Kinds           []kindHour   // that were asked for, in their order; the last, what could not be told
	Reasons         []reasonHour // the most frequent first
}

type kindHour struct {
	Kind            string
	Recent          int // signed in the last five minutes, this one included
	Signed, Refused int
	P50, P99        time.Duration // at most; of what was signed
}

type reasonHour struct {
	Reason  signer.Reason
	Refused int
}

// recent is how many minutes are told apart from the hour.
const recent = 5

func (a *Activity) hour(now time.Time) hour {
	var h hour
	var all [kinds]counts
	var latest [kinds]int
	reasons := map[signer.Reason]int{}
	for i := range all {
		all[i].times = new(times)
	}
	number := now.Unix() / 60
	a.mu.Lock()
	for i := range a.minutes {
		m := &a.minutes[i]
		age := number - m.number
		if age < 0 || age >= minutes {
			continue
		}
		for kind, c := range m.kinds {
			all[kind].add(c)
			h.Signed[minutes-1-age] += c.signed
			h.Refused[minutes-1-age] += c.refused
			if age < recent {
				latest[kind] += c.signed
			}
		}
		for reason, n := range m.reasons {
			reasons[reason] += n
		}
	}
	a.mu.Unlock()

	for i := range all {
		kind := (i + 1) % kinds
		c := all[kind]
		if c.signed+c.refused == 0 {
			continue
		}
		h.Kinds = append(h.Kinds, kindHour{
			Kind: nameOf(eth2.Kind(kind)), Recent: latest[kind], Signed: c.signed, Refused: c.refused,
			P50: c.times.quantile(c.signed, 50), P99: c.times.quantile(c.signed, 99),
		})
	}
	for _, reason := range slices.Sorted(maps.Keys(reasons)) {
		h.Reasons = append(h.Reasons, reasonHour{reason, reasons[reason]})
	}
	slices.SortStableFunc(h.Reasons, func(a, b reasonHour) int { return cmp.Compare(b.Refused, a.Refused) })
	return h
}

func nameOf(kind eth2.Kind) string {
	if kind == 0 {
		return "not understood"
	}
	return kind.String()
}

func (c *counts) add(other counts) {
	c.signed += other.signed
	c.refused += other.refused
	if other.times != nil {
		for i, n := range other.times {
			c.times[i] += n
		}
	}
}

// times counts durations by their microseconds, in four steps for each doubling:
// what is told of them is at most a quarter too long. The last step has all from
// seven seconds on, when a duty is lost.
type times [92]uint32

func slotOf(d time.Duration) int {
	us := uint64(max(0, d.Microseconds()))
	if us < 4 {
		return int(us)
	}
	digits := bits.Len64(us)
	return min(len(times{})-1, (digits-2)*4+int(us>>(digits-3)&3))
}

// slotEnd is a duration that none in the slot reaches.
func slotEnd(slot int) time.Duration {
	if slot < 4 {
		return time.Duration(slot+1) * time.Microsecond
	}
	return time.Duration(slot%4+5) << (slot/4 - 1) * time.Microsecond
}

// quantile is what the given percentage of all durations did not reach.
func (t *times) quantile(all int, percent int) time.Duration {
	if all == 0 {
		return 0
	}
	below, wanted := 0, (all*percent+99)/100
	for slot, n := range t {
		if below += int(n); below >= wanted {
			return slotEnd(slot)
		}
	}
	return slotEnd(len(t) - 1)
}
