package rollback_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/secure-signer/secure-signer/bls"
	"github.com/secure-signer/secure-signer/eth2"
	"github.com/secure-signer/secure-signer/record"
	"github.com/secure-signer/secure-signer/rollback"
	"github.com/secure-signer/secure-signer/slashing"
)

const (
	copies = 3
	keys   = 2
	steps  = 240 // of one schedule: each is one command to a counter, one write, one signature or one choice
)

// TestNoScheduleIsSlashable is the proof of this package: three copies of the
// signer, each with the true Owner under the true slashing.Guard, at the mercy of an
// adversary who decides at each step which of them goes on, kills any, starts it
// again on any disk that ever was, loses the answers of the counters or
// brings them late, and lets writes fail. Whatever he does, he never holds two
// signatures that conflict.
//
// SECURE_SIGNER_LONG=1 runs 3,000,000 schedules instead of 100,000.
func TestNoScheduleIsSlashable(t *testing.T) {
	schedules := uint64(100_000)
	switch {
	case os.Getenv("SECURE_SIGNER_LONG") != "":
		schedules = 3_000_000
	case testing.Short():
		schedules = 30_000
	}
	var (
		next  atomic.Uint64
		total tally
		mu    sync.Mutex
		all   sync.WaitGroup
	)
	for range runtime.GOMAXPROCS(0) {
		all.Go(func() {
			var mine tally
			for seed := next.Add(1); seed <= schedules && !t.Failed(); seed = next.Add(1) {
				w := newWorld(seed)
				w.run()
				if conflict := w.conflict(); conflict != "" {
					t.Errorf("schedule %d is slashable: %s", seed, conflict)
				}
				mine.add(w.tally)
			}
			mu.Lock()
			defer mu.Unlock()
			total.add(mine)
		})
	}
	all.Wait()
	t.Logf("%d schedules: %+v", schedules, total)
	for what, n := range map[string]uint64{
		"votes": total.Votes, "blocks": total.Blocks, "kills": total.Kills, "old disks": total.OldDisks,
		"clean starts": total.Heirs, "claims that failed": total.FailedClaims, "lost answers": total.LostAnswers,
		"writes that failed": total.FailedWrites, "starts from a ceiling": total.Ceilings,
	} {
		if n < schedules/20 {
			t.Errorf("only %d %s in %d schedules: the adversary aims badly", n, what, schedules)
		}
	}
	if total.SharedKeys < schedules/4 {
		t.Errorf("in only %d of %d schedules two lives of copies voted with one key", total.SharedKeys, schedules)
	}
}

// A tally counts what the adversary has brought about.
type tally struct {
	Votes, Blocks, Kills, OldDisks, Heirs, Ceilings uint64
	FailedClaims, LostAnswers, FailedWrites         uint64
	SharedKeys                                      uint64
}

func (t *tally) add(o tally) {
	t.Votes += o.Votes
	t.Blocks += o.Blocks
	t.Kills += o.Kills
	t.OldDisks += o.OldDisks
	t.Heirs += o.Heirs
	t.Ceilings += o.Ceilings
	t.FailedClaims += o.FailedClaims
	t.LostAnswers += o.LostAnswers
	t.FailedWrites += o.FailedWrites
	t.SharedKeys += o.SharedKeys
}

// A world is one schedule: what lies outside of the copies, and who has signed
// what.
type world struct {
	tally
	rng           *rand.Rand
	epochs, stops uint64
	disks         []disk // every state that the disk of any copy was ever in
	heads         uint64
	stalled       bool // the chain does not finalise: votes are from any source
	witnessed     bool // the counters are of the slow kind
	network       *eth2.Network
	lives         int
	copies        [copies]*process
	votes         [keys][]vote
	blocks        [keys][]block
}

// A disk is what a copy finds when it is started: its record of what it has
// signed, and the memo.
type disk struct {
	records [keys]value
	head    uint64 // of the record; no two that differ have the same
	memo    *rollback.Memo
}

// A value is what a store holds for one key.
type value struct {
	state   string // encoded
	version record.Version
}

type vote struct {
	source, target uint64
	root           eth2.Root
	by             int
}

type block struct {
	slot uint64
	root eth2.Root
	by   int
}

const (
	slotsPerEpoch = 2
	firstEpoch    = 10
)

// chain has short epochs and no clock: each copy believes what it likes.
func chain() *eth2.Network {
	preset := eth2.MinimalPreset()
	preset.SlotsPerEpoch = slotsPerEpoch
	return &eth2.Network{Name: "model", Preset: preset}
}

func newWorld(seed uint64) *world {
	w := &world{rng: rand.New(rand.NewPCG(seed, 0)), epochs: firstEpoch, disks: make([]disk, 1, steps), network: chain()}
	fresh, _ := slashing.State{}.MarshalBinary()
	for k := range keys {
		w.disks[0].records[k] = value{string(fresh), 1}
	}
	w.stalled, w.witnessed = w.rng.IntN(2) == 0, w.rng.IntN(2) == 0
	return w
}

