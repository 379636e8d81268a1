package linear_test

import (
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/secure-signer/secure-signer/test/linear"
)

// asked is a vote of client c for a target, from one epoch before.
func asked(c int, target uint64, root int, outcome linear.Outcome, began, ended time.Duration) linear.Asked {
	return linear.Asked{
		Duty:   linear.Duty{Source: target - 1, Target: target, Root: root},
		Client: c, Outcome: outcome, Began: began, Ended: ended,
	}
}

func TestASignersHistoryIsLinearizableOrNot(t *testing.T) {
	surrounding := asked(2, 9, 1, linear.Signed, 3, 4)
	surrounding.Source = 3
	block := asked(2, 5, 2, linear.Signed, 3, 4)
	block.Block, block.Source = true, 0
	otherKey := asked(2, 5, 2, linear.Signed, 3, 4)
	otherKey.Key = 1
	for name, test := range map[string]struct {
		history []linear.Asked
		want    porcupine.CheckResult
	}{
		"one vote after another":                   {[]linear.Asked{asked(1, 5, 1, linear.Signed, 1, 2), asked(1, 6, 1, linear.Signed, 3, 4)}, porcupine.Ok},
		"the identical vote again":                 {[]linear.Asked{asked(1, 5, 1, linear.Signed, 1, 2), asked(2, 5, 1, linear.Signed, 3, 4)}, porcupine.Ok},
		"a conflict refused":                       {[]linear.Asked{asked(1, 5, 1, linear.Signed, 1, 2), asked(2, 5, 2, linear.Refused, 3, 4)}, porcupine.Ok},
		"a conflict refused before its rival ends": {[]linear.Asked{asked(1, 5, 1, linear.Signed, 1, 4), asked(2, 5, 2, linear.Refused, 2, 3)}, porcupine.Ok},
		"an older vote at the same time":           {[]linear.Asked{asked(1, 6, 1, linear.Signed, 1, 4), asked(2, 5, 2, linear.Signed, 1, 4)}, porcupine.Ok},
		"a rival of what nobody heard of":          {[]linear.Asked{asked(1, 5, 1, linear.Unknown, 1, 2), asked(2, 5, 2, linear.Refused, 3, 4)}, porcupine.Ok},
		"a block beside a vote":                    {[]linear.Asked{asked(1, 5, 1, linear.Signed, 1, 2), block}, porcupine.Ok},
		"a vote of another key":                    {[]linear.Asked{asked(1, 5, 1, linear.Signed, 1, 2), otherKey}, porcupine.Ok},

		"two votes for one target":               {[]linear.Asked{asked(1, 5, 1, linear.Signed, 1, 4), asked(2, 5, 2, linear.Signed, 2, 3)}, porcupine.Illegal},
		"a vote that surrounds another":          {[]linear.Asked{asked(1, 5, 1, linear.Signed, 1, 2), surrounding}, porcupine.Illegal},
		"an older vote afterwards":               {[]linear.Asked{asked(1, 6, 1, linear.Signed, 1, 2), asked(2, 5, 2, linear.Signed, 3, 4)}, porcupine.Illegal},
		"a refusal without a reason":             {[]linear.Asked{asked(1, 5, 1, linear.Refused, 1, 2)}, porcupine.Illegal},
		"a refusal whose reason comes later":     {[]linear.Asked{asked(2, 5, 2, linear.Refused, 1, 2), asked(1, 5, 1, linear.Signed, 3, 4)}, porcupine.Illegal},
		"a duty lost: its retry refused":         {[]linear.Asked{asked(1, 5, 1, linear.Signed, 1, 2), asked(2, 5, 1, linear.Refused, 3, 4)}, porcupine.Illegal},
		"the identical vote after a younger one": {[]linear.Asked{asked(1, 5, 1, linear.Signed, 1, 2), asked(1, 6, 1, linear.Signed, 3, 4), asked(2, 5, 1, linear.Signed, 5, 6)}, porcupine.Illegal},
	} {
		t.Run(name, func(t *testing.T) {
			if got, _ := linear.CheckSigner(test.history, time.Minute); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}
