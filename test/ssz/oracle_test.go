package ssz

import (
	"encoding/json"
	"fmt"
	"reflect"
	"testing"

	"github.com/attestantio/go-eth2-client/spec/altair"
	"github.com/attestantio/go-eth2-client/spec/phase0"
	dynssz "github.com/pk910/dynamic-ssz"
	zaltair "github.com/protolambda/zrnt/eth2/beacon/altair"
	zcommon "github.com/protolambda/zrnt/eth2/beacon/common"
	zelectra "github.com/protolambda/zrnt/eth2/beacon/electra"
	zphase0 "github.com/protolambda/zrnt/eth2/beacon/phase0"
	"github.com/protolambda/zrnt/eth2/configs"
	"github.com/protolambda/ztyp/tree"

	"github.com/secure-signer/secure-signer/eth2"
)

// dynamic returns dynamic-ssz for a preset. Never go-eth2-client's own
// HashTreeRoot, which has mainnet's limits whatever the data.
func dynamic(p preset) *dynssz.DynSsz {
	return dynssz.NewDynSsz(map[string]any{
		"MAX_COMMITTEES_PER_SLOT": uint64(p.committeesPerSlot),
		"SYNC_COMMITTEE_SIZE":     uint64(p.syncCommitteeSize),
		"MAX_ATTESTER_SLASHINGS":  uint64(2),
	}, dynssz.WithNoFastSsz(), dynssz.WithNoFastHash())
}

// An oracle is another implementation of one container: it takes an object of
// ours, or its JSON, and returns the root that it computes.
type oracle func(p preset, o eth2.Object, body []byte) (root, error)

func client[T any](p preset, _ eth2.Object, body []byte) (root, error) {
	v := new(T)
	if err := json.Unmarshal(body, v); err != nil {
		return root{}, err
	}
	return dynamic(p).HashTreeRoot(v)
}

func zrnt[T any](p preset, _ eth2.Object, body []byte) (root, error) {
	v := new(T)
	if err := json.Unmarshal(body, v); err != nil {
		return root{}, err
	}
	spec := map[string]*zcommon.Spec{"mainnet": configs.Mainnet, "minimal": configs.Minimal}[p.name]
	switch v := any(v).(type) {
	case interface {
		HashTreeRoot(tree.HashFn) zcommon.Root
	}:
		return v.HashTreeRoot(tree.GetHashFn()), nil
	case interface {
		HashTreeRoot(*zcommon.Spec, tree.HashFn) zcommon.Root
	}:
		return v.HashTreeRoot(spec, tree.GetHashFn()), nil
	}
	return root{}, fmt.Errorf("%T has no root", v)
}

// A subject is a container of ours and those who know it too. The name is its
// key in schema. ours returns an empty object; fix, if any, makes a random one
// fit its layout.
type subject struct {
	name    string
	ours    eth2.Object
	fix     func(*filler, eth2.Object)
	oracles map[string]oracle
}

func withoutCommittees(_ *filler, o eth2.Object) {
	switch o := o.(type) {
	case *eth2.Aggregate:
		o.CommitteeBits = nil
	case *eth2.AggregateAndProofData:
		o.Aggregate.CommitteeBits = nil
	case *eth2.BeaconBlockBody:
		for i := range o.Attestations {
			o.Attestations[i].CommitteeBits = nil
		}
	case *eth2.BeaconBlock:
		withoutCommittees(nil, &o.Body)
	}
}

func phase0Layout(_ *filler, o eth2.Object) {
	withoutCommittees(nil, o)
	switch o := o.(type) {
	case *eth2.BeaconBlockBody:
		o.SyncAggregate = nil
	case *eth2.BeaconBlock:
		o.Body.SyncAggregate = nil
	}
}

// manyBits uses the whole of Electra's limit now and then.
func manyBits(f *filler, o eth2.Object) {
	if f.IntN(4) > 0 {
		return
	}
	bits := f.bitlist(2048 * f.committeesPerSlot)
	switch o := o.(type) {
	case *eth2.Aggregate:
		o.AggregationBits = bits
	case *eth2.AggregateAndProofData:
		o.Aggregate.AggregationBits = bits
	}
}

