package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/secure-signer/secure-signer/eth2"
	"github.com/secure-signer/secure-signer/internal/datadir"
	"github.com/secure-signer/secure-signer/record/journal"
	"github.com/secure-signer/secure-signer/rollback"
	"github.com/secure-signer/secure-signer/rollback/memo"
	"github.com/secure-signer/secure-signer/vault"
)

// A horizon claims epochs by the clock, and lets the Guard sign in those that it
// owns. Until its keeper has answered it owns none, and everything that cannot be
// slashed is signed all the same.
type horizon struct {
	kind   string
	keeper *keeper
	gone   string // what to do where the keeper has forgotten
	clock  claimClock
	config rollback.Config
	log    *slog.Logger

	owner   atomic.Pointer[rollback.Owner] // nil until Start has succeeded
	looked  chan struct{}                  // closed once the keeper was asked for the first time
	ended   chan struct{}                  // closed once run has returned; nil before it is called
	said    time.Time                      // run's own: when the log last told of an error
	missing int                            // run's own: of how many keepers the log last told

	mu              sync.Mutex // guards what follows
	err             error      // why what is due is not claimed
	claimed         eth2.Epoch // the last one that was, by whatever copy, as far as is known
	found           eth2.Epoch // what claimed was at the start: another life's
	claims, refused uint64     // of this copy's claims, those that succeeded and not
}

// openHorizon opens the horizon of a folder, or returns nil if it has none. Of what
// the keeper remembers nothing is known before run.
func openHorizon(ctx context.Context, d datadir.Folder, v *vault.Vault, j *journal.Store, f claimFlags, log *slog.Logger) (*horizon, error) {
	k, err := openKeeper(ctx, d, v, f.tpm.path)
	if k == nil || err != nil {
		return nil, err
	}
	if d.Network.GenesisTime == 0 {
		return nil, errors.Join(errors.New("epochs are claimed by the clock, and config.yaml has lost the network's time of genesis: put it back from a backup"), k.close(ctx))
	}
	memos := memo.New(d.HorizonMemo(), v.DeriveKey(horizonMemoLabel), log)
	head := func() [32]byte { _, hash := j.Head(); return hash }
	h := newHorizon(d.Binding.Horizon.Kind, k, d.Network, f, memos, head, log)
	h.gone = anotherHorizon(d)
	return h, nil
}

func newHorizon(kind string, k *keeper, network *eth2.Network, f claimFlags, memos rollback.Memos, head func() [32]byte, log *slog.Logger) *horizon {
	return &horizon{
		kind:   kind,
		keeper: k,
		clock:  claimClock{network: network, started: time.Now(), until: f.until.value},
		config: rollback.Config{Epochs: k.epochs, Stops: k.stops, Memos: memos, Head: head},
		log:    log,
		looked: make(chan struct{}),
	}
}

// Propose implements slashing.Epochs.
func (h *horizon) Propose(ctx context.Context, epoch uint64) (recorded func(), err error) {
	owner := h.owner.Load()
	if owner == nil {
		return nil, h.silent()
	}
	recorded, err = owner.Propose(ctx, epoch)
	return recorded, h.explain(err)
}

// Attest implements slashing.Epochs.
func (h *horizon) Attest(ctx context.Context, source, target uint64) (recorded func(), err error) {
	owner := h.owner.Load()
	if owner == nil {
		return nil, h.silent()
	}
	recorded, err = owner.Attest(ctx, source, target)
	return recorded, h.explain(err)
}

func (h *horizon) silent() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if errors.Is(h.err, rollback.ErrStopped) { // what to do is not for clients
		return fmt.Errorf("%w: the keeper of the horizon has forgotten: the log says what to do", rollback.ErrStopped)
	}
	return fmt.Errorf("%w: the keeper of the horizon has not answered since the start", rollback.ErrNotOwned)
}

// begin runs the horizon, if there is one, until ctx is done.
func (h *horizon) begin(ctx context.Context) {
	if h != nil {
		h.ended = make(chan struct{})
		go h.run(ctx)
	}
}

// await waits until the keeper was asked for the first time, so that the signer does
// not say that it is ready a moment too early. A keeper that does not answer keeps
// it from nothing else.
func (h *horizon) await(ctx context.Context) {
	if h == nil {
		return
	}
	select {
	case <-h.looked:
	case <-time.After(firstAnswer):
	case <-ctx.Done():
	}
}

