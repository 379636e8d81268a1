package web3signer

import (
	"context"
	"log/slog"
	"time"

	"github.com/secure-signer/secure-signer/eth2"
	"github.com/secure-signer/secure-signer/signer"
)

// reserve takes the auditor's place for one decision.
func (h *Handler) reserve() *signer.Refusal {
	if h.cfg.Auditor == nil {
		return nil
	}
	err := h.cfg.Auditor.Reserve()
	switch {
	case err == nil:
		return nil
	case h.shutdown.Load():
		return refuseLate()
	}
	return refuse(signer.ReasonAuditUnavailable, err)
}

// decided fills that place. The root is that of the message, whatever was claimed.
func (h *Handler) decided(d *decision) {
	if h.cfg.Auditor == nil {
		return
	}
	kept := signer.Decision{Time: time.Now(), Caller: d.caller, Key: d.key, Message: d.message, Refusal: d.refusal}
	if d.message != nil {
		kept.Root, _ = d.message.SigningRoot(h.cfg.Signer.Network) // the refusal says why there is none
	}
	h.cfg.Auditor.Decided(kept)
}

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
	d := eth2.DutyOf(m)
	if d.Slot != nil {
		attrs = append(attrs, slog.Uint64("slot", uint64(*d.Slot)))
	}
	if d.Epoch != nil {
		attrs = append(attrs, slog.Uint64("epoch", uint64(*d.Epoch)))
	}
	if d.Source != nil && d.Target != nil {
		attrs = append(attrs, slog.Uint64("source", uint64(d.Source.Epoch)), slog.Uint64("target", uint64(d.Target.Epoch)))
	}
	return attrs
}
