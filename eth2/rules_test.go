package eth2

import (
	"errors"
	"slices"
	"testing"
)

// gloasNetwork is a chain of the minimal preset, with forks at epochs 0, 100,
// 200, … and Gloas at 700.
func gloasNetwork() *Network {
	n := minimal()
	n.Name = "test"
	n.GenesisValidatorsRoot = Root{0xaa}
	for i := range n.Forks {
		n.Forks[i].Epoch = Epoch(100 * i)
	}
	return n
}

// forkInfo is what a client at a fork of n sends.
func forkInfo(n *Network, name ForkName) ForkInfo {
	i := int(name - Phase0)
	return ForkInfo{
		Fork: Fork{
			PreviousVersion: n.Forks[max(i-1, 0)].Version,
			CurrentVersion:  n.Forks[i].Version,
			Epoch:           n.Forks[i].Epoch,
		},
		GenesisValidatorsRoot: n.GenesisValidatorsRoot,
	}
}

// everyMessage returns one valid message of each kind, and the forms of those
// that have several, at epoch 700 of gloasNetwork.
func everyMessage(f ForkInfo) []Message {
	const slot, epoch = 5600, 700
	electra := AggregateAndProofData{Aggregate: Aggregate{
		AggregationBits: Bitlist{0x0d},
		CommitteeBits:   Bitvector{0x01},
		Data:            AttestationData{Slot: slot},
	}}
	phase0 := electra
	phase0.Aggregate.CommitteeBits = nil
	altair := &BeaconBlock{Slot: slot, Body: BeaconBlockBody{SyncAggregate: &SyncAggregate{SyncCommitteeBits: make(Bitvector, 4)}}}
	return []Message{
		&Attestation{f, AttestationData{Slot: slot, Target: Checkpoint{Epoch: epoch}}},
		&Block{ForkInfo: f, Version: Gloas, Header: &BeaconBlockHeader{Slot: slot}},
		&Block{ForkInfo: f, Version: Phase0, Full: &BeaconBlock{Slot: slot}},
		&Block{ForkInfo: f, Version: Altair, Full: altair},
		&AggregationSlot{f, slot},
		&AggregateAndProof{f, Gloas, electra},
		&AggregateAndProof{f, Electra, electra},
		&AggregateAndProof{f, Phase0, phase0},
		&RandaoReveal{f, epoch},
		&Deposit{Amount: 32e9},
		&VoluntaryExit{f, VoluntaryExitData{Epoch: epoch}},
		&SyncCommitteeMessage{f, Root{1}, slot},
		&SyncCommitteeSelectionProof{f, SyncAggregatorSelectionData{Slot: slot}},
		&ContributionAndProof{f, ContributionAndProofData{Contribution: SyncCommitteeContribution{Slot: slot, AggregationBits: Bitvector{1}}}},
		&ValidatorRegistration{},
		&ExecutionPayloadBid{f, Gloas, ExecutionPayloadBidData{Slot: slot, BlobKZGCommitments: make([]KZGCommitment, 2)}},
		&ExecutionPayloadEnvelope{f, Gloas, ExecutionPayloadEnvelopeData{Payload: ExecutionPayload{
			SlotNumber:   slot,
			Transactions: []Bytes{{1, 2}, {}},
			Withdrawals:  make([]Withdrawal, 1),
		}}},
		&PayloadAttestation{f, Gloas, PayloadAttestationData{Slot: slot, PayloadPresent: true}},
		&ProposerPreferences{f, Gloas, ProposerPreferencesData{ProposalSlot: slot}},
		&BuilderRequestAuth{Gloas, BuilderRequestAuthData{Data: Bytes("https://builder"), Slot: slot}},
	}
}

func TestEveryKindHasAMessage(t *testing.T) {
	n := gloasNetwork()
	var seen []Kind
	for _, m := range everyMessage(forkInfo(n, Gloas)) {
		if _, err := m.SigningRoot(n); err != nil {
			t.Errorf("%v: %v", m.Kind(), err)
		}
		seen = append(seen, m.Kind())
	}
	if slices.Sort(seen); !slices.Equal(slices.Compact(seen), Kinds()) {
		t.Errorf("messages of kinds %v, want %v", seen, Kinds())
	}
}

