package management

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/secure-signer/secure-signer/bls"
	"github.com/secure-signer/secure-signer/custody"
	"github.com/secure-signer/secure-signer/eth2"
	"github.com/secure-signer/secure-signer/internal/httpjson"
	"github.com/secure-signer/secure-signer/signer"
	"github.com/secure-signer/secure-signer/slashing"
)

// A Verdict is the answer of GET /signer/v1/slashing/{pubkey}/verdict: what a
// client that asked right now for a block or a vote, not signed before, would be
// told. Only what was asked about is there.
type Verdict struct {
	Pubkey      bls.PublicKey       `json:"pubkey"`
	Block       *BlockVerdict       `json:"block,omitzero"`
	Attestation *AttestationVerdict `json:"attestation,omitzero"`
}

// A BlockVerdict is that on a block.
type BlockVerdict struct {
	Slot eth2.Slot `json:"slot"`
	Judgement
	FromSlot *eth2.Slot `json:"from_slot,omitzero"` // the first that is signed, when its time has come
}

// An AttestationVerdict is that on a vote.
type AttestationVerdict struct {
	SourceEpoch eth2.Epoch `json:"source_epoch"`
	TargetEpoch eth2.Epoch `json:"target_epoch"`
	Judgement
	FromEpoch *eth2.Epoch `json:"from_epoch,omitzero"` // the first target that is signed, from a source that is late enough
}

// A Judgement is one answer of signing.
type Judgement struct {
	Allowed  bool   `json:"allowed"`
	Reason   string `json:"reason,omitzero"`  // of docs/errors.md
	Message  string `json:"message,omitzero"` // why not
	FromTime string `json:"from_time,omitzero"`
}

// showVerdict writes no record.
func (h *handler) showVerdict(w http.ResponseWriter, r *http.Request) {
	var pub bls.PublicKey
	if err := pub.UnmarshalText([]byte(r.PathValue("pubkey"))); err != nil {
		httpjson.WriteError(w, http.StatusBadRequest, httpjson.ReasonMalformedRequest, "pubkey: "+err.Error())
		return
	}
	v, err := h.asked(r.URL.Query(), time.Now())
	if err != nil {
		httpjson.WriteError(w, http.StatusBadRequest, httpjson.ReasonMalformedRequest, err.Error())
		return
	}
	v.Pubkey = pub
	absent := h.absent(r.Context(), pub)
	if v.Block != nil && err == nil {
		err = h.judgeBlock(r.Context(), pub, absent, v.Block)
	}
	if v.Attestation != nil && err == nil {
		err = h.judgeVote(r.Context(), pub, absent, v.Attestation)
	}
	if err != nil {
		writeStateError(w, err)
		return
	}
	httpjson.WriteJSON(w, http.StatusOK, v)
}

// asked reads what a request asks about: a slot, a vote, or the duties of an
// epoch, which is the present one unless it says another.
func (h *handler) asked(query url.Values, now time.Time) (v Verdict, err error) {
	numbers := make(map[string]uint64)
	for name, values := range query {
		n, err := strconv.ParseUint(values[0], 10, 64)
		if !slices.Contains([]string{"epoch", "slot", "source", "target"}, name) || len(values) > 1 || err != nil {
			return v, fmt.Errorf("%.32q: want numbers, and only epoch, slot, or source and target, each once", name)
		}
		numbers[name] = n
	}
	_, source := numbers["source"]
	_, target := numbers["target"]
	_, slot := numbers["slot"]
	epoch, hasEpoch := numbers["epoch"]
	switch {
	case source != target || slot && source || hasEpoch && (slot || source):
		return v, errors.New("want one of epoch, slot, or source and target together")
	case slot:
		v.Block = &BlockVerdict{Slot: eth2.Slot(numbers["slot"])}
		return v, nil
	case source:
		v.Attestation = &AttestationVerdict{SourceEpoch: eth2.Epoch(numbers["source"]), TargetEpoch: eth2.Epoch(numbers["target"])}
		return v, nil
	}
	present, started := h.Network.SlotAt(now.Unix())
	if !hasEpoch && !started && h.Network.GenesisTime == 0 {
		return v, errors.New("the time of genesis is not known, so the clock tells no epoch: say which")
	}
	e, first := h.Network.EpochOf(present), present
	if hasEpoch && eth2.Epoch(epoch) != e {
		e, first = eth2.Epoch(epoch), h.Network.FirstSlot(eth2.Epoch(epoch))
	}
	v.Block = &BlockVerdict{Slot: first}
	v.Attestation = &AttestationVerdict{SourceEpoch: slashing.LatestSource(e), TargetEpoch: e}
	return v, nil
}

