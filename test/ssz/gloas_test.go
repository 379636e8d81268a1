package ssz

import (
	"encoding/json"
	"reflect"
	"slices"
	"testing"

	"github.com/secure-signer/secure-signer/eth2"
)

// gloasNetwork is a chain at Gloas.
func gloasNetwork(p preset) *eth2.Network {
	return &eth2.Network{
		Name:                  "test",
		Preset:                presetOf(p),
		GenesisValidatorsRoot: eth2.Root{0xaa},
		Forks: []eth2.ScheduledFork{
			{Fork: eth2.Phase0, Version: eth2.Version{0, 0, 0, 1}},
			{Fork: eth2.Gloas, Version: eth2.Version{7, 0, 0, 1}},
		},
	}
}

// TestSigningRootsOfGloasAreThoseOfTheSpecs computes object root, domain and
// signing root of every message of Gloas by the specs' text and by dynamic-ssz.
func TestSigningRootsOfGloasAreThoseOfTheSpecs(t *testing.T) {
	const objects = 60
	for _, p := range presets {
		n := gloasNetwork(p)
		text := schema(p)
		f := newFiller(p, 2)
		info := eth2.ForkInfo{
			Fork:                  eth2.Fork{PreviousVersion: n.Forks[0].Version, CurrentVersion: n.Forks[1].Version},
			GenesisValidatorsRoot: n.GenesisValidatorsRoot,
		}
		chain, none := n.GenesisValidatorsRoot, eth2.Root{}
		genesis, gloas := n.Forks[0].Version, n.Forks[1].Version
		tests := []struct {
			schema     string
			object     eth2.Object
			message    func(eth2.Object) eth2.Message
			domainType [4]byte
			version    eth2.Version
			chain      eth2.Root
		}{
			{"GloasAggregateAndProof", new(eth2.AggregateAndProofData), func(o eth2.Object) eth2.Message {
				return &eth2.AggregateAndProof{ForkInfo: info, Version: eth2.Gloas, Data: *o.(*eth2.AggregateAndProofData)}
			}, [4]byte{0x06}, gloas, chain},
			{"ExecutionPayloadBidData", new(eth2.ExecutionPayloadBidData), func(o eth2.Object) eth2.Message {
				return &eth2.ExecutionPayloadBid{ForkInfo: info, Data: *o.(*eth2.ExecutionPayloadBidData)}
			}, [4]byte{0x0b}, gloas, chain},
			{"ExecutionPayloadEnvelopeData", new(eth2.ExecutionPayloadEnvelopeData), func(o eth2.Object) eth2.Message {
				return &eth2.ExecutionPayloadEnvelope{ForkInfo: info, Data: *o.(*eth2.ExecutionPayloadEnvelopeData)}
			}, [4]byte{0x0b}, gloas, chain},
			{"PayloadAttestationData", new(eth2.PayloadAttestationData), func(o eth2.Object) eth2.Message {
				return &eth2.PayloadAttestation{ForkInfo: info, Data: *o.(*eth2.PayloadAttestationData)}
			}, [4]byte{0x0c}, gloas, chain},
			{"ProposerPreferencesData", new(eth2.ProposerPreferencesData), func(o eth2.Object) eth2.Message {
				return &eth2.ProposerPreferences{ForkInfo: info, Data: *o.(*eth2.ProposerPreferencesData)}
			}, [4]byte{0x0d}, gloas, chain},
			{"BuilderRequestAuthData", new(eth2.BuilderRequestAuthData), func(o eth2.Object) eth2.Message {
				return &eth2.BuilderRequestAuth{Data: *o.(*eth2.BuilderRequestAuthData)}
			}, [4]byte{0x0b, 0, 0, 1}, genesis, none},
		}
		for _, tt := range tests {
			t.Run(p.name+"/"+tt.schema, func(t *testing.T) {
				compared := 0
				for range objects {
					v := reflect.New(reflect.TypeOf(tt.object).Elem())
					f.fill(v.Elem(), "")
					o := v.Interface().(eth2.Object)
					got, err := tt.message(o).SigningRoot(n)
					if err != nil {
						t.Fatal(err)
					}
					object := specRoot(t, text[tt.schema], o)
					if other, err := twin(true)(p, o, nil); err != nil || other != object {
						t.Fatalf("object root %x, dynamic-ssz has %x, %v", object, other, err)
					}
					if want := hash(object, domain(tt.domainType, tt.version, tt.chain)); got != want {
						t.Fatalf("signing root %v, want %x", got, want)
					}
					compared++
				}
				if compared != objects {
					t.Errorf("compared %d messages, want %d", compared, objects)
				}
			})
		}
	}
}

func specRoot(t *testing.T, typ typ, o eth2.Object) root {
	t.Helper()
	body, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	var v any
	if err := json.Unmarshal(body, &v); err != nil {
		t.Fatal(err)
	}
	return typ(v)
}

// domain is compute_domain of phase0/beacon-chain.md.
func domain(domainType [4]byte, version eth2.Version, chain eth2.Root) root {
	var current root
	copy(current[:], version[:])
	forkData := hash(current, chain)
	return root(slices.Concat(domainType[:], forkData[:28]))
}
