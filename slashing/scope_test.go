package slashing_test

import (
	"cmp"
	"fmt"
	"slices"
	"testing"

	"github.com/secure-signer/secure-signer/slashing"
)

// The model below is small enough to look at every state that it can reach: one
// key, two clients that ask for three messages each, of the nine in scope, a store
// that swaps in memory and then flushes, and one crash at any moment. Each step of
// a request is a step of the model, in any interleaving. The rules in it are the
// real ones.

// scope is enough to double propose, to double vote, and to surround both ways.
var scope = [...]message{
	block(1, 1), block(1, 2), block(2, 1),
	vote(0, 1, 1), vote(0, 1, 2), vote(1, 2, 1), vote(2, 3, 1), vote(0, 3, 1), vote(0, 3, 2),
}

type phase uint8

const (
	idle      phase = iota
	loaded          // the rule has allowed the message on what was loaded
	stale           // and another has swapped the record since
	unflushed       // the swap is made, in memory
	approved        // the store has said that it is durable
)

// A client is in the middle of one request.
type client struct {
	phase phase
	ask   int8 // index into scope
	next  int8 // what it wants the record to be
	left  int8 // requests that it may still begin
}

// A scene is one state of the model. Records are indices into model.records.
type scene struct {
	memory, disk int8
	dirty        bool // memory is newer than disk, be its record the same or not
	crashed      bool
	signed       uint16 // bits of scope
	clients      [2]client
}

// A flaw is what a careless implementation might do.
type flaw struct {
	noSourceCheck    bool // the rule forgets surround votes
	signsBeforeFlush bool // a swap in memory counts as durable
	ignoresVersion   bool // a swap is made from whatever there is
	loadsUnflushed   bool // a load does not wait for the flush
	retryIsNotSwap   bool // an identical retry is signed on what was loaded
	missingIsEmpty   bool // a record that a crash has lost is taken for an empty one
}

// A model is the real rules, or a mutant of them, and the scenes it has seen.
type model struct {
	flaw
	records  []slashing.State
	index    map[slashing.State]int8
	seen     map[scene]bool
	frontier []scene
	found    finding
}

type finding struct {
	scenes, crashed int
	signed          uint16 // bits of scope that were signed in any scene
	most            int    // messages signed in one scene
	conflict        string // of two messages that were signed in one scene
}

// explore lets each of two clients begin so many requests.
func explore(f flaw, requests int8) finding {
	m := &model{flaw: f, index: map[slashing.State]int8{}, seen: map[scene]bool{}}
	start := scene{memory: m.intern(slashing.State{})}
	for i := range start.clients {
		start.clients[i].left = requests
	}
	for m.reach(start); len(m.frontier) > 0 && m.found.conflict == ""; {
		last := len(m.frontier) - 1
		s := m.frontier[last]
		m.frontier = m.frontier[:last]
		m.look(s)
		m.storeSteps(s)
		m.clientSteps(s)
		s.clients[0], s.clients[1] = s.clients[1], s.clients[0]
		m.clientSteps(s)
	}
	return m.found
}

func (m *model) intern(s slashing.State) int8 {
	i, ok := m.index[s]
	if !ok {
		i = int8(len(m.records))
		m.records, m.index[s] = append(m.records, s), i
	}
	return i
}

// rule returns what the record becomes, if the message may be signed.
func (m *model) rule(record, ask int8) (next int8, ok bool) {
	s, v := m.records[record], scope[ask]
	if m.noSourceCheck && v.vote {
		v.source = min(max(v.source, s.Watermarks().Source), v.target-1)
	}
	after, err := v.apply(s)
	if err != nil {
		return 0, false
	}
	return m.intern(after), true
}

// reach notes a scene that is new. The clients are alike: their order is not one.
func (m *model) reach(s scene) {
	slices.SortFunc(s.clients[:], func(a, b client) int {
		return cmp.Or(cmp.Compare(a.phase, b.phase), cmp.Compare(a.ask, b.ask), cmp.Compare(a.next, b.next), cmp.Compare(a.left, b.left))
	})
	if !m.seen[s] {
		m.seen[s] = true
		m.frontier = append(m.frontier, s)
	}
}