// run claims what is due, at the beginning of each slot, until ctx is done. A claim
// that has begun is finished first.
func (h *horizon) run(ctx context.Context) {
	defer close(h.ended)
	slot := max(time.Second, time.Duration(h.clock.network.SecondsPerSlot)*time.Second)
	for first := true; ; first = false {
		err := h.claimDue(ctx)
		if errors.Is(err, rollback.ErrStopped) { // by itself, for close has not been called
			err = fmt.Errorf("%w: %s", err, h.gone)
		}
		h.note(err)
		h.noteMissing()
		wait := h.untilNextSlot(time.Now(), slot)
		if err != nil {
			wait = min(wait, retryClaim)
		}
		if first {
			close(h.looked)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
	}
}

const (
	retryClaim   = 3 * time.Second
	sayAgain     = 5 * time.Minute
	keeperTime   = time.Minute      // for one claim, however busy the keeper is
	firstAnswer  = 10 * time.Second // that the signer waits for the keeper before it says that it is ready
	lastStopTime = 30 * time.Second
)

func (h *horizon) untilNextSlot(now time.Time, slot time.Duration) time.Duration {
	since := now.Sub(time.Unix(int64(h.clock.network.GenesisTime), 0))
	if since < 0 {
		return min(-since, slot)
	}
	return slot - since%slot
}

// claimDue claims every epoch that is due, one by one. The clock is read again
// before each: what it said while many are caught up with may have been wrong.
func (h *horizon) claimDue(ctx context.Context) error {
	owner, err := h.start(ctx)
	if err != nil {
		return err
	}
	for ctx.Err() == nil {
		if _, last := h.clock.due(time.Now()); last <= h.lastClaimed() {
			return nil
		}
		if err := h.claimOne(context.WithoutCancel(ctx), owner); err != nil {
			return err
		}
	}
	return nil
}

// start takes up what the last life has left. It is tried again until the keeper
// answers.
func (h *horizon) start(ctx context.Context) (*rollback.Owner, error) {
	if owner := h.owner.Load(); owner != nil {
		return owner, nil
	}
	ctx, cancel := context.WithTimeout(ctx, keeperTime)
	defer cancel()
	if err := h.keeper.prepare(ctx); err != nil {
		return nil, err
	}
	owner, err := rollback.Start(ctx, h.config)
	if err != nil {
		return nil, err
	}
	tenure, owning := owner.Tenure()
	h.mu.Lock()
	h.claimed, h.found = eth2.Epoch(tenure.Last), eth2.Epoch(tenure.Last)
	h.mu.Unlock()
	now := time.Now()
	current, _ := h.clock.due(now)
	switch {
	case owning:
		h.log.Info("horizon: the last run has stopped cleanly, and this one goes on in its epochs", "first", tenure.First, "last", tenure.Last)
	case uint64(current) <= tenure.Last:
		h.log.Warn("horizon: no block and no vote is signed yet", "why", h.clock.waitFor(eth2.Epoch(tenure.Last+1), now))
	}
	h.owner.Store(owner)
	return owner, nil
}

// claimOne claims the next epoch that no copy has claimed.
func (h *horizon) claimOne(ctx context.Context, owner *rollback.Owner) error {
	ctx, cancel := context.WithTimeout(ctx, keeperTime)
	defer cancel()
	at, err := h.keeper.epochs.Read(ctx)
	if err != nil {
		return err
	}
	claimed, now := eth2.Epoch(at), time.Now()
	switch known := h.lastClaimed(); {
	case claimed < known:
		return owner.Claim(ctx, uint64(known)) // which stops for good. To skip what is past would hide it
	case claimed > known:
		h.log.Warn("horizon: an epoch was "+claimedElsewhere, "until", claimed)
	}
	h.know(claimed)
	current, last := h.clock.due(now)
	if err := h.clock.check(now, now.Sub(h.clock.started), claimed); err != nil || last <= claimed {
		return err
	}
	if h.keeper.skip != nil && claimed+1 < current {
		if err := h.keeper.skip(ctx, uint64(current-1)); err != nil {
			return err
		}
		claimed = current - 1
	}
	err = owner.Claim(ctx, uint64(claimed+1))
	if tenure, owning := owner.Tenure(); err == nil && (!owning || tenure.Last <= uint64(claimed)) { // another copy came in between
		h.log.Warn("horizon: an epoch was "+claimedElsewhere, "until", claimed+1)
	} else {
		h.count(err)
	}
	if err != nil {
		return err
	}
	h.know(claimed + 1)
	return nil
}

func (h *horizon) lastClaimed() eth2.Epoch {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.claimed
}

func (h *horizon) know(claimed eth2.Epoch) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.claimed = claimed
}

func (h *horizon) count(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if err == nil {
		h.claims++
	} else {
		h.refused++
	}
}

// note keeps why nothing is claimed, and says it: when that begins, now and then
// while it lasts, and when it ends.
func (h *horizon) note(err error) {
	h.mu.Lock()
	before := h.err
	h.err = err
	h.mu.Unlock()
	switch {
	case err != nil && (before == nil || time.Since(h.said) >= sayAgain):
		h.said = time.Now()
		h.log.Error("horizon: no epoch is claimed", "error", err)
	case err == nil && before != nil:
		h.log.Info("horizon: its keeper answers again", "claimed", h.lastClaimed())
	}
}

// noteMissing says who of several keepers does not answer, when their number changes.
func (h *horizon) noteMissing() {
	missing := h.keeper.whoIsMissing()
	if len(missing) == h.missing {
		return
	}
	h.missing = len(missing)
	for _, err := range missing {
		h.log.Warn("horizon: a witness does not answer: epochs are claimed as long as most do", "error", err)
	}
	if len(missing) == 0 {
		h.log.Info("horizon: all witnesses answer")
	}
}

// close ends this run's life, so that the next loses nothing if recorded is nil: the
// record of what was signed is complete, and nothing is added to it.
func (h *horizon) close(recorded error) error {
	if h.ended != nil {
		<-h.ended
	}
	ctx, cancel := context.WithTimeout(context.Background(), lastStopTime)
	defer cancel()
	if owner := h.owner.Load(); owner != nil && recorded == nil {
		if err := owner.Stop(ctx); err != nil && !errors.Is(err, rollback.ErrStopped) {
			h.log.Warn("horizon: this stop could not be noted: the next start signs no block and no vote for the rest of the epoch", "error", err)
		}
	}
	return h.keeper.close(ctx)
}
