package slashing_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/secure-signer/secure-signer/bls"
	"github.com/secure-signer/secure-signer/eth2"
	"github.com/secure-signer/secure-signer/record"
	"github.com/secure-signer/secure-signer/record/memory"
	"github.com/secure-signer/secure-signer/slashing"
)

// tally counts what a property has aimed at and hit.
type tally struct {
	asked, signed, retries int
	conflicts              int // asked for, with something signed or imported: each must be refused
	imports, migrations    int
}

// A life is one key's, from its first message to its last, through imports,
// deletions, restarts and moves to other signers. It keeps the whole history,
// which the guard does not.
type life struct {
	pub      bls.PublicKey
	disabled bool
	ever     []message // signed here, or anywhere that an import told of
	here     []message // signed since the last move, in order
	slots    []eth2.Slot
	sources  []eth2.Epoch
	targets  []eth2.Epoch // slots, sources, targets: floors
}

// maySign says what EIP-3076 lets a signer sign that knows of everything before
// only how far it went. It is written from the EIP, by lists instead of marks.
func (l *life) maySign(m message) bool {
	var blocks, votes []message
	for _, s := range l.here {
		if s.vote {
			votes = append(votes, s)
		} else {
			blocks = append(blocks, s)
		}
	}
	if l.disabled {
		return false
	}
	if !m.vote {
		return !slices.ContainsFunc(l.slots, func(s eth2.Slot) bool { return m.slot <= s }) &&
			(!slices.ContainsFunc(blocks, func(b message) bool { return m.slot <= b.slot }) || m == blocks[len(blocks)-1])
	}
	return (m.source < m.target || m.target == 0 && m.source == 0) &&
		!slices.ContainsFunc(l.targets, func(e eth2.Epoch) bool { return m.target <= e }) &&
		!slices.ContainsFunc(l.sources, func(e eth2.Epoch) bool { return m.source < e }) &&
		(!slices.ContainsFunc(votes, func(v message) bool { return m.target <= v.target || m.source < v.source }) || m == votes[len(votes)-1])
}

// A world is a guard, its store, and the lives of its keys.
type world struct {
	store record.Store
	guard *slashing.Guard
	lives []*life
	tally *tally
}

// The clock stands still in the middle of all epochs that are drawn.
func (w *world) open() {
	w.guard = slashing.New(w.store, slashing.Config{Network: chain(), Now: at(40), Unbounded: true})
}

// Numbers are small, so that they meet.
var (
	anEpoch = rapid.Custom(func(t *rapid.T) eth2.Epoch { return eth2.Epoch(rapid.Uint64Range(0, 11).Draw(t, "epoch")) })
	aSlot   = rapid.Custom(func(t *rapid.T) eth2.Slot { return eth2.Slot(rapid.Uint64Range(0, 60).Draw(t, "slot")) })
	aRoot   = rapid.ByteMax(2)

	aMessage = rapid.Custom(func(t *rapid.T) message {
		if rapid.Bool().Draw(t, "vote") {
			return vote(anEpoch.Draw(t, "source"), anEpoch.Draw(t, "target"), aRoot.Draw(t, "root"))
		}
		return block(aSlot.Draw(t, "slot"), aRoot.Draw(t, "root"))
	})
)

func (w *world) life(t *rapid.T) *life { return rapid.SampledFrom(w.lives).Draw(t, "key") }

// sign asks for any message, and signNear for one like those that went before: the
// same again, the same with another root, a neighbour.
func (w *world) sign(t *rapid.T) {
	w.ask(t, w.life(t), aMessage.Draw(t, "message"))
}

func (w *world) signNear(t *rapid.T) {
	l := w.life(t)
	if len(l.ever) == 0 {
		t.Skip("nothing to be near to")
	}
	last := len(l.ever) - 1
	m := l.ever[last-rapid.IntRange(0, min(last, 3)).Draw(t, "back")]
	if rapid.Bool().Draw(t, "another root") {
		m.root = root(aRoot.Draw(t, "root"))
	}
	if m.vote {
		m.source += eth2.Epoch(rapid.Uint64Range(0, 1).Draw(t, "source on"))
		m.target += eth2.Epoch(rapid.Uint64Range(0, 1).Draw(t, "target on"))
	} else {
		m.slot += eth2.Slot(rapid.Uint64Range(0, 1).Draw(t, "slots on"))
	}
	w.ask(t, l, m)
}

func (w *world) ask(t *rapid.T, l *life, m message) {
	w.tally.asked++
	conflict := slices.ContainsFunc(l.ever, func(e message) bool { return slashable(m, e) })
	if conflict {
		w.tally.conflicts++
	}
	want := l.maySign(m)
	err := m.record(w.guard, l.pub)
	switch {
	case err == nil && conflict:
		t.Fatalf("signed %v after %v", m, l.ever)
	case (err == nil) != want:
		t.Fatalf("%v: %v, should be signed: %v", m, err, want)
	case err == nil:
		w.tally.signed++
		if slices.Contains(l.here, m) {
			w.tally.retries++
			return
		}
		l.here = append(l.here, m)
		l.ever = append(l.ever, m)
	}
}

// history imports what the key has signed elsewhere, be it a vote or not.
func (w *world) history(t *rapid.T) {
	l := w.life(t)
	elsewhere := rapid.SliceOfN(aMessage, 0, 3).Draw(t, "elsewhere")
	if _, err := w.guard.Import(context.Background(), strings.NewReader(file(render(l.pub, elsewhere))), nil); err != nil {
		t.Fatal(err)
	}
	w.tally.imports++
	for _, m := range elsewhere {
		l.forget(m)
		if !m.vote || m.source < m.target || m.target == 0 {
			l.ever = append(l.ever, m)
		}
	}
}