func (m *model) look(s scene) {
	m.found.scenes++
	if s.crashed {
		m.found.crashed++
	}
	m.found.signed |= s.signed
	var signed []message
	for i, v := range scope {
		if s.signed&(1<<i) == 0 {
			continue
		}
		for _, earlier := range signed {
			if slashable(earlier, v) {
				m.found.conflict = fmt.Sprint(earlier, " and ", v)
			}
		}
		signed = append(signed, v)
	}
	m.found.most = max(m.found.most, len(signed))
}

// storeSteps reaches what follows when the store flushes, or the machine crashes.
func (m *model) storeSteps(s scene) {
	if s.dirty {
		n := s
		n.disk, n.dirty = s.memory, false
		for i, c := range s.clients {
			if c.phase == unflushed {
				n.clients[i].phase = approved
			}
		}
		m.reach(n)
	}
	if !s.crashed {
		n := s
		n.crashed, n.memory, n.dirty = true, s.disk, false
		if m.missingIsEmpty {
			n.memory = m.intern(slashing.State{})
			n.disk = n.memory
		}
		for i, c := range s.clients {
			if c.phase != idle {
				c.left++ // to ask again, or for something else
			}
			n.clients[i] = client{left: c.left}
		}
		m.reach(n)
	}
}

// clientSteps reaches what follows when the first client takes its next step.
func (m *model) clientSteps(s scene) {
	c := &s.clients[0]
	mayLoad := !s.dirty || m.loadsUnflushed
	switch {
	case c.phase == idle && c.left > 0 && mayLoad:
		c.left--
		for ask := range int8(len(scope)) {
			m.load(s, ask)
		}
	case c.phase == stale && !m.ignoresVersion && mayLoad: // a conflict: load again
		m.load(s, c.ask)
	case c.phase == loaded, c.phase == stale && m.ignoresVersion:
		s.memory, s.dirty = c.next, true
		c.phase = unflushed
		if m.signsBeforeFlush {
			c.phase = approved
		}
		if other := &s.clients[1]; other.phase == loaded {
			other.phase = stale
		}
		m.reach(s)
	case c.phase == approved:
		s.signed |= 1 << c.ask
		*c = client{left: c.left}
		m.reach(s)
	}
}

// load lets the first client load the record and decide. A refusal changes
// nothing, and ends the request.
func (m *model) load(s scene, ask int8) {
	c := &s.clients[0]
	next, ok := m.rule(s.memory, ask)
	switch {
	case !ok:
		*c = client{left: c.left}
	case m.retryIsNotSwap && next == s.memory:
		*c = client{phase: approved, ask: ask, left: c.left}
	default:
		*c = client{phase: loaded, ask: ask, next: next, left: c.left}
	}
	m.reach(s)
}

func TestNoInterleavingOfTwoClientsAndACrashSignsAConflict(t *testing.T) {
	found := explore(flaw{}, 3)
	t.Logf("%+v", found)
	if found.conflict != "" {
		t.Errorf("signed %s", found.conflict)
	}
	if all := uint16(1<<len(scope) - 1); found.signed != all || found.most < 4 || found.scenes < 100_000 || found.crashed < 50_000 {
		t.Errorf("the model is too small to prove anything")
	}
}

// Control: the same search finds what each careless implementation would sign. A
// search that could not would prove nothing.
func TestTheSearchFindsWhatCarelessImplementationsSign(t *testing.T) {
	for _, tt := range []struct {
		name string
		flaw flaw
	}{
		{"rules without the source check", flaw{noSourceCheck: true}},
		{"a signature before the flush", flaw{signsBeforeFlush: true}},
		{"a swap that ignores the version", flaw{ignoresVersion: true}},
		{"a retry signed on a record that was never flushed", flaw{loadsUnflushed: true, retryIsNotSwap: true}},
		{"a lost record taken for an empty one", flaw{missingIsEmpty: true}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			found := explore(tt.flaw, 3)
			t.Logf("%+v", found)
			if found.conflict == "" {
				t.Error("found no conflict")
			}
		})
	}
}

// The guard takes two precautions for a retry, each of which is enough: a store
// loads only what is durable, and a retry is swapped in again all the same.
func TestEitherPrecautionForARetryIsEnough(t *testing.T) {
	for _, half := range []flaw{{loadsUnflushed: true}, {retryIsNotSwap: true}} {
		if found := explore(half, 2); found.conflict != "" {
			t.Errorf("%+v: signed %s", half, found.conflict)
		}
	}
}
