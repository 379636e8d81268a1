// Package judge looks at what came out of a signer and finds every pair of
// messages that would get a validator slashed.
//
// It is independent of the signer: hashing and BLS are zrnt's and kilic's, the
// rules are written here from the text of consensus-specs phase0/beacon-chain.md
// (is_slashable_attestation_data, process_proposer_slashing), and it compares
// every pair instead of keeping watermarks. It judges phase0 to Fulu, blocks
// and attestations; other kinds cannot be slashed and are only counted.
//
// It does not know which messages were asked for and refused, and it believes
// the fork_info of a request, as a signer of that chain would.
package judge

import (
	"encoding/hex"
	"fmt"

	blsu "github.com/protolambda/bls12-381-util"
	"github.com/protolambda/zrnt/eth2/beacon/common"
)

// A Signed is one signature that left a signer, with the body of the Web3Signer
// request that it answers.
type Signed struct {
	Key       [48]byte
	Request   []byte
	Signature [96]byte
}

// An Offence is why two messages of one key must not both exist.
type Offence string

// The slashable offences.
const (
	DoubleProposal Offence = "double proposal"
	DoubleVote     Offence = "double vote"
	Surround       Offence = "surround vote"
)

// A Crime is a slashable pair: First and Second index what was judged. Of a
// surround vote, First surrounds Second.
type Crime struct {
	Offence       Offence
	Key           [48]byte
	First, Second int
	What          string // slots or epochs, for a person
}

func (c Crime) String() string {
	return fmt.Sprintf("%s by 0x%s…: %s", c.Offence, hex.EncodeToString(c.Key[:6]), c.What)
}

// A Verdict is what was judged and what was found.
type Verdict struct {
	Blocks       int
	Attestations int
	Others       int
	Crimes       []Crime
}

// Judge verifies each signature of a block or attestation and compares each
// pair of one key. An error says that the evidence itself is unsound: a request
// that cannot be read, or a signature that is not one of that message.
func Judge(spec *common.Spec, signed []Signed) (Verdict, error) {
	var v Verdict
	blocks := map[[48]byte][]block{}
	votes := map[[48]byte][]vote{}
	for i, s := range signed {
		m, err := parse(spec, s.Request)
		if err != nil {
			return Verdict{}, fmt.Errorf("message %d: %w", i, err)
		}
		switch {
		case m.block != nil:
			v.Blocks++
			m.block.index = i
			blocks[s.Key] = append(blocks[s.Key], *m.block)
		case m.vote != nil:
			v.Attestations++
			m.vote.index = i
			votes[s.Key] = append(votes[s.Key], *m.vote)
		default:
			v.Others++
			continue
		}
		if err := verify(s, m.root()); err != nil {
			return Verdict{}, fmt.Errorf("message %d: %w", i, err)
		}
	}
	for key, all := range blocks {
		v.Crimes = append(v.Crimes, proposals(key, all)...)
	}
	for key, all := range votes {
		v.Crimes = append(v.Crimes, attestations(key, all)...)
	}
	return v, nil
}

func verify(s Signed, root common.Root) error {
	var pub blsu.Pubkey
	if err := pub.Deserialize(&s.Key); err != nil {
		return fmt.Errorf("public key: %w", err)
	}
	var sig blsu.Signature
	if err := sig.Deserialize(&s.Signature); err != nil {
		return fmt.Errorf("signature: %w", err)
	}
	if !blsu.Verify(&pub, root[:], &sig) {
		return fmt.Errorf("the signature is not one of %s by 0x%x", root, s.Key)
	}
	return nil
}

func proposals(key [48]byte, all []block) []Crime {
	var crimes []Crime
	for i, a := range all {
		for _, b := range all[i+1:] {
			if a.slot == b.slot && a.root != b.root {
				crimes = append(crimes, Crime{DoubleProposal, key, a.index, b.index, fmt.Sprintf("slot %d", a.slot)})
			}
		}
	}
	return crimes
}

func attestations(key [48]byte, all []vote) []Crime {
	var crimes []Crime
	for i, a := range all {
		for _, b := range all[i+1:] {
			switch {
			case a.target == b.target && a.root != b.root:
				crimes = append(crimes, Crime{DoubleVote, key, a.index, b.index, fmt.Sprintf("target %d", a.target)})
			case a.surrounds(b):
				crimes = append(crimes, Crime{Surround, key, a.index, b.index, fmt.Sprintf("%v surrounds %v", a, b)})
			case b.surrounds(a):
				crimes = append(crimes, Crime{Surround, key, b.index, a.index, fmt.Sprintf("%v surrounds %v", b, a)})
			}
		}
	}
	return crimes
}
