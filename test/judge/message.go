package judge

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/protolambda/zrnt/eth2/beacon/altair"
	"github.com/protolambda/zrnt/eth2/beacon/common"
	"github.com/protolambda/zrnt/eth2/beacon/phase0"
	"github.com/protolambda/ztyp/tree"
)

// A message holds a block, a vote, or neither.
type message struct {
	block *block
	vote  *vote
}

type block struct {
	slot  common.Slot
	root  common.Root // signing root
	index int
}

type vote struct {
	source, target common.Epoch
	root           common.Root // signing root
	index          int
}

func (v vote) surrounds(w vote) bool { return v.source < w.source && w.target < v.target }
func (v vote) String() string        { return fmt.Sprintf("%d→%d", v.source, v.target) }

func (m message) root() common.Root {
	if m.block != nil {
		return m.block.root
	}
	return m.vote.root
}

type request struct {
	Type     string `json:"type"`
	ForkInfo struct {
		Fork                  common.Fork `json:"fork"`
		GenesisValidatorsRoot common.Root `json:"genesis_validators_root"`
	} `json:"fork_info"`
	Attestation *phase0.AttestationData `json:"attestation"`
	Block       json.RawMessage         `json:"block"`
	BeaconBlock struct {
		Version string                    `json:"version"`
		Block   json.RawMessage           `json:"block"`
		Header  *common.BeaconBlockHeader `json:"block_header"`
	} `json:"beacon_block"`
}

func parse(spec *common.Spec, body []byte) (message, error) {
	var r request
	if err := json.Unmarshal(body, &r); err != nil {
		return message{}, fmt.Errorf("request: %w", err)
	}
	hash := tree.GetHashFn()
	r.Type = strings.ToUpper(r.Type) // signers take any case
	switch r.Type {
	case "ATTESTATION":
		if r.Attestation == nil {
			return message{}, fmt.Errorf("%s without an attestation", r.Type)
		}
		a := r.Attestation
		root := r.signingRoot(a.HashTreeRoot(hash), common.DOMAIN_BEACON_ATTESTER, a.Target.Epoch)
		return message{vote: &vote{source: a.Source.Epoch, target: a.Target.Epoch, root: root}}, nil
	case "BLOCK", "BLOCK_V2":
		slot, root, err := r.blockRoot(spec, hash)
		if err != nil {
			return message{}, fmt.Errorf("%s: %w", r.Type, err)
		}
		root = r.signingRoot(root, common.DOMAIN_BEACON_PROPOSER, spec.SlotToEpoch(slot))
		return message{block: &block{slot: slot, root: root}}, nil
	}
	return message{}, nil
}

// blockRoot hashes whichever form of a block the request carries.
func (r *request) blockRoot(spec *common.Spec, hash tree.HashFn) (common.Slot, common.Root, error) {
	switch version := strings.ToLower(r.BeaconBlock.Version); {
	case r.BeaconBlock.Header != nil:
		return r.BeaconBlock.Header.Slot, r.BeaconBlock.Header.HashTreeRoot(hash), nil
	case r.Type == "BLOCK", version == "phase0":
		body := r.BeaconBlock.Block
		if r.Type == "BLOCK" {
			body = r.Block
		}
		var b phase0.BeaconBlock
		if err := json.Unmarshal(body, &b); err != nil {
			return 0, common.Root{}, err
		}
		return b.Slot, b.HashTreeRoot(spec, hash), nil
	case version == "altair":
		var b altair.BeaconBlock
		if err := json.Unmarshal(r.BeaconBlock.Block, &b); err != nil {
			return 0, common.Root{}, err
		}
		return b.Slot, b.HashTreeRoot(spec, hash), nil
	default:
		return 0, common.Root{}, fmt.Errorf("version %q without a header", version)
	}
}

// signingRoot is compute_signing_root under the domain of get_domain.
func (r *request) signingRoot(object common.Root, domain common.BLSDomainType, epoch common.Epoch) common.Root {
	version := r.ForkInfo.Fork.CurrentVersion
	if epoch < r.ForkInfo.Fork.Epoch {
		version = r.ForkInfo.Fork.PreviousVersion
	}
	return common.ComputeSigningRoot(object, common.ComputeDomain(domain, version, r.ForkInfo.GenesisValidatorsRoot))
}