// run lets the adversary choose, step by step.
func (w *world) run() {
	favours := w.rng.IntN(2) == 0
	kill := 60 + 90*w.rng.IntN(2)
	for range steps {
		i := w.rng.IntN(copies)
		if favours && w.rng.IntN(4) != 0 {
			i = 0 // it owns epochs in a row
		}
		switch p := w.copies[i]; {
		case p == nil:
			w.copies[i] = w.start()
		case w.rng.IntN(kill) == 0:
			w.Kills++
			p.kill()
			w.copies[i] = nil
		default:
			if _, alive := p.step(); !alive {
				w.copies[i] = nil
			}
		}
	}
	for _, p := range w.copies {
		if p != nil {
			p.kill()
		}
	}
	for k := range keys {
		if v := w.votes[k]; len(v) > 0 && v[0].by != v[len(v)-1].by {
			w.SharedKeys++
			break
		}
	}
}

// conflict describes two signatures that can be held against a key, or is empty.
// It knows nothing of the rules: only what the chain calls slashable.
func (w *world) conflict() string {
	for k := range keys {
		for i, a := range w.votes[k] {
			for _, b := range w.votes[k][:i] {
				double := a.target == b.target && a.root != b.root
				surround := a.source < b.source && b.target < a.target || b.source < a.source && a.target < b.target
				if double || surround {
					return fmt.Sprintf("key %d: votes %d→%d by life %d and %d→%d by life %d", k, b.source, b.target, b.by, a.source, a.target, a.by)
				}
			}
		}
		for i, a := range w.blocks[k] {
			for _, b := range w.blocks[k][:i] {
				if a.slot == b.slot && a.root != b.root {
					return fmt.Sprintf("key %d: two blocks at slot %d, by lives %d and %d", k, a.slot, b.by, a.by)
				}
			}
		}
	}
	return ""
}

// A process is one life of a copy. It is a coroutine: between two steps the
// adversary may do as he likes.
type process struct {
	*world
	life  int
	disk  disk
	yield func(struct{}) bool
	step  func() (struct{}, bool)
	kill  func()
}

// killed unwinds a process at the step at which it was killed.
type killed struct{}

// start starts a copy: mostly on its own disk, but on any that ever was if the
// adversary prefers.
func (w *world) start() *process {
	w.lives++
	p := &process{world: w, life: w.lives, disk: w.disks[len(w.disks)-1]}
	if w.rng.IntN(3) == 0 {
		w.OldDisks++
		p.disk = w.disks[w.rng.IntN(len(w.disks))]
		switch w.rng.IntN(3) { // the record of one, and the memo of another
		case 0:
			p.disk.memo = w.disks[w.rng.IntN(len(w.disks))].memo
		case 1:
			p.disk.memo = w.disks[len(w.disks)-1].memo
		}
	}
	p.step, p.kill = iter.Pull(func(yield func(struct{}) bool) {
		defer func() {
			if e := recover(); e != nil && e != (killed{}) {
				panic(e)
			}
		}()
		p.yield = yield
		p.live()
	})
	return p
}

// pause is the end of a step.
func (p *process) pause() {
	if !p.yield(struct{}{}) {
		panic(killed{})
	}
}

// live is what a signer does: it starts, claims epochs as time goes by, signs what
// it is asked to, and stops.
func (p *process) live() {
	ctx := context.Background()
	memo, stops := p.disk.memo, p.stops
	owner, err := rollback.Start(ctx, rollback.Config{
		Epochs: p.counter(&p.epochs),
		Stops:  p.counter(&p.stops),
		Memos:  (*memos)(p),
		Head:   func() (h [32]byte) { h[0], h[1] = byte(p.disk.head), byte(p.disk.head>>8); return h },
	})
	if err != nil {
		return
	}
	if memo != nil && memo.Tenure.Last == p.epochs {
		if memo.Stop != nil && memo.Stop.Generation == stops && p.stops == stops+1 {
			p.Heirs++
		} else if memo.Tenure.Sealed {
			p.Ceilings++
		}
	}
	guard := slashing.New((*store)(p), slashing.Config{Network: p.network, Epochs: owner})
	for {
		p.pause()
		switch n := p.rng.IntN(24); {
		case n == 0:
			_ = owner.Stop(ctx) // as after a crash if it fails
			return
		case n < 5:
			if err := owner.Claim(ctx, p.epochs+1); err != nil {
				p.FailedClaims++
			}
		case n < 20:
			p.attest(ctx, guard)
		default:
			p.propose(ctx, guard)
		}
	}
}

