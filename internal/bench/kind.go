package bench

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// A Kind is a kind of request, and whether all keys ask for one signing root.
type Kind string

// The kinds that validators ask for every day. Since Electra all validators
// that see the same chain attest to one root.
const (
	Attestation         Kind = "attestation"
	DistinctAttestation Kind = "attestation-distinct" // a root for each key, as before Electra
	Block               Kind = "block"
	Randao              Kind = "randao"
	SelectionProof      Kind = "selection-proof"
	Aggregate           Kind = "aggregate"
	SyncMessage         Kind = "sync-message"
	SyncSelectionProof  Kind = "sync-selection-proof"
	Contribution        Kind = "contribution"
	Registration        Kind = "registration"
)

// Kinds lists them.
func Kinds() []Kind {
	return []Kind{
		Attestation, DistinctAttestation, Block, Randao, SelectionProof, Aggregate,
		SyncMessage, SyncSelectionProof, Contribution, Registration,
	}
}

// Shared reports whether all keys ask for the same root in an epoch.
func (k Kind) Shared() bool {
	switch k {
	case DistinctAttestation, Block, Aggregate, Contribution, Registration:
		return false
	}
	return true
}

// ordered reports whether a signer takes the messages of one key only in their
// order: what could be slashed.
func (k Kind) ordered() bool { return k == Attestation || k == DistinctAttestation || k == Block }

// A Share says how many of so many requests are of a kind.
type Share struct {
	Kind   Kind `json:"kind"`
	Weight int  `json:"weight"`
}

// A Mix is what a load asks for.
type Mix []Share

// maxWeight keeps the pattern of a mix short.
const maxWeight = 10_000

// ParseMix reads "attestation=90,block=10". A weight that is left out is 1.
func ParseMix(s string) (Mix, error) {
	var m Mix
	total := 0
	for part := range strings.SplitSeq(s, ",") {
		name, number, given := strings.Cut(strings.TrimSpace(part), "=")
		share := Share{Kind: Kind(name), Weight: 1}
		if !slices.Contains(Kinds(), share.Kind) {
			return nil, fmt.Errorf("%q is no kind: use some of %s", name, kindNames())
		}
		if slices.ContainsFunc(m, func(other Share) bool { return other.Kind == share.Kind }) {
			return nil, fmt.Errorf("%s stands there twice", name)
		}
		if given {
			var err error
			if share.Weight, err = strconv.Atoi(number); err != nil || share.Weight < 1 {
				return nil, fmt.Errorf("the weight of %s is a number from 1", name)
			}
		}
		if total += share.Weight; share.Weight > maxWeight || total > maxWeight {
			return nil, fmt.Errorf("weights are %d together at most", maxWeight)
		}
		m = append(m, share)
	}
	if slices.ContainsFunc(m, func(s Share) bool { return s.Kind == Attestation }) &&
		slices.ContainsFunc(m, func(s Share) bool { return s.Kind == DistinctAttestation }) {
		return nil, errors.New("attestation and attestation-distinct would vote twice in an epoch: use one of them")
	}
	return m, nil
}

func kindNames() string {
	var names []string
	for _, k := range Kinds() {
		names = append(names, string(k))
	}
	return strings.Join(names, ", ")
}

// String is the mix as ParseMix reads it.
func (m Mix) String() string {
	var parts []string
	for _, s := range m {
		parts = append(parts, fmt.Sprintf("%s=%d", s.Kind, s.Weight))
	}
	return strings.Join(parts, ",")
}

// Ordered reports whether a key has to wait for an answer before it may ask again
// for some of the mix.
func (m Mix) Ordered() bool {
	return slices.ContainsFunc(m, func(s Share) bool { return s.Kind.ordered() })
}

// pattern spreads the kinds evenly over as many requests as all weights
// together. (Each request, every kind gains its weight, and the one that has
// gained most is next and pays for it.)
func (m Mix) pattern() []Kind {
	total := 0
	for _, s := range m {
		total += s.Weight
	}
	gained := make([]int, len(m))
	kinds := make([]Kind, total)
	for i := range kinds {
		next := 0
		for j, s := range m {
			gained[j] += s.Weight
			if gained[j] > gained[next] {
				next = j
			}
		}
		gained[next] -= total
		kinds[i] = m[next].Kind
	}
	return kinds
}
