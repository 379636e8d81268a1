package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/secure-signer/secure-signer/eth2"
	"github.com/secure-signer/secure-signer/internal/telemetry"
	"github.com/secure-signer/secure-signer/management"
	"github.com/secure-signer/secure-signer/rollback"
	"github.com/secure-signer/secure-signer/web3signer"
)

// A horizonState is what a horizon shows of itself at one moment.
type horizonState struct {
	tenure  rollback.Tenure
	owning  bool
	current bool // the clock's epoch is owned, or none is due yet
	waiting bool // it is not, as after any crash: another life has claimed all before next
	next    eth2.Epoch
	err     error // why what is due is not claimed
	why     string
}

// claimedElsewhere is what may have become of an epoch that this run does not own.
const claimedElsewhere = "claimed by another copy of this signer, of which only one should run, or by a claim of this one whose answer was lost"

func (h *horizon) state(now time.Time) horizonState {
	h.mu.Lock()
	s := horizonState{next: h.found + 1, err: h.err}
	claimed := h.claimed
	h.mu.Unlock()
	current, _ := h.clock.due(now)
	if owner := h.owner.Load(); owner != nil {
		s.tenure, s.owning = owner.Tenure()
		s.waiting = s.err == nil && current < s.next
	}
	_, started := h.clock.network.SlotAt(now.Unix())
	s.current = !started || s.owning && uint64(current) >= s.tenure.First && uint64(current) <= s.tenure.Last
	switch {
	case s.err != nil:
		s.why = s.err.Error()
	case s.current:
	case h.owner.Load() == nil:
		s.why = "the keeper of the horizon has not answered yet"
	case s.waiting:
		s.why = h.clock.waitFor(s.next, now)
	case claimed < current:
		s.why = fmt.Sprintf("the epochs that were missed are being claimed: %d of %d", claimed, current)
	default:
		s.why = "the epoch was " + claimedElsewhere
	}
	return s
}

// explain says to who was refused until when it lasts, if it ends by itself.
func (h *horizon) explain(err error) error {
	if !errors.Is(err, rollback.ErrNotOwned) {
		return err
	}
	if s := h.state(time.Now()); s.waiting && !s.current {
		return fmt.Errorf("%w: %s", err, s.why)
	}
	return fmt.Errorf("%w: signerctl status says which are owned, and why no more", err)
}

// needed is the line of /healthcheck by which a horizon takes the signer down:
// where the present epoch is not owned, and should be.
func (h *horizon) needed() []web3signer.Check {
	if h == nil {
		return nil
	}
	if c, waiting := h.check(); !waiting {
		return []web3signer.Check{c}
	}
	return nil
}

// awaited is that line while a crash is waited out. It takes nothing down: who
// restarted the signer for it would only wait again.
func (h *horizon) awaited() []web3signer.Check {
	if h == nil {
		return nil
	}
	if c, waiting := h.check(); waiting {
		return []web3signer.Check{c}
	}
	return nil
}

func (h *horizon) check() (c web3signer.Check, waiting bool) {
	s := h.state(time.Now())
	c = web3signer.Check{ID: "horizon-check", Up: web3signer.Up(s.current), Data: map[string]any{"kind": h.kind}}
	if s.owning {
		c.Data["owned-epoch"] = s.tenure.Last
	}
	if s.waiting && !s.current {
		c.Data["waits-for-epoch"] = s.next
	}
	if s.err != nil {
		c.Data["claims"] = "failing: the log says why"
	}
	if missing := h.keeper.whoIsMissing(); len(missing) > 0 {
		c.Data["silent-witnesses"] = len(missing)
	}
	return c, !s.current && s.waiting
}

// whoIsMissing says of each that has not answered last what is wrong. Claims go on
// as long as most do, so nothing else would show it before the next one fails.
func (k *keeper) whoIsMissing() []error {
	if k.missing == nil {
		return nil
	}
	return k.missing()
}

func (k *keeper) shown() string {
	if missing := k.whoIsMissing(); len(missing) > 0 {
		return fmt.Sprintf("%s; silent: %d", k.about, len(missing))
	}
	return k.about
}

// banner is what a start shows of it.
func (h *horizon) banner() string {
	if h == nil {
		return "none: an older disk, or a second copy of this signer, goes unnoticed"
	}
	text := h.kind + ", " + h.keeper.shown()
	if s := h.state(time.Now()); !s.current {
		text += "\n            NO BLOCK AND NO VOTE is signed now: " + s.why
	}
	return text
}

// status is what GET /signer/v1/status tells, or nil if there is no horizon.
func (h *horizon) status() *management.Horizon {
	if h == nil {
		return nil
	}
	s := h.state(time.Now())
	m := &management.Horizon{Kind: h.kind, Keeper: h.keeper.shown(), Owned: s.current}
	if s.owning {
		m.First, m.Last = (*eth2.Epoch)(&s.tenure.First), (*eth2.Epoch)(&s.tenure.Last)
	}
	if h.owner.Load() != nil {
		m.SourceFloor = (*eth2.Epoch)(&s.tenure.SourceFloor)
	}
	m.Error = s.why
	return m
}

// metrics are read at each scrape.
func (h *horizon) metrics() telemetry.Horizon {
	s := h.state(time.Now())
	h.mu.Lock()
	defer h.mu.Unlock()
	m := telemetry.Horizon{Owned: s.current, Claims: h.claims, Failed: h.refused}
	if s.owning {
		m.LastEpoch = s.tenure.Last
	}
	return m
}
