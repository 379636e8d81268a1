// Package rollback keeps the horizon: what any copy of this signer may already
// have signed, remembered where the host cannot roll it back.
//
// The record of what was signed lies on a disk that the host owns. He can put
// an old one back, or start a second copy of the signer on a copy of the disk,
// and each would believe that it has not signed yet. So an epoch is signed in by
// one copy only, for ever: the one that owns it, because it moved a counter
// outside of the host's power from the epoch before to that one.
//
// # Guaranteed
//
// Of all copies that share their counters and ask an Owner before they sign, as
// long as each keeps its own record of what it signed while it runs (package
// slashing), no two together sign two blocks for one slot, two votes for one
// target, or a vote that surrounds another: whatever disk each was started
// with, whenever each is killed, and whatever the host does with the counter's
// answers short of forging them.
//
// # Not guaranteed
//
//   - That the host lets it sign: he can always stop the signer.
//   - Anything, where a Counter can be rolled back or its answers forged: a TPM in
//     software on the same host is worth nothing. A copy that remembers a later epoch
//     than the counter signs no more, which finds accidents and no adversary.
//   - That nothing is lost by a crash: the rest of its epoch is. A clean stop
//     loses nothing.
//
// Rules and Counter are proved by a model that runs this very code against an
// adversary: see TestNoScheduleIsSlashable. Source of the problem: Matetic et
// al., "ROTE: Rollback Protection for Trusted Execution", 2017; of clones beside
// it: Briongos et al., "No Forking Way", 2023.
package rollback

import "context"

// A Counter is a number outside of the host's power. It only rises, by one at a
// time.
type Counter interface {
	Read(ctx context.Context) (uint64, error)

	// Advance moves the counter from n-1 to n. It returns nil only if this very
	// call did so: of all calls ever made for n, by whatever copy, it does that
	// for one at most. After an error the counter may have been moved or not, by
	// this call or another.
	Advance(ctx context.Context, n uint64) error
}

// A Memo is what a copy leaves on its disk for the next one. It must be sealed
// like the record of what was signed. An old one does no harm, nor does the loss
// of one, except that more is refused after the next start.
type Memo struct {
	Tenure Tenure
	Stop   *Stop // nil unless the copy has stopped cleanly
}

// A Tenure is what one copy may sign, until it claims the next epoch.
type Tenure struct {
	First, Last uint64 // the epochs that it owns

	// Of all votes by other copies, or by this one before it was started, whose
	// target is not past Last, none is from a later source than SourceFloor. This
	// copy votes from no earlier one.
	SourceFloor uint64

	// None of this copy's votes is from a later source than Ceiling, until it claims
	// an epoch past Last. Before it is sealed it only bounds those that it cast until
	// it claimed Last, and no vote is cast.
	Ceiling uint64
	Sealed  bool
}

// A Stop is the last act of a copy that will never sign again.
type Stop struct {
	Generation uint64   // what the counter of stops is moved to after it
	Head       [32]byte // names all that was recorded of what was signed
}

// Memos keep one Memo.
type Memos interface {
	// Load returns the last memo that was saved, or nil if there is none that can
	// be read.
	Load(ctx context.Context) (*Memo, error)

	// Save replaces it, and returns nil only once the new one is durable.
	Save(ctx context.Context, m Memo) error
}

var (
	// ErrNotOwned means that this copy may not sign in that epoch, as another may.
	ErrNotOwned error = &refusal{"horizon_not_owned", "this signer does not own the epoch"}
	// ErrSource means that a vote might surround, or be surrounded by, one of
	// another copy.
	ErrSource error = &refusal{"horizon_source", "the source may conflict with what another copy has signed"}
	// ErrStopped means that this copy has stopped, or must, for good.
	ErrStopped error = &refusal{"horizon_not_owned", "this signer signs no more"}
)

// A refusal is an error that knows its reason, of those that package signer lists.
type refusal struct{ reason, text string }

func (r *refusal) Error() string  { return r.text }
func (r *refusal) Reason() string { return r.reason }