// absent is why a key signs nothing at all, or nil.
func (h *handler) absent(ctx context.Context, pub bls.PublicKey) *refusal {
	if _, ok := h.Custody.Keyring.Key(pub); ok {
		return nil
	}
	switch {
	case !h.Custody.Ready():
		return &refusal{string(signer.ReasonLoading), custody.ErrLoading.Error()}
	case !slices.Contains(h.Held(), pub):
		return &refusal{string(signer.ReasonKeyNotFound), fmt.Sprintf("no key %v is held here", pub)}
	}
	why := errors.New("it has just come into service: ask again")
	if err := h.Custody.WhyWithheld(ctx, pub); err != nil {
		why = err
	}
	return &refusal{string(signer.ReasonKeyNotFound), "the key is held, but not in service: " + why.Error()}
}

func (h *handler) judgeBlock(ctx context.Context, pub bls.PublicKey, absent *refusal, v *BlockVerdict) error {
	if absent != nil {
		v.Judgement = absent.judgement()
		return nil
	}
	err := h.Guard.MayPropose(ctx, h.owned(), pub, v.Slot)
	if v.Judgement, err = judgementOf(err); err != nil || v.Allowed || isHorizons(v.Reason) {
		return err
	}
	if next, ok := h.Guard.NextBlock(ctx, pub, v.Slot); ok {
		v.FromSlot, v.FromTime = &next, h.begins(next)
	}
	return nil
}

func (h *handler) judgeVote(ctx context.Context, pub bls.PublicKey, absent *refusal, v *AttestationVerdict) error {
	if absent != nil {
		v.Judgement = absent.judgement()
		return nil
	}
	err := h.Guard.MayAttest(ctx, h.owned(), pub, v.SourceEpoch, v.TargetEpoch)
	if v.Judgement, err = judgementOf(err); err != nil || v.Allowed || isHorizons(v.Reason) {
		return err
	}
	if next, ok := h.Guard.NextVote(ctx, pub, v.TargetEpoch); ok {
		v.FromEpoch, v.FromTime = &next, h.begins(h.Network.FirstSlot(next))
	}
	return nil
}

// isHorizons tells whether the horizon refuses. What it will own is not known
// before the claim.
func isHorizons(reason string) bool {
	return reason == string(signer.ReasonHorizonNotOwned) || reason == string(signer.ReasonHorizonSource)
}

// judgementOf tells a refusal from what leaves the question open.
func judgementOf(err error) (Judgement, error) {
	var r *slashing.Refusal
	switch {
	case err == nil:
		return Judgement{Allowed: true}, nil
	case errors.As(err, &r):
		return Judgement{Reason: r.Reason(), Message: r.Error()}, nil
	}
	return Judgement{}, err
}

// begins is when a slot does, or nothing where that is not known or in no
// calendar.
func (h *handler) begins(slot eth2.Slot) string {
	const lastYear = 253402300799 // RFC 3339 has four digits for it
	n := h.Network
	if n.GenesisTime == 0 || n.SecondsPerSlot == 0 || uint64(slot) > (lastYear-min(n.GenesisTime, lastYear))/n.SecondsPerSlot {
		return ""
	}
	return time.Unix(int64(n.GenesisTime+uint64(slot)*n.SecondsPerSlot), 0).UTC().Format(time.RFC3339)
}

// A refusal has one of the reasons of package signer.
type refusal struct{ reason, message string }

func (r *refusal) Error() string        { return r.message }
func (r *refusal) Reason() string       { return r.reason }
func (r *refusal) judgement() Judgement { return Judgement{Reason: r.reason, Message: r.message} }

// owned is what the horizon shows of itself. The horizon itself is not asked: it
// answers the first vote of an epoch by fixing the ceiling of all others.
func (h *handler) owned() slashing.Epochs {
	if shown := h.horizon(); shown != nil {
		return shownEpochs{shown}
	}
	return nil
}

// shownEpochs judge by what a horizon shows. The ceiling of an epoch's sources is
// not shown: it binds only a client that votes from a source later than it should.
type shownEpochs struct{ *Horizon }

func (e shownEpochs) Propose(_ context.Context, epoch uint64) (func(), error) {
	if e.First == nil || e.Last == nil || epoch < uint64(*e.First) || epoch > uint64(*e.Last) {
		why := cmp.Or(e.Error, "it claims each epoch when that begins")
		return nil, &refusal{string(signer.ReasonHorizonNotOwned), fmt.Sprintf("the horizon does not own epoch %d: %s", epoch, why)}
	}
	return func() {}, nil
}

func (e shownEpochs) Attest(ctx context.Context, source, target uint64) (func(), error) {
	if e.SourceFloor != nil && source < uint64(*e.SourceFloor) {
		return nil, &refusal{string(signer.ReasonHorizonSource), fmt.Sprintf("another copy of this signer may have voted: source epoch %d is before epoch %d", source, *e.SourceFloor)}
	}
	return e.Propose(ctx, target)
}
