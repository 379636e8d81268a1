package linear

import (
	"fmt"
	"io"
	"math"
	"time"

	"github.com/anishathalye/porcupine"
)

// A Duty is a message that clients ask a signer to sign. A block has its slot as
// its target, and no source. Duties that differ only in their root conflict.
type Duty struct {
	Key            int
	Block          bool
	Source, Target uint64
	Root           int
}

// An Outcome is what a client knows of a request.
type Outcome int

// The outcomes.
const (
	Signed  Outcome = iota
	Refused         // as slashable, or not provably safe
	Unknown         // signed or not: the answer did not come, or says so
)

// An Asked is one request for a duty and its outcome, as a client saw it.
type Asked struct {
	Duty
	Client       int
	Outcome      Outcome
	Began, Ended time.Duration // since any moment that is the same for all
}

// A watermark is what a signer remembers of one key's blocks, or votes. Its zero
// value is: nothing signed.
type watermark struct {
	any  bool
	duty Duty
}

// allows is the rule of EIP-3076, minimal strategy, with the identical message
// signed again.
func (w watermark) allows(d Duty) bool {
	return !w.any || w.duty == d || d.Target > w.duty.Target && d.Source >= w.duty.Source
}

var signing = porcupine.NondeterministicModel{
	Init: func() []any { return []any{watermark{}} },
	Step: func(state, input, _ any) []any {
		w, a := state.(watermark), input.(Asked)
		signed := watermark{true, a.Duty}
		switch allowed := w.allows(a.Duty); {
		case a.Outcome == Unknown && allowed:
			return []any{w, signed}
		case a.Outcome == Signed && allowed:
			return []any{signed}
		case a.Outcome != Signed && !allowed:
			return []any{w}
		}
		return nil
	},
	Partition: func(history []porcupine.Operation) [][]porcupine.Operation {
		type part struct {
			key   int
			block bool
		}
		byPart := make(map[part][]porcupine.Operation)
		for _, op := range history {
			a := op.Input.(Asked)
			p := part{a.Key, a.Block}
			byPart[p] = append(byPart[p], op)
		}
		var parts [][]porcupine.Operation
		for _, p := range byPart {
			parts = append(parts, p)
		}
		return parts
	},
	DescribeOperation: func(input, _ any) string { return input.(Asked).String() },
	DescribeState:     func(state any) string { return fmt.Sprint(state) },
}

func (a Asked) String() string {
	outcome := [...]string{Signed: "signed", Refused: "refused", Unknown: "unknown"}[a.Outcome]
	if a.Block {
		return fmt.Sprintf("block %d/%d → %s", a.Target, a.Root, outcome)
	}
	return fmt.Sprintf("vote %d→%d/%d → %s", a.Source, a.Target, a.Root, outcome)
}

// CheckSigner searches for an order of all requests, in keeping with when they
// began and ended, in which a signer that does one thing at a time gives the
// same answers. It gives up after so long. If there is no order, draw writes an
// HTML page that shows where the search got stuck.
func CheckSigner(history []Asked, limit time.Duration) (result porcupine.CheckResult, draw func(io.Writer) error) {
	var ops []porcupine.Operation
	for _, a := range history {
		ended := int64(a.Ended)
		if a.Outcome == Unknown {
			ended = math.MaxInt64 // it may still happen
		}
		ops = append(ops, porcupine.Operation{ClientId: a.Client, Input: a, Call: int64(a.Began), Return: ended})
	}
	m := signing.ToModel()
	result, info := porcupine.CheckOperationsVerbose(m, ops, limit)
	return result, func(w io.Writer) error { return porcupine.Visualize(m, info, w) }
}
