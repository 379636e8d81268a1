package mutant

import "testing"

// races is the adversary who is the network and the power supply of witnesses.
var races = harness{"", "./rollback/witness", "TestNoNumberIsWonTwice", "schedule [0-9]+: "}

// TestEveryRuleOfTheWitnessesIsNeeded leaves out one rule of package
// rollback/witness after the other: for each a number must be won twice, or a read
// fall, or a number be read that nobody has asked for.
func TestEveryRuleOfTheWitnessesIsNeeded(t *testing.T) { catch(t, witnessMistakes) }

func inWitness(name, file, old, changed string) mistake {
	return mistake{name, races, []Edit{{"rollback/witness/" + file, old, changed}}}
}

var witnessMistakes = []mistake{
	inWitness("a majority is one too few",
		"ask.go", "return len(c.witnesses)/2 + 1", "return len(c.witnesses) / 2"),
	inWitness("half of the witnesses are a majority",
		"ask.go", "return len(c.witnesses)/2 + 1", "return (len(c.witnesses) + 1) / 2"),
	inWitness("a read is not written back",
		"client.go", "slices.MinFunc(held, byNumber).n < highest.n", "false"),
	inWitness("a read takes any answer of the majority",
		"client.go", "slices.MaxFunc(held, byNumber)\n", "held[0]\n"),
	inWitness("a claim for the number counts whoever made it",
		"client.go", "if held != mine.claim {", "if held.n != mine.claim.n {"),
	inWitness("two claims have the same tag",
		"ask.go", "_, _ = rand.Read(o.claim.tag[:]) // never fails", ""),
	inWitness("two requests have the same nonce",
		"ask.go", "_, _ = rand.Read(r.nonce[:]) // never fails", ""),
	inWitness("anybody answers",
		"message.go", "if !ed25519.Verify(key, r.answered(held), b[claimSize:]) {", "if false {"),
	inWitness("anybody claims",
		"message.go", "if c.n == 0 || !ed25519.Verify(signer, c.signed(of), c.signature[:]) {", "if false {"),
	inWitness("a witness takes a second claim for a number",
		"server.go", "case r.claim.n > held.n:", "case r.claim.n >= held.n && r.claim != held:"),
	inWitness("a witness takes any claim",
		"server.go", "case r.claim.n > held.n:", "case r.claim.n != 0 && r.claim != held:"),
	inWitness("a witness answers with what it has written once",
		"server.go", "case !settled:", "case !settled && false:"),
}
