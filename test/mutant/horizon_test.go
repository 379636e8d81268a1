package mutant

import "testing"

// schedules is the adversary who holds copies of a signer and old disks of them.
var schedules = harness{"", "./rollback", "TestNoScheduleIsSlashable", "is slashable"}

// TestEveryRuleOfTheHorizonIsNeeded leaves out one rule of package rollback after
// the other, and the question whether an epoch is owned: for each the adversary must find two signatures that conflict.
//
// Two are not here, for he cannot gain by them: an Advance that does not look where
// the counter is before moves it, but then finds it elsewhere than it claims; and a
// vote whose source is not before its target is refused by the slashing rules too.
func TestEveryRuleOfTheHorizonIsNeeded(t *testing.T) { catch(t, horizonMistakes) }

// inOwner is a mistake in one place of rollback/owner.go.
func inOwner(name, old, changed string) mistake {
	return mistake{name, schedules, []Edit{{"rollback/owner.go", old, changed}}}
}

// inRegister is one in rollback/register.go.
func inRegister(name, old, changed string) mistake {
	return mistake{name, schedules, []Edit{{"rollback/register.go", old, changed}}}
}

// inGuard is one in slashing/guard.go.
func inGuard(name, old, changed string) mistake {
	return mistake{name, schedules, []Edit{{"slashing/guard.go", old, changed}}}
}

const (
	gapFloor  = "t.SourceFloor = max(t.SourceFloor, below(e, 2))"
	inherited = "o.tenure, o.owning, o.durable = memo.Tenure, true, true"
	sealed    = "max(t.Ceiling, t.SourceFloor, ceiling(source, t.Last))"
	counted   = "return o.cfg.Stops.Advance(ctx, generation+1) == nil, nil"
)

var horizonMistakes = []mistake{
	inGuard("votes are recorded without asking the horizon",
		"g.admitVote(ctx, g.owned, source, target)", "g.admitVote(ctx, everyEpoch{}, source, target)"),
	inGuard("blocks are recorded without asking the horizon",
		"g.admitBlock(ctx, g.owned, slot)", "g.admitBlock(ctx, everyEpoch{}, slot)"),

	inRegister("an increment counts although its answer was lost",
		"if err := x.Increment(ctx); err != nil {\n\t\treturn err\n\t}", "_ = x.Increment(ctx)"),
	inRegister("the counter is not read after an increment",
		"if after != n {", "if false {"),

	inOwner("votes need no epoch that is owned",
		"case !o.owning || epoch < o.tenure.First || epoch > o.tenure.Last:", "case false:"),
	inOwner("epochs of others in between are taken as owned",
		"if !o.owning || t.Last != e-1 {", "if !o.owning {"),

	inOwner("no floor after epochs of others", gapFloor, ""),
	inOwner("the floor after epochs of others is too low by one",
		gapFloor, "t.SourceFloor = max(t.SourceFloor, below(e, 3))"),
	inOwner("no floor after a crash",
		"SourceFloor: below(epoch, 1)", "SourceFloor: 0"),

	inOwner("votes above the ceiling are signed",
		"err == nil && source > o.tenure.Ceiling", "false"),
	inOwner("a ceiling is chosen anew for each vote",
		"o.durable = true\n\treturn nil", "t.Sealed = false\n\treturn nil"),
	inOwner("a ceiling forgets that of the epoch before and the floor",
		sealed, "ceiling(source, t.Last)"),
	inOwner("a ceiling forgets that of the epoch before",
		sealed, "max(t.SourceFloor, ceiling(source, t.Last))"),
	inOwner("a claim keeps the ceiling of the epoch before",
		"t.Last, t.Sealed = e, false", "t.Last = e"),
	inOwner("the ceiling of an older epoch is believed",
		"memo == nil || memo.Tenure.Last < epoch", "memo == nil"),

	inOwner("every copy of a clean stop inherits",
		counted, "return true, nil"),
	inOwner("a copy inherits although another may have",
		counted, "return o.cfg.Stops.Advance(ctx, generation+1) != nil || true, nil"),
	inOwner("a copy inherits with any record",
		"stop == nil || stop.Head != o.cfg.Head()", "stop == nil"),
	inOwner("a copy inherits from a stop that is not the last",
		"if generation != stop.Generation {", "if false {"),
	inOwner("an heir forgets the floor",
		inherited, inherited+"\n\t\to.tenure.SourceFloor = 0"),
	inOwner("an heir forgets the ceiling",
		inherited, inherited+"\n\t\to.tenure.Ceiling, o.tenure.Sealed = 0, false"),
}
