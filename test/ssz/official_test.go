package ssz

import (
	"encoding/hex"
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/attestantio/go-eth2-client/spec/phase0"

	"github.com/secure-signer/secure-signer/eth2"
	"github.com/secure-signer/secure-signer/internal/testdata"
)

// officialGloas are cases of consensus-spec-tests v1.7.0-beta.0,
// minimal/gloas/ssz_static/*/ssz_random/case_0: the answers of the executable
// specification itself.
var officialGloas = []struct {
	schema     string
	root       string
	serialized string
	decode     func(serialized []byte) (eth2.Object, any, error)
}{
	{"GloasAggregateAndProof", "8e20d3aab21ae5374ec249d072afa489e501d89e5c098f6792b2771cf5509bd1", `
		4ba7902c4d1c269f6c000000e88e6195cc4db2e06816cde6bbea338b88010629
		b0b9c041d50f47b276938f21201659abec0c6103c5cd90c5222046ff37370dc1
		4922cb5041198b141135c3d922c5a9314a57ed3b9bf9532f6c10a1d1bbae1459
		d676187b807b951689dc1bc7e5000000a790491376f37aee2147cf66e9714046
		ecbbec4c130e281e93c58058dd417a0e167154035486bb10087ad5d935e3993b
		0fe01548b9bdf0ebf283b42a0c649394dcdb85b311bac6f87fb7267dc63e8e24
		3e5e1e22afaf6064d971a570e883da585ed73c868af16a62e1125a70447b8c21
		b6d432448d83f60d029b391b07c4e773a5042bb3e19b623135daec3fb0c2d397
		325135268b4eb989e76459677c88181aa4d92ddbd7627340cd8fd06a04b60cbd
		936941549f4113342df98c0bba3fd4e3bde5a5423fbe30e9277c60cb5c983423
		496e87c2dddb143235036027ecc53d0406f402`,
		func(b []byte) (eth2.Object, any, error) {
			v := new(gloasAggregateAndProof)
			err := dynamic(presets[1]).UnmarshalSSZ(v, b)
			return &eth2.AggregateAndProofData{
				AggregatorIndex: v.AggregatorIndex, Aggregate: eth2.Aggregate(v.Aggregate), SelectionProof: v.SelectionProof,
			}, v, err
		}},
	{"ExecutionPayloadBidData", "d12473439cb8bc233f4a594c02b90975d17c0feb582888cd60a3c9d462df5b9a", `
		e801b44352d2b7d530badf1691dcd14d891200352af24388bfbb7a54176035d7
		4df4cd31349ba1accce760fad621e410118d7c71abf76bdb50b315c3fe06d524
		862ef67e1243e57912b401a205a9ddf9c9a48e06092dc6ec39d606380f0e4c99
		07d0f30028f6f8608457ba1cf2928b847c1843d8d49a731c3a1e9044feb72090
		febf5fd098dbdd3f0748025a822370d681e80a15020c2a4412ae46c402156775
		6b2b27fd1aefc7bcb190ca7cfcf92b81676a2020fdcb8a4d759d44cde0000000
		c54c3572d6dce44c0dcb14dbd0b5bf951b36d9f633009da7ef0c0787eb76b3a5
		6dcd3a21c445b9e70258b4c5bbf2a37321be7d68efb3e201ffe96a7f5d093820
		1d7ef12f3bf762195b501862972b1b3e`,
		func(b []byte) (eth2.Object, any, error) {
			v := new(payloadBid)
			err := dynamic(presets[1]).UnmarshalSSZ(v, b)
			return (*eth2.ExecutionPayloadBidData)(v), v, err
		}},
	{"ExecutionPayload", "fa1898c570b21f8ae5e68a456f8a6ea37daeee4a078e5fa7b58493fe337174d5", `
		259f7c7de35439e6d6bc4c5c371d3af2ab50952d191ede6d7743a5a8766e4469
		a0cba22cacafc77ad349641da350d164c91a859da6133d5849bb3a42e1d59487
		47561903b175dae19f83fc326d9239e61c0ee54edc60e5194ae10ba04c1d34ea
		cbcd667290256254188b081338008aac6407edc73092f37d55c3ad88f673e27a
		3b39ec04d463fe585c86b4a62367e83916206a299a58f0a93d78664100415a24
		9a6ab197d5e3a57c9a83710dd5bb7471d33430018e78792b43255ace2f09f6f3
		bf7785e651107a41b0d115199c80fb414ceb97db7b39ba7c46c9bba26e6f7d9f
		b9a91e42e537227c0410c88641f4910cb100cd1ee784138fb30d750919a3ed18
		6998261978380961aa1d375ccb64ac977bc7c71cd0b01eb51ef5334725730173
		3f1f0a59733c14bfe0510bfe09f49702b0501e9a379f5921be013ee6e44320d2
		89677e9d6d4b118379f0b256ccd87d666242cdf20642f45be9b1b6b5112eda0a
		feeb2307efe390dabcf15fda4a7049e5aab2d8c57fbb83e5b1b5037526d3d62e
		283009ee91d007bc92020440c9fc4b09bcf833388e0554e66506345771f92226
		ea9ecb189e7a30a8971403e86209f3a19da1fbf51c020000811be6a796aa8228
		eeafd4c76a2b129ab6624d8de7ca4182b8786e59845540a0cc9ac630ef4c35ca
		0923e1a4465a5adb12cfc45cdc1625ff065486525d5ab4b22c02000044020000
		5ec5fcfb85e777a65f361bd8c1e0d0fb9c020000fd956b8480ddf323c2b682a5
		9068fc05ee3e477cd12ceb131000000010000000130000001500000074af2cfa
		20872e128236436f1239deb36644761c68d591a1a40c8404df3630aaf5beae0e
		12414c6a7aac63088911763e6b6dab48ad30d59cd7f11eb3b5b3509d1a54fa36
		5012d294c1cab90b093243a03c92d8914495ffa24e2d926664325637d25fece4
		0341`,
		func(b []byte) (eth2.Object, any, error) {
			v := new(payload)
			err := dynamic(presets[1]).UnmarshalSSZ(v, b)
			return (*eth2.ExecutionPayload)(v), v, err
		}},
	{"PayloadAttestationData", "71262d0038a4a5f09c5389d11b2ad14795eebaa551fc458847623ee710742ef0", `
		fabc02064599c1f9dd0934d6c102bfab6e2ecafddd14ba4c3c374cd4847ba04f
		41b94498ff2ab0380000`,
		func(b []byte) (eth2.Object, any, error) {
			v := new(eth2.PayloadAttestationData)
			err := dynamic(presets[1]).UnmarshalSSZ(v, b)
			return v, v, err
		}},
}

