package signer

import (
	"errors"
	"fmt"
	"slices"
)

// A Reason is the machine-readable cause of a refusal. The list is closed:
// docs/errors.md documents each, and a test holds the two together.
type Reason string

// Why a request was not signed.
const (
	// The message conflicts, or cannot be proved not to.
	ReasonDoubleBlock       Reason = "double_block"
	ReasonDoubleVote        Reason = "double_vote"
	ReasonSurroundVote      Reason = "surround_vote"
	ReasonBelowWatermark    Reason = "below_watermark"
	ReasonBelowFloor        Reason = "below_floor"
	ReasonSourceAfterTarget Reason = "source_after_target"
	ReasonTooFarFuture      Reason = "too_far_future"
	ReasonHighWatermark     Reason = "high_watermark"
	ReasonKeyDisabled       Reason = "key_disabled"
	ReasonNoRecord          Reason = "no_record"
	ReasonForeignChain      Reason = "foreign_chain"
	ReasonHorizonSource     Reason = "horizon_source"

	// The request is not one that can be signed.
	ReasonMalformedRequest    Reason = "malformed_request"
	ReasonBodyTooLarge        Reason = "body_too_large"
	ReasonInvalidMessage      Reason = "invalid_message"
	ReasonUnknownFork         Reason = "unknown_fork"
	ReasonSigningRootMismatch Reason = "signing_root_mismatch"
	ReasonPubkeyMismatch      Reason = "pubkey_mismatch"

	// The caller may not, or the key is not here.
	ReasonKindNotAllowed Reason = "kind_not_allowed"
	ReasonKeyNotAllowed  Reason = "key_not_allowed"
	ReasonKeyNotFound    Reason = "key_not_found"

	// The signer cannot sign safely just now.
	ReasonStoreUnavailable Reason = "store_unavailable"
	ReasonHorizonNotOwned  Reason = "horizon_not_owned"
	ReasonLoading          Reason = "loading"
	ReasonShuttingDown     Reason = "shutting_down"
	ReasonOverloaded       Reason = "overloaded"
	ReasonAuditUnavailable Reason = "audit_unavailable"
	ReasonClientGone       Reason = "client_gone"
	ReasonInternal         Reason = "internal"
)

// Reasons returns the closed list, in the order of the documentation.
func Reasons() []Reason {
	return []Reason{
		ReasonDoubleBlock, ReasonDoubleVote, ReasonSurroundVote, ReasonBelowWatermark,
		ReasonBelowFloor, ReasonSourceAfterTarget, ReasonTooFarFuture, ReasonHighWatermark, ReasonKeyDisabled,
		ReasonNoRecord, ReasonForeignChain, ReasonHorizonSource,
		ReasonMalformedRequest, ReasonBodyTooLarge, ReasonInvalidMessage, ReasonUnknownFork,
		ReasonSigningRootMismatch, ReasonPubkeyMismatch,
		ReasonKindNotAllowed, ReasonKeyNotAllowed, ReasonKeyNotFound,
		ReasonStoreUnavailable, ReasonHorizonNotOwned, ReasonLoading, ReasonShuttingDown, ReasonOverloaded, ReasonAuditUnavailable, ReasonClientGone, ReasonInternal,
	}
}

// A Refusal is the only error that Sign returns.
type Refusal struct {
	Reason Reason
	Err    error
}

func (r *Refusal) Error() string { return fmt.Sprintf("%s: %v", r.Reason, r.Err) }
func (r *Refusal) Unwrap() error { return r.Err }

// refuse wraps err. An error that knows its own reason keeps it, if the reason
// is one of ours; otherwise the reason is unless.
func refuse(unless Reason, err error) *Refusal {
	var own interface{ Reason() string }
	if errors.As(err, &own) && slices.Contains(Reasons(), Reason(own.Reason())) {
		return &Refusal{Reason: Reason(own.Reason()), Err: err}
	}
	return &Refusal{Reason: unless, Err: err}
}