// TestForkInfoIsHeldAgainstTheNetwork takes every message through what a
// client may say about its fork.
func TestForkInfoIsHeldAgainstTheNetwork(t *testing.T) {
	n := gloasNetwork()
	next := Version{0x08, 0, 0, 1}
	tests := []struct {
		name  string
		edit  func(*ForkInfo)
		want  error
		newer error // for the messages that are signed for one fork more
	}{
		{"the network's own fork", func(*ForkInfo) {}, nil, nil},
		{"the same version twice, as Lighthouse sends it", func(f *ForkInfo) { f.Fork.PreviousVersion = f.Fork.CurrentVersion }, nil, nil},
		{"versions of distant forks", func(f *ForkInfo) { f.Fork.PreviousVersion = n.Forks[1].Version }, nil, nil},
		{"the message's epoch as the fork's, as Lodestar sends it", func(f *ForkInfo) { f.Fork.Epoch = 701 }, nil, nil},
		{"another chain", func(f *ForkInfo) { f.GenesisValidatorsRoot[31]++ }, ErrForeignChain, ErrForeignChain},
		{"the zero root", func(f *ForkInfo) { f.GenesisValidatorsRoot = Root{} }, ErrForeignChain, ErrForeignChain},
		{"an unknown previous version", func(f *ForkInfo) { f.Fork.PreviousVersion = next }, ErrUnknownFork, ErrUnknownFork},
		{"two unknown versions", func(f *ForkInfo) { f.Fork.PreviousVersion, f.Fork.CurrentVersion = next, next }, ErrUnknownFork, ErrUnknownFork},
		{"an unknown version after an old fork", func(f *ForkInfo) { f.Fork.CurrentVersion = next }, ErrUnknownFork, ErrUnknownFork},
		{"the fork after the last we know", func(f *ForkInfo) { f.Fork.PreviousVersion, f.Fork.CurrentVersion = f.Fork.CurrentVersion, next }, ErrUnknownFork, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := forkInfo(n, Gloas)
			tt.edit(&f)
			for _, m := range everyMessage(f) {
				want := tt.want
				switch {
				case m.forkInfo() == nil:
					want = nil
				case signedForNewerForks(m):
					want = tt.newer
				}
				if _, err := m.SigningRoot(n); !errors.Is(err, want) {
					t.Errorf("%v: %v, want %v", m.Kind(), err, want)
				}
				if got, want := n.UnknownFork(m), want == nil && tt.want != nil && m.forkInfo() != nil; got != want {
					t.Errorf("%v: unknown fork %t, want %t", m.Kind(), got, want)
				}
			}
		})
	}
}

func signedForNewerForks(m Message) bool {
	if b, ok := m.(*Block); ok {
		return b.Header != nil
	}
	return slices.Contains([]Kind{
		KindAttestation, KindRandaoReveal, KindAggregationSlot,
		KindSyncCommitteeMessage, KindSyncCommitteeSelectionProof, KindContributionAndProof,
	}, m.Kind())
}

// TestTheEpochChoosesTheVersion checks, for every kind, both sides of a fork:
// the fork is at epoch 700 with messages at its first slot, then one later.
func TestTheEpochChoosesTheVersion(t *testing.T) {
	n := gloasNetwork()
	for _, tt := range []struct {
		name  string
		epoch Epoch
		want  ForkName
	}{
		{"from the fork's epoch on the current version", 700, Gloas},
		{"before it the previous version", 701, Fulu},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := forkInfo(n, Gloas)
			f.Fork.Epoch = tt.epoch
			same := f
			same.Fork.PreviousVersion = n.Forks[tt.want-Phase0].Version
			same.Fork.CurrentVersion = same.Fork.PreviousVersion
			want := everyMessage(same)
			for i, m := range everyMessage(f) {
				got, err := m.SigningRoot(n)
				want, wantErr := want[i].SigningRoot(n)
				if err != nil || wantErr != nil || got != want {
					t.Errorf("%v: root %v, %v, want %v, %v", m.Kind(), got, err, want, wantErr)
				}
			}
		})
	}
}