// TestRootsAreThoseOfTheOfficialGloasTests anchors all three merkleizers, ours
// and the two it is compared with, in the executable specification.
func TestRootsAreThoseOfTheOfficialGloasTests(t *testing.T) {
	p := presets[1]
	for _, tt := range officialGloas {
		t.Run(tt.schema, func(t *testing.T) {
			want := root(unhex(t, tt.root))
			o, twin, err := tt.decode(unhex(t, tt.serialized))
			if err != nil {
				t.Fatal(err)
			}
			if got, err := dynamic(p).HashTreeRoot(twin); err != nil || got != want {
				t.Errorf("dynamic-ssz: root %x, %v, want %x", got, err, want)
			}
			if got := specRoot(t, schema(p)[tt.schema], o); got != want {
				t.Errorf("specs' text: root %x, want %x", got, want)
			}
			if tt.schema == "GloasAggregateAndProof" { // shares its type with Electra's: only its signing root is public
				n := gloasNetwork(p)
				fork := eth2.Fork{PreviousVersion: n.Forks[1].Version, CurrentVersion: n.Forks[1].Version}
				m := &eth2.AggregateAndProof{
					ForkInfo: eth2.ForkInfo{Fork: fork, GenesisValidatorsRoot: n.GenesisValidatorsRoot},
					Version:  eth2.Gloas,
					Data:     *o.(*eth2.AggregateAndProofData),
				}
				want = hash(want, domain([4]byte{0x06}, n.Forks[1].Version, n.GenesisValidatorsRoot))
				if got, err := m.SigningRoot(n); err != nil || got != want {
					t.Errorf("signing root %v, %v, want %x", got, err, want)
				}
				return
			}
			if got, err := eth2.HashTreeRoot(o, presetOf(p)); err != nil || got != want {
				t.Errorf("root %v, %v, want %x", got, err, want)
			}
		})
	}
}

