package web3signer

import (
	"context"
	"log/slog"

	"github.com/secure-signer/secure-signer/eth2"
)

// audit writes the one line of a decision and counts it. The signature and the
// body are in neither.
func (h *Handler) audit(ctx context.Context, d *decision) {
	var kind eth2.Kind
	attrs := make([]slog.Attr, 0, 10)
	attrs = append(attrs, slog.String("caller", d.caller.Name))
	if d.message != nil {
		kind = d.message.Kind()
		attrs = append(attrs, slog.String("kind", kind.String()), slog.String("pubkey", d.key.String()))
		attrs = appendDuty(attrs, d.message)
	}
	attrs = append(attrs, slog.Duration("took", d.took))

	if d.refusal != nil {
		h.cfg.Observe(kind, d.refusal.Reason, d.took)
		attrs = append(attrs, slog.String("reason", string(d.refusal.Reason)), slog.Any("error", d.refusal.Err))
		h.cfg.Log.LogAttrs(ctx, slog.LevelWarn, "refused", attrs...)
		return
	}
	h.cfg.Observe(kind, "", d.took)
	if h.cfg.Signer.Network.UnknownFork(d.message) {
		h.cfg.UnknownFork()
		attrs = append(attrs, slog.String("current_version", d.fork.Fork.CurrentVersion.String()))
		h.cfg.Log.LogAttrs(ctx, slog.LevelWarn, "signed under a fork that this release does not know: update the signer", attrs...)
		return
	}
	h.cfg.Log.LogAttrs(ctx, slog.LevelInfo, "signed", attrs...)
}

// appendDuty says when m is for.
func appendDuty(attrs []slog.Attr, m eth2.Message) []slog.Attr {
	slot := func(s eth2.Slot) []slog.Attr { return append(attrs, slog.Uint64("slot", uint64(s))) }
	epoch := func(e eth2.Epoch) []slog.Attr { return append(attrs, slog.Uint64("epoch", uint64(e))) }
	switch m := m.(type) {
	case *eth2.Attestation:
		return append(slot(m.Data.Slot),
			slog.Uint64("source", uint64(m.Data.Source.Epoch)), slog.Uint64("target", uint64(m.Data.Target.Epoch)))
	case *eth2.Block:
		return slot(m.Slot())
	case *eth2.AggregationSlot:
		return slot(m.Slot)
	case *eth2.AggregateAndProof:
		return slot(m.Data.Aggregate.Data.Slot)
	case *eth2.RandaoReveal:
		return epoch(m.Epoch)
	case *eth2.VoluntaryExit:
		return epoch(m.Data.Epoch)
	case *eth2.SyncCommitteeMessage:
		return slot(m.Slot)
	case *eth2.SyncCommitteeSelectionProof:
		return slot(m.Data.Slot)
	case *eth2.ContributionAndProof:
		return slot(m.Data.Contribution.Slot)
	case *eth2.ExecutionPayloadBid:
		return slot(m.Data.Slot)
	case *eth2.ExecutionPayloadEnvelope:
		return slot(m.Data.Payload.SlotNumber)
	case *eth2.PayloadAttestation:
		return slot(m.Data.Slot)
	case *eth2.ProposerPreferences:
		return slot(m.Data.ProposalSlot)
	case *eth2.BuilderRequestAuth:
		return slot(m.Data.Slot)
	}
	return attrs
}
