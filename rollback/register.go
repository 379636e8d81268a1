package rollback

import (
	"context"
	"errors"
	"fmt"
)

// A Register is a counter that tells nobody who has moved it, such as one in the
// non-volatile memory of a TPM. Whatever it returns without an error must be
// authenticated: the host carries the questions and the answers.
type Register interface {
	Read(ctx context.Context) (uint64, error)

	// Increment adds one. It returns nil only if this call certainly did.
	Increment(ctx context.Context) error
}

// Exclusive makes a Counter of a Register. A move from n-1 to n is this copy's own
// only if the register was at n-1 before, this copy's own increment succeeded,
// and the register is at n after it: any other copy's increment in between would
// show. An increment whose answer is lost counts for nobody, as another copy's
// may have been the one that moved the register.
func Exclusive(r Register) Counter { return exclusive{r} }

type exclusive struct{ Register }

var errMoved = errors.New("the counter was moved by another copy of this signer")

func (x exclusive) Advance(ctx context.Context, n uint64) error {
	before, err := x.Read(ctx)
	if err != nil {
		return err
	}
	if before != n-1 {
		return fmt.Errorf("%w: it is at %d, and not at %d", errMoved, before, n-1)
	}
	if err := x.Increment(ctx); err != nil {
		return err
	}
	after, err := x.Read(ctx)
	if err != nil {
		return err
	}
	if after != n {
		return fmt.Errorf("%w: it is at %d, and not at %d", errMoved, after, n)
	}
	return nil
}