func subjects() []subject {
	type o = map[string]oracle
	return []subject{
		{"Checkpoint", new(eth2.Checkpoint), nil, o{"client": client[phase0.Checkpoint], "zrnt": zrnt[zcommon.Checkpoint]}},
		{"AttestationData", new(eth2.AttestationData), nil, o{"client": client[phase0.AttestationData], "zrnt": zrnt[zphase0.AttestationData]}},
		{"BeaconBlockHeader", new(eth2.BeaconBlockHeader), nil, o{"client": client[phase0.BeaconBlockHeader], "zrnt": zrnt[zcommon.BeaconBlockHeader]}},
		{"SignedBeaconBlockHeader", new(eth2.SignedBeaconBlockHeader), nil, o{"client": client[phase0.SignedBeaconBlockHeader], "zrnt": zrnt[zcommon.SignedBeaconBlockHeader]}},
		{"ProposerSlashing", new(eth2.ProposerSlashing), nil, o{"client": client[phase0.ProposerSlashing], "zrnt": zrnt[zphase0.ProposerSlashing]}},
		{"IndexedAttestation", new(eth2.IndexedAttestation), nil, o{"client": client[phase0.IndexedAttestation], "zrnt": zrnt[zphase0.IndexedAttestation]}},
		{"AttesterSlashing", new(eth2.AttesterSlashing), nil, o{"client": client[phase0.AttesterSlashing], "zrnt": zrnt[zphase0.AttesterSlashing]}},
		{"Phase0Aggregate", new(eth2.Aggregate), withoutCommittees, o{"client": client[phase0.Attestation], "zrnt": zrnt[zphase0.Attestation]}},
		{"Phase0AggregateAndProof", new(eth2.AggregateAndProofData), withoutCommittees, o{"client": client[phase0.AggregateAndProof], "zrnt": zrnt[zphase0.AggregateAndProof]}},
		{"ElectraAggregate", new(eth2.Aggregate), manyBits, o{"twin": twin(false), "zrnt": zrnt[zelectra.Attestation]}},
		{"ElectraAggregateAndProof", new(eth2.AggregateAndProofData), manyBits, o{"twin": twin(false), "zrnt": zrnt[zelectra.AggregateAndProof]}},
		{"Eth1Data", new(eth2.Eth1Data), nil, o{"client": client[phase0.ETH1Data], "zrnt": zrnt[zcommon.Eth1Data]}},
		{"DepositData", new(eth2.DepositData), nil, o{"client": client[phase0.DepositData], "zrnt": zrnt[zcommon.DepositData]}},
		{"BlockDeposit", new(eth2.BlockDeposit), nil, o{"client": client[phase0.Deposit], "zrnt": zrnt[zcommon.Deposit]}},
		{"VoluntaryExitData", new(eth2.VoluntaryExitData), nil, o{"client": client[phase0.VoluntaryExit], "zrnt": zrnt[zphase0.VoluntaryExit]}},
		{"SignedVoluntaryExit", new(eth2.SignedVoluntaryExit), nil, o{"client": client[phase0.SignedVoluntaryExit], "zrnt": zrnt[zphase0.SignedVoluntaryExit]}},
		{"Phase0Body", new(eth2.BeaconBlockBody), phase0Layout, o{"client": client[phase0.BeaconBlockBody], "zrnt": zrnt[zphase0.BeaconBlockBody]}},
		{"AltairBody", new(eth2.BeaconBlockBody), withoutCommittees, o{"client": client[altair.BeaconBlockBody], "zrnt": zrnt[zaltair.BeaconBlockBody]}},
		{"Phase0Block", new(eth2.BeaconBlock), phase0Layout, o{"client": client[phase0.BeaconBlock], "zrnt": zrnt[zphase0.BeaconBlock]}},
		{"AltairBlock", new(eth2.BeaconBlock), withoutCommittees, o{"client": client[altair.BeaconBlock], "zrnt": zrnt[zaltair.BeaconBlock]}},
		{"SyncAggregate", new(eth2.SyncAggregate), nil, o{"client": client[altair.SyncAggregate], "zrnt": zrnt[zaltair.SyncAggregate]}},
		{"SyncCommitteeContribution", new(eth2.SyncCommitteeContribution), nil, o{"client": client[altair.SyncCommitteeContribution], "zrnt": zrnt[zaltair.SyncCommitteeContribution]}},
		{"ContributionAndProofData", new(eth2.ContributionAndProofData), nil, o{"client": client[altair.ContributionAndProof], "zrnt": zrnt[zaltair.ContributionAndProof]}},
		{"SyncAggregatorSelectionData", new(eth2.SyncAggregatorSelectionData), nil, o{"twin": twin(false), "zrnt": zrnt[zaltair.SyncAggregatorSelectionData]}},
		{"ValidatorRegistrationData", new(eth2.ValidatorRegistrationData), nil, o{"twin": twin(false)}},
		{"ExecutionPayload", new(eth2.ExecutionPayload), nil, o{"twin": twin(true)}},
		{"ExecutionRequests", new(eth2.ExecutionRequests), nil, o{"twin": twin(true)}},
		{"ExecutionPayloadEnvelopeData", new(eth2.ExecutionPayloadEnvelopeData), nil, o{"twin": twin(true)}},
		{"ExecutionPayloadBidData", new(eth2.ExecutionPayloadBidData), nil, o{"twin": twin(true)}},
		{"PayloadAttestationData", new(eth2.PayloadAttestationData), nil, o{"twin": twin(true)}},
		{"ProposerPreferencesData", new(eth2.ProposerPreferencesData), nil, o{"twin": twin(true)}},
		{"BuilderRequestAuthData", new(eth2.BuilderRequestAuthData), nil, o{"twin": twin(true)}},
	}
}