func TestExitsAreForCapellaFromDenebOn(t *testing.T) {
	n := gloasNetwork()
	tests := []struct {
		name     string
		previous ForkName
		current  ForkName
		fork     Epoch
		exit     Epoch
		want     ForkName
	}{
		{"a client at Bellatrix", Altair, Bellatrix, 200, 250, Bellatrix},
		{"a client at Capella with an exit of Bellatrix", Bellatrix, Capella, 300, 299, Bellatrix},
		{"a client at Capella", Bellatrix, Capella, 300, 300, Capella},
		{"a client at Deneb", Capella, Deneb, 400, 400, Capella},
		{"a client at Deneb with an old exit", Capella, Deneb, 400, 1, Capella},
		{"a client at Fulu with an exit of Deneb", Electra, Fulu, 600, 450, Capella},
		{"a client at Gloas", Fulu, Gloas, 700, 900, Capella},
		{"a client that sends Capella twice", Capella, Capella, 300, 900, Capella},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := &VoluntaryExit{Data: VoluntaryExitData{Epoch: tt.exit, ValidatorIndex: 7}}
			m.ForkInfo = ForkInfo{Fork{n.Forks[tt.previous-Phase0].Version, n.Forks[tt.current-Phase0].Version, tt.fork}, n.GenesisValidatorsRoot}
			object, err := HashTreeRoot(&m.Data, n.Preset)
			if err != nil {
				t.Fatal(err)
			}
			want := container(object, computeDomain(KindVoluntaryExit, n.Forks[tt.want-Phase0].Version, n.GenesisValidatorsRoot))
			if got, err := m.SigningRoot(n); err != nil || got != want {
				t.Errorf("root %v, %v, want %v", got, err, want)
			}
		})
	}
}

func TestExitsWithoutDenebUseTheForkOfTheirEpoch(t *testing.T) {
	n := gloasNetwork()
	n.Forks = n.Forks[:4]
	m := &VoluntaryExit{ForkInfo: forkInfo(n, Capella), Data: VoluntaryExitData{Epoch: 299}}
	object, err := HashTreeRoot(&m.Data, n.Preset)
	if err != nil {
		t.Fatal(err)
	}
	want := container(object, computeDomain(KindVoluntaryExit, n.Forks[2].Version, n.GenesisValidatorsRoot))
	if got, err := m.SigningRoot(n); err != nil || got != want {
		t.Errorf("root %v, %v, want %v", got, err, want)
	}
}

// TestSomeDomainsAreTheSameOnEveryFork: deposits carry their own version,
// messages to builders use the network's first; none names the chain.
func TestSomeDomainsAreTheSameOnEveryFork(t *testing.T) {
	n := gloasNetwork()
	h := hasher{Preset: n.Preset}
	deposit := &Deposit{Pubkey: PublicKey{1}, Amount: 2, GenesisForkVersion: Version{9, 9, 9, 9}}
	registration := &ValidatorRegistration{ValidatorRegistrationData{GasLimit: 1}}
	auth := &BuilderRequestAuth{Data: BuilderRequestAuthData{Data: Bytes{1}}}
	for _, tt := range []struct {
		message Message
		object  Root
		version Version
	}{
		{deposit, container(vector(deposit.Pubkey[:]), Root{}, number(deposit.Amount)), Version{9, 9, 9, 9}},
		{registration, registration.Registration.root(&h), Version{0, 0, 0, 1}},
		{auth, auth.Data.root(&h), Version{0, 0, 0, 1}},
	} {
		want := container(tt.object, computeDomain(tt.message.Kind(), tt.version, Root{}))
		if got, err := tt.message.SigningRoot(n); err != nil || got != want {
			t.Errorf("%v: root %v, %v, want %v", tt.message.Kind(), got, err, want)
		}
	}
}

func TestDomainTypesAreThoseOfTheSpecs(t *testing.T) {
	want := map[Kind]string{
		KindBlock:                       "0x00000000",
		KindAttestation:                 "0x01000000",
		KindRandaoReveal:                "0x02000000",
		KindDeposit:                     "0x03000000",
		KindVoluntaryExit:               "0x04000000",
		KindAggregationSlot:             "0x05000000",
		KindAggregateAndProof:           "0x06000000",
		KindSyncCommitteeMessage:        "0x07000000",
		KindSyncCommitteeSelectionProof: "0x08000000",
		KindContributionAndProof:        "0x09000000",
		KindValidatorRegistration:       "0x00000001",
		KindExecutionPayloadBid:         "0x0b000000",
		KindExecutionPayloadEnvelope:    "0x0b000000",
		KindPayloadAttestation:          "0x0c000000",
		KindProposerPreferences:         "0x0d000000",
		KindBuilderRequestAuth:          "0x0b000001",
	}
	for _, k := range Kinds() {
		domain := computeDomain(k, Version{}, Root{})
		if got := DomainType(domain[:4]).String(); got != want[k] {
			t.Errorf("%v: domain type %s, want %s", k, got, want[k])
		}
	}
}
