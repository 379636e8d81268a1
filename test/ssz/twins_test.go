package ssz

import (
	"fmt"

	"github.com/secure-signer/secure-signer/eth2"
)

// The twins are our containers with the tags that dynamic-ssz needs, for those
// that go-eth2-client lacks (Gloas) or gets wrong (the minimal preset's four
// committees). A twin converts from ours field by field.
type (
	electraAggregate struct {
		AggregationBits eth2.Bitlist `ssz-type:"bitlist" ssz-max:"131072" dynssz-max:"2048*MAX_COMMITTEES_PER_SLOT"`
		Data            eth2.AttestationData
		Signature       eth2.Signature
		CommitteeBits   eth2.Bitvector `ssz-type:"bitvector" ssz-bitsize:"64" dynssz-bitsize:"MAX_COMMITTEES_PER_SLOT"`
	}
	electraAggregateAndProof struct {
		AggregatorIndex eth2.ValidatorIndex
		Aggregate       electraAggregate
		SelectionProof  eth2.Signature
	}
	gloasAggregate struct {
		AggregationBits eth2.Bitlist         `ssz-index:"0" ssz-type:"progressive-bitlist"`
		Data            eth2.AttestationData `ssz-index:"1"`
		Signature       eth2.Signature       `ssz-index:"2"`
		CommitteeBits   eth2.Bitvector       `ssz-index:"3" ssz-type:"bitvector" ssz-bitsize:"64" dynssz-bitsize:"MAX_COMMITTEES_PER_SLOT"`
	}
	gloasAggregateAndProof struct {
		AggregatorIndex eth2.ValidatorIndex
		Aggregate       gloasAggregate
		SelectionProof  eth2.Signature
	}
	payloadBid struct {
		ParentBlockHash       eth2.Root            `ssz-index:"0"`
		ParentBlockRoot       eth2.Root            `ssz-index:"1"`
		BlockHash             eth2.Root            `ssz-index:"2"`
		PrevRandao            eth2.Root            `ssz-index:"3"`
		FeeRecipient          eth2.Address         `ssz-index:"4"`
		GasLimit              eth2.Uint64          `ssz-index:"5"`
		BuilderIndex          eth2.Uint64          `ssz-index:"6"`
		Slot                  eth2.Slot            `ssz-index:"7"`
		Value                 eth2.Gwei            `ssz-index:"8"`
		ExecutionPayment      eth2.Gwei            `ssz-index:"9"`
		BlobKZGCommitments    []eth2.KZGCommitment `ssz-index:"10" ssz-type:"progressive-list"`
		ExecutionRequestsRoot eth2.Root            `ssz-index:"11"`
	}
	payload struct {
		ParentHash      eth2.Root         `ssz-index:"0"`
		FeeRecipient    eth2.Address      `ssz-index:"1"`
		StateRoot       eth2.Root         `ssz-index:"2"`
		ReceiptsRoot    eth2.Root         `ssz-index:"3"`
		LogsBloom       eth2.LogsBloom    `ssz-index:"4"`
		PrevRandao      eth2.Root         `ssz-index:"5"`
		BlockNumber     eth2.Uint64       `ssz-index:"6"`
		GasLimit        eth2.Uint64       `ssz-index:"7"`
		GasUsed         eth2.Uint64       `ssz-index:"8"`
		Timestamp       eth2.Uint64       `ssz-index:"9"`
		ExtraData       eth2.Bytes        `ssz-index:"10" ssz-max:"32"`
		BaseFeePerGas   eth2.Uint256      `ssz-index:"11"`
		BlockHash       eth2.Root         `ssz-index:"12"`
		Transactions    []eth2.Bytes      `ssz-index:"13" ssz-type:"progressive-list,progressive-list"`
		Withdrawals     []eth2.Withdrawal `ssz-index:"14" ssz-type:"progressive-list"`
		BlobGasUsed     eth2.Uint64       `ssz-index:"15"`
		ExcessBlobGas   eth2.Uint64       `ssz-index:"16"`
		BlockAccessList eth2.Bytes        `ssz-index:"17" ssz-type:"progressive-list"`
		SlotNumber      eth2.Slot         `ssz-index:"18"`
	}
	requests struct {
		Deposits        []eth2.DepositRequest        `ssz-index:"0" ssz-type:"progressive-list"`
		Withdrawals     []eth2.WithdrawalRequest     `ssz-index:"1" ssz-type:"progressive-list"`
		Consolidations  []eth2.ConsolidationRequest  `ssz-index:"2" ssz-type:"progressive-list"`
		BuilderDeposits []eth2.BuilderDepositRequest `ssz-index:"3" ssz-type:"progressive-list"`
		BuilderExits    []eth2.BuilderExitRequest    `ssz-index:"4" ssz-type:"progressive-list"`
	}
	envelope struct {
		Payload               payload     `ssz-index:"0"`
		ExecutionRequests     requests    `ssz-index:"1"`
		BuilderIndex          eth2.Uint64 `ssz-index:"2"`
		BeaconBlockRoot       eth2.Root   `ssz-index:"3"`
		ParentBeaconBlockRoot eth2.Root   `ssz-index:"4"`
	}
	requestAuth struct {
		Data eth2.Bytes `ssz-max:"4096"`
		Slot eth2.Slot
	}
)

// twin is the oracle that converts an object of ours and asks dynamic-ssz.
// gloas tells which layout of an aggregate is meant.
func twin(gloas bool) oracle {
	return func(p preset, o eth2.Object, _ []byte) (root, error) {
		t, err := twinOf(o, gloas)
		if err != nil {
			return root{}, err
		}
		return dynamic(p).HashTreeRoot(t)
	}
}

func twinOf(o eth2.Object, gloas bool) (any, error) {
	switch o := o.(type) {
	case *eth2.Aggregate:
		return (*electraAggregate)(o), nil
	case *eth2.AggregateAndProofData:
		if gloas {
			return &gloasAggregateAndProof{o.AggregatorIndex, gloasAggregate(o.Aggregate), o.SelectionProof}, nil
		}
		return &electraAggregateAndProof{o.AggregatorIndex, electraAggregate(o.Aggregate), o.SelectionProof}, nil
	case *eth2.ExecutionPayloadBidData:
		return (*payloadBid)(o), nil
	case *eth2.ExecutionPayload:
		return (*payload)(o), nil
	case *eth2.ExecutionRequests:
		return (*requests)(o), nil
	case *eth2.ExecutionPayloadEnvelopeData:
		return &envelope{payload(o.Payload), requests(o.ExecutionRequests), o.BuilderIndex, o.BeaconBlockRoot, o.ParentBeaconBlockRoot}, nil
	case *eth2.BuilderRequestAuthData:
		return (*requestAuth)(o), nil
	case *eth2.SyncAggregatorSelectionData, *eth2.ValidatorRegistrationData,
		*eth2.PayloadAttestationData, *eth2.ProposerPreferencesData:
		return o, nil // of fixed size throughout: no tags needed
	}
	return nil, fmt.Errorf("no twin of %T", o)
}
