package slashing

import (
	"errors"
	"fmt"
)

// ErrSlashable is what every *Refusal is: the message could be slashed, or it
// cannot be proved that it could not. Any other error of Guard.Record means that
// nothing is known of the message.
var ErrSlashable = errors.New("not provably safe to sign")

// ErrNoRecord means that nothing is known of what a key has signed on this
// chain. A key without a record is never one that has not signed.
var ErrNoRecord = errors.New("no slashing record")

// A Refusal says why a message is not signed: which rule, the limit and the
// value that breaks it.
type Refusal struct {
	reason string
	err    error
}

// Reasons of refusals. Package signer owns the closed list of all reasons.
const (
	reasonDoubleBlock       = "double_block"        // another block was signed for that slot
	reasonDoubleVote        = "double_vote"         // another vote was signed for that target
	reasonSurroundVote      = "surround_vote"       // would surround the last vote
	reasonBelowWatermark    = "below_watermark"     // before the last one signed: what was signed there is forgotten
	reasonBelowFloor        = "below_floor"         // what was signed there was never known
	reasonSourceAfterTarget = "source_after_target" // no such vote
	reasonTooFarFuture      = "too_far_future"      // would make everything until then unsignable
	reasonHighWatermark     = "high_watermark"      // this signer stops before it
	reasonKeyDisabled       = "key_disabled"
	reasonNoRecord          = "no_record"
)

func refuse(reason, format string, args ...any) error {
	return &Refusal{reason: reason, err: fmt.Errorf(format, args...)}
}

func errDisabled() error {
	return refuse(reasonKeyDisabled, "the key is disabled: it was deleted, or only its history is here")
}

// Error returns the rule, the limit and the value.
func (r *Refusal) Error() string { return r.err.Error() }

// Reason returns the machine-readable cause: double_block, double_vote,
// surround_vote, below_watermark, below_floor, source_after_target,
// too_far_future, high_watermark, key_disabled, no_record, or one that Epochs
// have given.
func (r *Refusal) Reason() string { return r.reason }

// Unwrap makes every Refusal ErrSlashable.
func (r *Refusal) Unwrap() []error { return []error{ErrSlashable, r.err} }