func (p *process) attest(ctx context.Context, guard *slashing.Guard) {
	k := p.rng.IntN(keys)
	target := p.epochs + 1 - uint64(p.rng.IntN(4))
	source := target - 1
	if depth := int(target) - firstEpoch; depth > 0 && (p.stalled || p.rng.IntN(4) == 0) {
		source -= uint64(p.rng.IntN(depth))
	}
	v := vote{source: source, target: target, root: p.root(), by: p.life}
	err := guard.Record(ctx, bls.PublicKey{byte(k)}, &eth2.Attestation{Data: eth2.AttestationData{
		Source: eth2.Checkpoint{Epoch: eth2.Epoch(source)}, Target: eth2.Checkpoint{Epoch: eth2.Epoch(target)},
	}}, v.root)
	if err != nil {
		return
	}
	p.pause()
	p.Votes++
	p.votes[k] = append(p.votes[k], v)
}

func (p *process) propose(ctx context.Context, guard *slashing.Guard) {
	k := p.rng.IntN(keys)
	epoch := p.epochs + 1 - uint64(p.rng.IntN(3))
	b := block{slot: epoch*slotsPerEpoch + uint64(p.rng.IntN(slotsPerEpoch)), root: p.root(), by: p.life}
	err := guard.Record(ctx, bls.PublicKey{byte(k)}, &eth2.Block{Header: &eth2.BeaconBlockHeader{Slot: eth2.Slot(b.slot)}}, b.root)
	if err != nil {
		return
	}
	p.pause()
	p.Blocks++
	p.blocks[k] = append(p.blocks[k], b)
}

// root is one of few, so that now and then a message is the identical one.
func (p *process) root() (r eth2.Root) {
	r[0] = byte(p.rng.IntN(4))
	return r
}

// store is the record of what a process has signed, on its disk.
type store process

func (s *store) Load(_ context.Context, key record.Key) (record.Record, error) {
	v := s.disk.records[keyOf(key)]
	return record.Record{Value: []byte(v.state), Version: v.version}, nil
}

func (s *store) Replace(_ context.Context, key record.Key, old record.Version, state []byte) error {
	p := (*process)(s)
	p.pause()
	now := &p.disk.records[keyOf(key)]
	if now.version != old {
		return record.ErrConflict
	}
	p.heads++
	*now, p.disk.head = value{string(state), old + 1}, p.heads
	p.disks = append(p.disks, p.disk)
	return nil
}

func (*store) Create(context.Context, record.Key, []byte) error {
	panic("every key has its record from the beginning")
}

func (*store) List(context.Context) iter.Seq2[record.Entry, error] {
	panic("nothing is asked of all keys at once")
}

// keyOf is the inverse of what a Guard makes of a key of this model.
func keyOf(key record.Key) int { return int(key[len(eth2.Root{})]) }

var errFault = errors.New("no answer")

// register is a counter as the host lets it be reached: a command is done or not,
// and an answer may be lost, but it is never a lie.
type register struct {
	p     *process
	value *uint64
}

func (r register) Read(context.Context) (uint64, error) {
	r.p.pause()
	if r.p.rng.IntN(80) == 0 {
		return 0, errFault
	}
	return *r.value, nil
}

func (r register) Increment(context.Context) error {
	r.p.pause()
	fault := r.p.rng.IntN(16)
	if fault != 0 {
		*r.value++
	}
	if fault < 2 {
		r.p.LostAnswers++
		return errFault
	}
	return nil
}

// counter is of one of the two kinds that there are: a register in a TPM, or what
// witnesses keep.
func (p *process) counter(value *uint64) rollback.Counter {
	r := register{p, value}
	if p.witnessed {
		return slow{r}
	}
	return rollback.Exclusive(r)
}

// A slow counter moves for one caller alone, who may hear of it when others have
// gone on from there; or, when several vie for it, for none.
type slow struct{ register }

func (c slow) Advance(_ context.Context, n uint64) error {
	c.p.pause()
	if *c.value != n-1 {
		return errFault
	}
	fault := c.p.rng.IntN(16)
	if fault != 0 {
		*c.value = n
	}
	for range c.p.rng.IntN(6) {
		c.p.pause()
	}
	if fault < 2 {
		c.p.LostAnswers++
		return errFault
	}
	return nil
}

// memos keep the memo on the process's disk. A write that fails may be there
// after all.
type memos process

func (m *memos) Load(context.Context) (*rollback.Memo, error) { return m.disk.memo, nil }

func (m *memos) Save(_ context.Context, memo rollback.Memo) error {
	p := (*process)(m)
	p.pause()
	fault := p.rng.IntN(16)
	if fault != 0 {
		p.disk.memo = &memo
		p.disks = append(p.disks, p.disk)
	}
	if fault < 2 {
		p.FailedWrites++
		return errFault
	}
	return nil
}
