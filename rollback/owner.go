package rollback

import (
	"context"
	"fmt"
	"sync"
)

// Config is what an Owner rests on. All of it is required.
type Config struct {
	Epochs Counter // the last epoch that was claimed by any copy
	Stops  Counter // how often a copy has stopped cleanly, or taken over from one that did
	Memos  Memos
	Head   func() [32]byte // names all that is recorded of what was signed
}

// An Owner is this copy's title to the epochs that it may sign in.
type Owner struct {
	cfg Config

	claiming sync.Mutex     // one claim, or the stop, at a time
	signing  sync.WaitGroup // what was allowed and is not recorded yet

	mu      sync.Mutex // guards what follows
	stopped error      // why, or nil
	tenure  Tenure     // if not owning, only Last and SourceFloor
	owning  bool
	durable bool // a memo has the tenure as it is
}

// Start takes up what the last copy has left. It owns that copy's epochs if that
// one has stopped cleanly and no other has come since, and else nothing before
// Claim. A counter that is behind what that copy has claimed is refused.
func Start(ctx context.Context, cfg Config) (*Owner, error) {
	epoch, err := cfg.Epochs.Read(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the last epoch that was claimed: %w", err)
	}
	memo, err := cfg.Memos.Load(ctx)
	if err != nil {
		return nil, fmt.Errorf("read what the last run has left: %w", err)
	}
	o := &Owner{cfg: cfg, tenure: Tenure{Last: epoch, SourceFloor: below(epoch, 1)}}
	switch {
	case memo == nil || memo.Tenure.Last < epoch:
		return o, nil
	case memo.Tenure.Last > epoch:
		return nil, fallen(memo.Tenure.Last, epoch)
	}
	heir, err := o.inherit(ctx, memo.Stop)
	switch {
	case err != nil:
		return nil, err
	case heir:
		o.tenure, o.owning, o.durable = memo.Tenure, true, true
	case memo.Tenure.Sealed:
		// The owner of the epoch sealed one ceiling for it, before its first vote
		// there. While the chain does not finalise it lies far below the epoch
		// before: without it a signer that crashed could not vote until the chain does.
		o.tenure.SourceFloor = memo.Tenure.Ceiling
	}
	return o, nil
}

// inherit tells whether this copy is the only heir of one that has stopped: that
// one's record is this very one, and of all copies that were started with it no
// other has advanced the counter of stops.
func (o *Owner) inherit(ctx context.Context, stop *Stop) (bool, error) {
	if stop == nil || stop.Head != o.cfg.Head() {
		return false, nil
	}
	generation, err := o.cfg.Stops.Read(ctx)
	if err != nil {
		return false, fmt.Errorf("read how often this signer has stopped: %w", err)
	}
	if generation != stop.Generation {
		return false, nil
	}
	return o.cfg.Stops.Advance(ctx, generation+1) == nil, nil
}

// Claim claims every epoch up to and including one that no copy has claimed. It
// is for a clock to call, never for a request: each epoch that is claimed is
// lost to all other copies, and an absurd one would be so for ever.
//
// After an error it may be called again.
func (o *Owner) Claim(ctx context.Context, upTo uint64) error {
	o.claiming.Lock()
	defer o.claiming.Unlock()
	if err := o.hasStopped(); err != nil {
		return err
	}
	claimed, err := o.cfg.Epochs.Read(ctx)
	if err != nil {
		return fmt.Errorf("read the last epoch that was claimed: %w", err)
	}
	if claimed < o.lastKnown() {
		o.stop(fallen(o.lastKnown(), claimed))
		return o.hasStopped()
	}
	for e := claimed + 1; e <= upTo; e++ {
		if err := o.cfg.Epochs.Advance(ctx, e); err != nil {
			return fmt.Errorf("claim epoch %d: %w", e, err)
		}
		o.own(e)
	}
	return nil
}

// fallen says that a copy has claimed an epoch which the counter has forgotten. It
// may have forgotten other copies' claims, too, so that nothing it says from now on
// keeps them apart.
func fallen(claimed, now uint64) error {
	return fmt.Errorf("%w: epoch %d was claimed, and now the counter says %d: who keeps it has forgotten, or was put back to an older state", ErrStopped, claimed, now)
}

// own takes possession of an epoch that Advance has given to this copy. If the
// epochs until then are not known, another copy may have voted in the one before,
// from as late a source as the one before that.
func (o *Owner) own(e uint64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	t := &o.tenure
	if t.Last != e-1 {
		t.SourceFloor = max(t.SourceFloor, below(e, 2))
	}
	if !o.owning || t.Last != e-1 {
		t.First = e
	}
	t.Last, t.Sealed = e, false
	o.owning, o.durable = true, false
}

