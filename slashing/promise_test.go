package slashing_test

import (
	"context"
	"fmt"
	"math/rand/v2"
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

// A reporter is a *testing.T or a *rapid.T.
type reporter interface {
	Helper()
	Fatal(...any)
	Fatalf(string, ...any)
}

// A world is a guard, its store, and the lives of its keys. What happens in it is
// drawn from a tape of bytes, each of which decides one thing, so that a fuzzer
// can change one thing at a time. Numbers are small, so that they meet.
type world struct {
	reporter
	tape  []byte
	store record.Store
	guard *slashing.Guard
	lives []*life
	tally *tally
}

func newWorld(t reporter, tape []byte, count *tally, keys byte) *world {
	w := &world{reporter: t, tape: tape, store: memory.New(), tally: count}
	w.open()
	for i := range keys {
		w.enroll(key(i), slashing.Generated)
		w.lives = append(w.lives, &life{pub: key(i)})
	}
	return w
}

// open makes a new guard on the same store, as a restart does. The clock stands
// still at slot 40, epoch 5, in the middle of all that is drawn.
func (w *world) open() {
	w.guard = slashing.New(w.store, slashing.Config{Network: chain(), Now: at(40), Unbounded: true})
}

// draw returns a number below n. A tape that has ended gives 0 for ever.
func (w *world) draw(n int) int {
	if len(w.tape) == 0 {
		return 0
	}
	b := w.tape[0]
	w.tape = w.tape[1:]
	return int(b) % n
}

const (
	drawnEpochs = 12
	drawnSlots  = 60
	drawnRoots  = 3
)

func (w *world) drawMessage() message {
	if w.draw(2) == 0 {
		return block(eth2.Slot(w.draw(drawnSlots)), byte(w.draw(drawnRoots)))
	}
	return vote(eth2.Epoch(w.draw(drawnEpochs)), eth2.Epoch(w.draw(drawnEpochs)), byte(w.draw(drawnRoots)))
}

func (w *world) drawLife() *life { return w.lives[w.draw(len(w.lives))] }

// step lets one thing happen: mostly somebody asks for a signature.
func (w *world) step() {
	l := w.drawLife()
	switch w.draw(12) {
	case 0, 1, 2, 3:
		w.ask(l, w.drawMessage())
	case 4, 5, 6, 7:
		w.askNear(l)
	case 8:
		w.importHistory(l)
	case 9:
		w.remove(l)
	case 10:
		w.arrive(l)
	case 11:
		if w.draw(2) == 0 {
			w.open()
		} else {
			w.migrate()
		}
	}
}

// askNear asks for a message like one that went before: the same again, the same
// with another root, a neighbour.
func (w *world) askNear(l *life) {
	if len(l.ever) == 0 {
		return
	}
	last := len(l.ever) - 1
	m := l.ever[last-w.draw(min(last, 3)+1)]
	if w.draw(2) == 1 {
		m.root = root(byte(w.draw(drawnRoots)))
	}
	if m.vote {
		m.source += eth2.Epoch(w.draw(2))
		m.target += eth2.Epoch(w.draw(2))
	} else {
		m.slot += eth2.Slot(w.draw(2))
	}
	w.ask(l, m)
}

func (w *world) ask(l *life, m message) {
	w.Helper()
	w.tally.asked++
	conflict := slices.ContainsFunc(l.ever, func(e message) bool { return slashable(m, e) })
	if conflict {
		w.tally.conflicts++
	}
	want := l.maySign(m)
	err := m.record(w.guard, l.pub)
	switch {
	case err == nil && conflict:
		w.Fatalf("signed %v after %v", m, l.ever)
	case (err == nil) != want:
		w.Fatalf("%v after %v: %v, should be signed: %v", m, l.ever, err, want)
	case err == nil && slices.Contains(l.here, m):
		w.tally.signed++
		w.tally.retries++
	case err == nil:
		w.tally.signed++
		l.here = append(l.here, m)
		l.ever = append(l.ever, m)
	}
}

// importHistory tells of what the key has signed elsewhere, be it a vote or not.
func (w *world) importHistory(l *life) {
	var elsewhere []message
	for range w.draw(4) {
		elsewhere = append(elsewhere, w.drawMessage())
	}
	w.load(file(render(l.pub, elsewhere)))
	w.tally.imports++
	for _, m := range elsewhere {
		l.forget(m)
		if !m.vote || m.source < m.target || m.target == 0 {
			l.ever = append(l.ever, m)
		}
	}
}

func (w *world) load(interchange string) {
	w.Helper()
	if _, err := importFile(w.guard, interchange); err != nil {
		w.Fatal(err)
	}
}

func (w *world) enroll(pub bls.PublicKey, origin slashing.Origin) {
	w.Helper()
	if err := w.guard.Enroll(context.Background(), pub, origin); err != nil {
		w.Fatal(err)
	}
}

// remove deletes a key, and arrive brings it back.
func (w *world) remove(l *life) {
	if err := w.guard.Disable(context.Background(), l.pub); err != nil {
		w.Fatal(err)
	}
	l.disabled = true
}

func (w *world) arrive(l *life) {
	origin := []slashing.Origin{slashing.ArrivedNoFloor, slashing.WithHistory, slashing.Arrived}[w.draw(3)]
	w.enroll(l.pub, origin)
	l.disabled = false
	if origin == slashing.Arrived {
		l.slots, l.sources, l.targets = append(l.slots, 41), append(l.sources, 4), append(l.targets, 5)
	}
}

// migrate moves all keys to another signer, by nothing but the interchange.
func (w *world) migrate() {
	var moved strings.Builder
	if err := w.guard.Export(context.Background(), &moved, nil); err != nil {
		w.Fatal(err)
	}
	w.store = memory.New()
	w.open()
	w.load(moved.String())
	w.tally.migrations++
	for _, l := range w.lives {
		for _, m := range l.here {
			l.forget(m)
		}
		w.enroll(l.pub, slashing.WithHistory)
		l.here, l.disabled = nil, false
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

// promise is what the product exists for: whatever happens to a key, of any two
// messages that it signs, or that an import says it signed, neither could be held
// against the other. And no more is refused than watermarks must refuse.
func promise(t reporter, tape []byte, count *tally) {
	w := newWorld(t, tape, count, 2)
	for len(w.tape) > 0 {
		w.step()
	}
}

func TestNoTwoSignedMessagesConflict(t *testing.T) {
	var count tally
	rapid.Check(t, func(t *rapid.T) {
		promise(t, rapid.SliceOfN(rapid.Byte(), 100, 2000).Draw(t, "tape"), &count)
	})
	t.Logf("%+v", count)
	share := func(n int) float64 { return float64(n) / float64(count.asked) }
	if share(count.conflicts) < 0.1 || share(count.signed) < 0.1 || share(count.retries) < 0.005 || share(count.imports) < 0.02 || share(count.migrations) < 0.01 {
		t.Errorf("this property does not aim well: %+v", count)
	}
}

func FuzzPromise(f *testing.F) {
	for seed := range byte(10) {
		tape := make([]byte, 200)
		rand.NewChaCha8([32]byte{seed}).Read(tape)
		f.Add(tape)
	}
	f.Fuzz(func(t *testing.T, tape []byte) { promise(t, tape, new(tally)) })
}

// Whoever imports an export refuses all that the exporter would have refused.
func TestAnExportForbidsAllThatItsGuardForbids(t *testing.T) {
	var compared, refused int
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t, rapid.SliceOfN(rapid.Byte(), 0, 40).Draw(t, "tape"), new(tally), 1)
		for len(w.tape) > 0 {
			w.step()
		}
		w.arrive(w.lives[0]) // the interchange does not tell that a key was deleted
		before := w.state()
		w.migrate()
		after := w.state()
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

func (w *world) state() slashing.State {
	s, err := w.guard.State(context.Background(), w.lives[0].pub)
	if err != nil {
		w.Fatal(err)
	}
	return s
}

// everyMessage returns all that can be drawn.
func everyMessage() []message {
	var all []message
	for r := range byte(drawnRoots) {
		for s := range eth2.Slot(drawnSlots) {
			all = append(all, block(s, r))
		}
		for source := range eth2.Epoch(drawnEpochs) {
			for target := range eth2.Epoch(drawnEpochs) {
				all = append(all, vote(source, target, r))
			}
		}
	}
	return all
}
