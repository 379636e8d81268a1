package admission

import "github.com/secure-signer/secure-signer/eth2"

// A Class is how urgent a request is. A lower one goes first.
type Class uint8

// The classes, the most urgent first.
const (
	// Proposals are what a block needs: the reveal that it is built on, its
	// signature, its payload. There is one a slot, and nothing pays more.
	Proposals Class = iota
	// Votes are due a third into their slot, and every key has one an epoch.
	Votes
	// Aggregates collect votes, and are due a third later.
	Aggregates
	// Others can wait for a moment: selection proofs are asked for ahead.
	Others
	// Registrations come for every key at once and may as well come minutes
	// later.
	Registrations
)

// Classes returns every class in order.
func Classes() []Class { return []Class{Proposals, Votes, Aggregates, Others, Registrations} }

var classNames = [...]string{
	Proposals: "proposal", Votes: "vote", Aggregates: "aggregate", Others: "other", Registrations: "registration",
}

func (c Class) String() string { return classNames[c] }

// ClassOf returns the class of a kind of message.
//
// Source: consensus-specs, validator.md of each fork, for when each is due.
func ClassOf(k eth2.Kind) Class {
	switch k {
	case eth2.KindBlock, eth2.KindRandaoReveal, eth2.KindExecutionPayloadBid, eth2.KindExecutionPayloadEnvelope:
		return Proposals
	case eth2.KindAttestation, eth2.KindPayloadAttestation, eth2.KindSyncCommitteeMessage:
		return Votes
	case eth2.KindAggregateAndProof, eth2.KindContributionAndProof:
		return Aggregates
	case eth2.KindValidatorRegistration:
		return Registrations
	}
	return Others
}