func presetOf(p preset) *eth2.Preset {
	if p.name == "minimal" {
		return eth2.MinimalPreset()
	}
	return eth2.MainnetPreset()
}

// TestRootsOfRandomObjectsAreThoseOfOtherImplementations compares each
// container with the specs' text (schema), with go-eth2-client's types under
// dynamic-ssz and with zrnt.
func TestRootsOfRandomObjectsAreThoseOfOtherImplementations(t *testing.T) {
	const objects = 60
	for _, p := range presets {
		text := schema(p)
		for _, s := range subjects() {
			t.Run(p.name+"/"+s.name, func(t *testing.T) {
				compared := 0
				f := newFiller(p, 1)
				for range objects {
					object := reflect.New(reflect.TypeOf(s.ours).Elem())
					f.fill(object.Elem(), "")
					o := object.Interface().(eth2.Object)
					if s.fix != nil {
						s.fix(f, o)
					}
					compared += compare(t, p, o, text[s.name], s.oracles)
				}
				if want := objects * (1 + len(s.oracles)); compared != want {
					t.Errorf("compared %d roots, want %d", compared, want)
				}
			})
		}
	}
}

func compare(t *testing.T, p preset, o eth2.Object, text typ, oracles map[string]oracle) int {
	t.Helper()
	got, err := eth2.HashTreeRoot(o, presetOf(p))
	if err != nil {
		t.Fatal(err)
	}
	body, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	var v any
	if err := json.Unmarshal(body, &v); err != nil {
		t.Fatal(err)
	}
	if want := text(v); got != want {
		t.Fatalf("root %v, the specs' text has %x, of %.2000s", got, want, body)
	}
	compared := 1
	for name, oracle := range oracles {
		want, err := oracle(p, o, body)
		if err != nil {
			t.Fatalf("%s: %v, of %.2000s", name, err, body)
		}
		if got != want {
			t.Fatalf("root %v, %s has %x, of %.2000s", got, name, want, body)
		}
		compared++
	}
	return compared
}

func TestEveryContainerIsCompared(t *testing.T) {
	compared := map[string]bool{"GloasAggregateAndProof": true} // in TestSigningRootsOfGloasAreThoseOfTheSpecs
	for _, s := range subjects() {
		compared[s.name] = true
	}
	for name := range schema(presets[0]) {
		if !compared[name] {
			t.Errorf("nothing compares %s", name)
		}
	}
}