func unhex(t *testing.T, text string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.TrimPrefix(strings.Join(strings.Fields(text), ""), "0x"))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestRootsAreThoseOfTheOfficialPhase0Tests decodes the serialized objects of
// consensus-spec-tests v0.12.3 with go-eth2-client, and hands them over as
// JSON.
func TestRootsAreThoseOfTheOfficialPhase0Tests(t *testing.T) {
	b, err := os.ReadFile(testdata.Path(t, "official-v0.12.3/ssz_static.json"))
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Cases []struct{ Type, Case, Root, Serialized string }
	}
	if err := json.Unmarshal(b, &file); err != nil {
		t.Fatal(err)
	}
	types := map[string]struct{ theirs, ours func() any }{
		"AggregateAndProof":   {alloc[phase0.AggregateAndProof], alloc[eth2.AggregateAndProofData]},
		"Attestation":         {alloc[phase0.Attestation], alloc[eth2.Aggregate]},
		"AttestationData":     {alloc[phase0.AttestationData], alloc[eth2.AttestationData]},
		"AttesterSlashing":    {alloc[phase0.AttesterSlashing], alloc[eth2.AttesterSlashing]},
		"BeaconBlock":         {alloc[phase0.BeaconBlock], alloc[eth2.BeaconBlock]},
		"BeaconBlockHeader":   {alloc[phase0.BeaconBlockHeader], alloc[eth2.BeaconBlockHeader]},
		"Checkpoint":          {alloc[phase0.Checkpoint], alloc[eth2.Checkpoint]},
		"Deposit":             {alloc[phase0.Deposit], alloc[eth2.BlockDeposit]},
		"Eth1Data":            {alloc[phase0.ETH1Data], alloc[eth2.Eth1Data]},
		"IndexedAttestation":  {alloc[phase0.IndexedAttestation], alloc[eth2.IndexedAttestation]},
		"ProposerSlashing":    {alloc[phase0.ProposerSlashing], alloc[eth2.ProposerSlashing]},
		"SignedVoluntaryExit": {alloc[phase0.SignedVoluntaryExit], alloc[eth2.SignedVoluntaryExit]},
		"VoluntaryExit":       {alloc[phase0.VoluntaryExit], alloc[eth2.VoluntaryExitData]},
	}
	compared := map[string]int{}
	for _, c := range file.Cases {
		typ, ok := types[c.Type]
		if !ok {
			continue // Fork, ForkData, SigningData, DepositMessage: no container of ours
		}
		theirs, ours := typ.theirs(), typ.ours()
		if err := dynamic(presets[1]).UnmarshalSSZ(theirs, unhex(t, c.Serialized)); err != nil {
			t.Fatalf("%s %s: %v", c.Type, c.Case, err)
		}
		body, err := json.Marshal(theirs)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(body, ours); err != nil {
			t.Fatalf("%s %s: %v", c.Type, c.Case, err)
		}
		got, err := eth2.HashTreeRoot(ours.(eth2.Object), eth2.MinimalPreset())
		if want := root(unhex(t, c.Root)); err != nil || got != want {
			t.Errorf("%s %s: root %v, %v, want %x", c.Type, c.Case, got, err, want)
		}
		compared[c.Type]++
	}
	for name := range types {
		if compared[name] < 8 {
			t.Errorf("only %d cases of %s", compared[name], name)
		}
	}
}

func alloc[T any]() any { return new(T) }