// forget leaves of a message only how far it went.
func (l *life) forget(m message) {
	if m.vote {
		l.sources, l.targets = append(l.sources, m.source), append(l.targets, m.target)
	} else {
		l.slots = append(l.slots, m.slot)
	}
}

func render(pub bls.PublicKey, messages []message) string {
	var blocks, votes []string
	for _, m := range messages {
		if m.vote {
			votes = append(votes, fmt.Sprintf(`{"source_epoch":"%d","target_epoch":"%d","signing_root":"%v"}`, m.source, m.target, m.root))
		} else {
			blocks = append(blocks, fmt.Sprintf(`{"slot":"%d","signing_root":"%v"}`, m.slot, m.root))
		}
	}
	return entry(pub, strings.Join(blocks, ","), strings.Join(votes, ","))
}

// remove deletes a key, and arrive brings it back.
func (w *world) remove(t *rapid.T) {
	l := w.life(t)
	if err := w.guard.Disable(context.Background(), l.pub); err != nil {
		t.Fatal(err)
	}
	l.disabled = true
}

func (w *world) arrive(t *rapid.T) {
	l := w.life(t)
	origin := rapid.SampledFrom([]slashing.Origin{slashing.Arrived, slashing.ArrivedNoFloor, slashing.WithHistory}).Draw(t, "origin")
	if err := w.guard.Enroll(context.Background(), l.pub, origin); err != nil {
		t.Fatal(err)
	}
	l.disabled = false
	if origin == slashing.Arrived { // the clock stands at slot 40, epoch 5
		l.slots, l.sources, l.targets = append(l.slots, 41), append(l.sources, 4), append(l.targets, 5)
	}
}

func (w *world) restart(*rapid.T) { w.open() }

// migrate moves all keys to another signer, by nothing but the interchange.
func (w *world) migrate(t *rapid.T) {
	var moved strings.Builder
	if err := w.guard.Export(context.Background(), &moved, nil); err != nil {
		t.Fatal(err)
	}
	w.store = memory.New()
	w.open()
	if _, err := w.guard.Import(context.Background(), strings.NewReader(moved.String()), nil); err != nil {
		t.Fatal(err)
	}
	w.tally.migrations++
	for _, l := range w.lives {
		for _, m := range l.here {
			l.forget(m)
		}
		l.here, l.disabled = nil, true
		if err := w.guard.Enroll(context.Background(), l.pub, slashing.WithHistory); err != nil {
			t.Fatal(err)
		}
		l.disabled = false
	}
}

// promise is what the product exists for: whatever happens to a key, of any two
// messages that it signs, or that an import says it signed, neither could be held
// against the other. And no more is refused than watermarks must refuse.
func promise(count *tally) func(*rapid.T) {
	return func(t *rapid.T) {
		w := &world{store: memory.New(), tally: count}
		w.open()
		for i := range byte(2) {
			if err := w.guard.Enroll(context.Background(), key(i), slashing.Generated); err != nil {
				t.Fatal(err)
			}
			w.lives = append(w.lives, &life{pub: key(i)})
		}
		t.Repeat(map[string]func(*rapid.T){
			"sign": w.sign, "sign near": w.signNear, "event": w.event,
		})
	}
}

// event is whatever happens between two requests.
func (w *world) event(t *rapid.T) {
	events := []func(*rapid.T){w.history, w.history, w.remove, w.arrive, w.arrive, w.restart, w.migrate}
	events[rapid.IntRange(0, len(events)-1).Draw(t, "event")](t)
}

func TestNoTwoSignedMessagesConflict(t *testing.T) {
	var count tally
	for range 10 { // it is quick, and its cases are short
		rapid.Check(t, promise(&count))
	}
	t.Logf("%+v", count)
	if count.conflicts*10 < count.asked || count.signed*20 < count.asked || count.retries < 50 || count.imports < 50 || count.migrations < 50 {
		t.Errorf("this property does not aim well: %+v", count)
	}
}

func FuzzPromise(f *testing.F) {
	f.Fuzz(rapid.MakeFuzz(promise(new(tally))))
}

// Whoever imports an export refuses all that the exporter would have refused.
func TestAnExportForbidsAllThatItsGuardForbids(t *testing.T) {
	var compared, refused int
	rapid.Check(t, func(t *rapid.T) {
		w := &world{store: memory.New(), tally: new(tally), lives: []*life{{pub: key(0)}}}
		w.open()
		if err := w.guard.Enroll(context.Background(), key(0), slashing.Generated); err != nil {
			t.Fatal(err)
		}
		t.Repeat(map[string]func(*rapid.T){"sign": w.sign, "sign near": w.signNear, "import": w.history, "enroll": w.arrive})
		before, err := w.guard.State(context.Background(), key(0))
		if err != nil {
			t.Fatal(err)
		}
		w.migrate(t)
		after, err := w.guard.State(context.Background(), key(0))
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range everyMessage() {
			_, errBefore := m.apply(before)
			_, errAfter := m.apply(after)
			compared++
			if errBefore != nil {
				refused++
			}
			if errBefore != nil && errAfter == nil {
				t.Fatalf("%v was refused (%v), and is signed after the move", m, errBefore)
			}
		}
	})
	t.Logf("%d messages compared, %d refused before the move", compared, refused)
	if refused*10 < compared || refused*100 > 99*compared {
		t.Errorf("this property does not aim well: %d of %d refused", refused, compared)
	}
}

// everyMessage returns all that the generators draw from.
func everyMessage() []message {
	var all []message
	for r := range byte(3) {
		for s := range eth2.Slot(61) {
			all = append(all, block(s, r))
		}
		for source := range eth2.Epoch(12) {
			for target := range eth2.Epoch(12) {
				all = append(all, vote(source, target, r))
			}
		}
	}
	return all
}
