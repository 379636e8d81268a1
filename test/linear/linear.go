// Package linear judges with porcupine whether what clients saw of a record
// store is linearizable: whether there is one order of all calls, in keeping with
// when they began and ended, in which a simple compare-and-swap register gives
// the same answers. Likewise for a signer: one order in which the rules against
// slashing, applied to one request at a time, sign and refuse the same.
package linear

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/secure-signer/secure-signer/record"
	"github.com/secure-signer/secure-signer/record/recordtest"
)

// A register is the state of one key. Its zero value is: no record.
type register struct {
	version record.Version
	value   string
}

// step returns the states in which c may leave a register, none if its answer
// shows that the register was not in that state.
func (r register) step(c recordtest.Call) []any {
	changed := register{r.version + 1, c.Value}
	switch allowed := r.allows(c); {
	case c.Method == recordtest.Load && c.Unknown:
		return []any{r}
	case c.Method == recordtest.Load && c.Err == nil:
		return only(r.version > 0 && r == register{c.Version, c.Value}, r)
	case c.Method == recordtest.Load:
		return only(errors.Is(c.Err, record.ErrNotFound) && r.version == 0, r)
	case c.Unknown && allowed == nil:
		return []any{r, changed}
	case c.Unknown:
		return []any{r}
	case c.Err != nil || allowed != nil:
		return only(allowed != nil && errors.Is(c.Err, allowed), r)
	case c.Method == recordtest.Replace && c.Value == r.value:
		return []any{r, changed} // the contract leaves open whether the version moves
	}
	return []any{changed}
}

// allows returns the error that a change must get from a register in this state.
func (r register) allows(c recordtest.Call) error {
	switch {
	case c.Method == recordtest.Create && r.version > 0:
		return record.ErrExists
	case c.Method == recordtest.Replace && r.version == 0:
		return record.ErrNotFound
	case c.Method == recordtest.Replace && r.version != c.Old:
		return record.ErrConflict
	}
	return nil
}

func only(ok bool, r register) []any {
	if !ok {
		return nil
	}
	return []any{r}
}

var model = porcupine.NondeterministicModel{
	Init: func() []any { return []any{register{}} },
	Step: func(state, input, _ any) []any { return state.(register).step(input.(recordtest.Call)) },
	Partition: func(history []porcupine.Operation) [][]porcupine.Operation {
		byKey := make(map[record.Key][]porcupine.Operation)
		for _, op := range history {
			key := op.Input.(recordtest.Call).Key
			byKey[key] = append(byKey[key], op)
		}
		var parts [][]porcupine.Operation
		for _, part := range byKey {
			parts = append(parts, part)
		}
		return parts
	},
	DescribeOperation: func(input, _ any) string { return describe(input.(recordtest.Call)) },
	DescribeState:     func(state any) string { return fmt.Sprint(state) },
}

func describe(c recordtest.Call) string {
	answer := "ok"
	switch {
	case c.Unknown:
		answer = "unknown"
	case c.Err != nil:
		answer = c.Err.Error()
	}
	switch c.Method {
	case recordtest.Load:
		return fmt.Sprintf("load %s → %d %q (%s)", c.Key, c.Version, c.Value, answer)
	case recordtest.Create:
		return fmt.Sprintf("create %s %q → %s", c.Key, c.Value, answer)
	}
	return fmt.Sprintf("replace %s %d %q → %s", c.Key, c.Old, c.Value, answer)
}

// Check searches for an order of the history for at most so long. If there is
// none, draw writes an HTML page that shows where the search got stuck.
func Check(h recordtest.History, limit time.Duration) (result porcupine.CheckResult, draw func(io.Writer) error) {
	var ops []porcupine.Operation
	for _, c := range seen(h) {
		ops = append(ops, porcupine.Operation{ClientId: c.Client, Input: c, Call: c.Began, Return: c.Ended})
	}
	m := model.ToModel()
	result, info := porcupine.CheckOperationsVerbose(m, ops, limit)
	return result, func(w io.Writer) error { return porcupine.Visualize(m, info, w) }
}

// seen leaves out the calls whose outcome is unknown and whose value nobody saw:
// the register allows that they never happened, so they only slow down the
// search. As the clients swap only from versions they have loaded, an unseen
// change cannot explain an answer either.
func seen(h recordtest.History) recordtest.History {
	values := make(map[string]bool)
	for _, c := range h {
		if !c.Unknown && c.Method == recordtest.Load && c.Err == nil {
			values[c.Value] = true
		}
	}
	return slices.DeleteFunc(slices.Clone(h), func(c recordtest.Call) bool {
		return c.Unknown && (c.Method == recordtest.Load || !values[c.Value])
	})
}