// Propose returns nil if a block of that epoch may be signed, of those that this
// copy's own record allows. Recorded must be called as soon as that record is
// durable, or nothing is going to be signed.
func (o *Owner) Propose(_ context.Context, epoch uint64) (recorded func(), err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.allow(epoch)
}

// Attest returns nil if a vote from source to target may be signed, of those
// that this copy's own record allows. Recorded is as for Propose.
func (o *Owner) Attest(ctx context.Context, source, target uint64) (recorded func(), err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case source >= target && target != 0:
		return nil, fmt.Errorf("%w: source epoch %d is not before target epoch %d", ErrSource, source, target)
	case source < o.tenure.SourceFloor:
		return nil, fmt.Errorf("%w: source epoch %d is before epoch %d", ErrSource, source, o.tenure.SourceFloor)
	}
	recorded, err = o.allow(target)
	if err != nil {
		return nil, err
	}
	if err = o.seal(ctx, source); err == nil && source > o.tenure.Ceiling {
		err = fmt.Errorf("%w: source epoch %d is after epoch %d, the ceiling of this epoch's votes", ErrSource, source, o.tenure.Ceiling)
	}
	if err != nil {
		recorded()
		return nil, err
	}
	return recorded, nil
}

func (o *Owner) allow(epoch uint64) (recorded func(), err error) {
	switch {
	case o.stopped != nil:
		return nil, o.stopped
	case !o.owning || epoch < o.tenure.First || epoch > o.tenure.Last:
		return nil, fmt.Errorf("%w: epoch %d", ErrNotOwned, epoch)
	}
	o.signing.Add(1)
	return o.signing.Done, nil
}

// seal makes the ceiling durable before the first vote after a claim. There is
// only ever one until the next claim: of two, the host could show the lower to
// another copy. So it leaves room for what an honest client may ask later.
func (o *Owner) seal(ctx context.Context, source uint64) error {
	t := &o.tenure
	if t.Sealed && o.durable {
		return nil
	}
	if !t.Sealed {
		t.Sealed, t.Ceiling = true, max(t.Ceiling, t.SourceFloor, ceiling(source, t.Last))
	}
	if err := o.cfg.Memos.Save(ctx, Memo{Tenure: *t}); err != nil {
		return fmt.Errorf("seal the ceiling of epoch %d: %w", t.Last, err)
	}
	o.durable = true
	return nil
}

// ceiling leaves room for the checkpoints that are justified next, where the
// chain finalises. Where it does not, room would cost the votes after a crash.
func ceiling(source, epoch uint64) uint64 {
	if below(epoch, 3) <= source {
		return below(epoch, 1)
	}
	return source
}

// Stop ends this copy's life so that the next loses nothing. It waits until all
// that was allowed is recorded, and nothing is allowed any more. The record that
// Head names must not change after it. Who owns nothing has nothing to leave.
//
// After an error the next copy starts as after a crash.
func (o *Owner) Stop(ctx context.Context) error {
	o.claiming.Lock()
	defer o.claiming.Unlock()
	if err := o.hasStopped(); err != nil {
		return err
	}
	o.stop(ErrStopped)
	o.signing.Wait()
	if !o.owning {
		return nil
	}
	generation, err := o.cfg.Stops.Read(ctx)
	if err != nil {
		return fmt.Errorf("read how often this signer has stopped: %w", err)
	}
	stop := &Stop{Generation: generation + 1, Head: o.cfg.Head()}
	if err := o.cfg.Memos.Save(ctx, Memo{Tenure: o.tenure, Stop: stop}); err != nil {
		return fmt.Errorf("save what the next run inherits: %w", err)
	}
	if err := o.cfg.Stops.Advance(ctx, stop.Generation); err != nil {
		return fmt.Errorf("count this stop: %w", err)
	}
	return nil
}

func (o *Owner) stop(why error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.stopped = why
}

func (o *Owner) hasStopped() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.stopped
}

func (o *Owner) lastKnown() uint64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.tenure.Last
}

// Tenure tells what this copy may sign now, and whether that is anything: if it is
// not owning, only Last and SourceFloor mean something.
func (o *Owner) Tenure() (t Tenure, owning bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.tenure, o.owning && o.stopped == nil
}

// below returns e-n, or 0 where the chain was not that old.
func below(e, n uint64) uint64 { return max(e, n) - n }
