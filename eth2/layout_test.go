package eth2

import (
	"errors"
	"testing"
)

func TestAnAggregateHasTheLayoutOfItsFork(t *testing.T) {
	n := gloasNetwork()
	with, without := Bitvector{0x01}, Bitvector(nil)
	tests := []struct {
		name    string
		version ForkName
		bits    Bitvector
		epoch   Epoch
		want    ForkName // 0: ErrInvalidMessage
	}{
		{"Phase0 as given", Phase0, without, 0, Phase0},
		{"Deneb as given, whatever the slot", Deneb, without, 650, Phase0},
		{"Electra as given, whatever the slot", Electra, with, 0, Electra},
		{"Fulu as given", Fulu, with, 600, Electra},
		{"Gloas as given, whatever the slot", Gloas, with, 0, Gloas},
		{"Fulu as given in a slot of Gloas", Fulu, with, 700, Electra},
		{"Deneb with committee_bits", Deneb, with, 450, 0},
		{"Electra without committee_bits", Electra, without, 500, 0},
		{"Gloas without committee_bits", Gloas, without, 700, 0},
		{"no version before Electra", 0, without, 499, Phase0},
		{"no version at Electra", 0, with, 500, Electra},
		{"no version, committee_bits before Electra", 0, with, 499, Electra},
		{"no version at Electra without committee_bits", 0, without, 500, 0},
		{"no version at Gloas", 0, with, 700, Gloas},
		{"an empty committee_bits is not an absent one", Deneb, Bitvector{}, 450, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := &AggregateAndProof{ForkInfo: forkInfo(n, Gloas), Version: tt.version}
			m.Data.Aggregate = Aggregate{
				AggregationBits: Bitlist{0x2f},
				CommitteeBits:   tt.bits,
				Data:            AttestationData{Slot: n.FirstSlot(tt.epoch)},
			}
			got, err := m.SigningRoot(n)
			if tt.want == 0 {
				if !errors.Is(err, ErrInvalidMessage) {
					t.Fatalf("%v, want %v", err, ErrInvalidMessage)
				}
				return
			}
			h := hasher{Preset: n.Preset}
			object := m.Data.root(&h)
			if tt.want == Gloas {
				object = m.Data.gloasRoot(&h)
			}
			f := m.ForkInfo.Fork
			version := f.CurrentVersion
			if tt.epoch < f.Epoch {
				version = f.PreviousVersion
			}
			want := container(object, computeDomain(m.Kind(), version, n.GenesisValidatorsRoot))
			if err != nil || got != want {
				t.Errorf("root %v, %v, want %v", got, err, want)
			}
		})
	}
}

func TestABlockIsWholeOrAHeader(t *testing.T) {
	n := gloasNetwork()
	header := &BeaconBlockHeader{Slot: 1}
	phase0 := &BeaconBlock{Slot: 1}
	altair := &BeaconBlock{Slot: 1, Body: BeaconBlockBody{SyncAggregate: &SyncAggregate{SyncCommitteeBits: make(Bitvector, 4)}}}
	tests := []struct {
		name string
		m    Block
		want error
	}{
		{"a header of Bellatrix", Block{Version: Bellatrix, Header: header}, nil},
		{"a header of Gloas", Block{Version: Gloas, Header: header}, nil},
		{"a header without version", Block{Header: header}, nil},
		{"a whole block of Phase0", Block{Version: Phase0, Full: phase0}, nil},
		{"a whole block of Altair", Block{Version: Altair, Full: altair}, nil},
		{"a whole block without version", Block{Full: altair}, nil},
		{"neither", Block{Version: Phase0}, ErrInvalidMessage},
		{"both", Block{Version: Phase0, Full: phase0, Header: header}, ErrInvalidMessage},
		{"a header of Phase0", Block{Version: Phase0, Header: header}, ErrInvalidMessage},
		{"a header of Altair", Block{Version: Altair, Header: header}, ErrInvalidMessage},
		{"a block of Altair without sync aggregate", Block{Version: Altair, Full: phase0}, ErrInvalidMessage},
		{"a block of Phase0 with sync aggregate", Block{Version: Phase0, Full: altair}, ErrInvalidMessage},
		{"a whole block of Bellatrix", Block{Version: Bellatrix, Full: altair}, ErrInvalidMessage},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.m.ForkInfo = forkInfo(n, Gloas)
			if _, err := tt.m.SigningRoot(n); !errors.Is(err, tt.want) {
				t.Errorf("%v, want %v", err, tt.want)
			}
		})
	}
}

func TestABlockAndItsHeaderHaveOneRoot(t *testing.T) {
	n := gloasNetwork()
	block := &BeaconBlock{Slot: 9, ProposerIndex: 3, ParentRoot: Root{1}, StateRoot: Root{2}}
	body, err := HashTreeRoot(&block.Body, n.Preset)
	if err != nil {
		t.Fatal(err)
	}
	full := &Block{ForkInfo: forkInfo(n, Gloas), Full: block}
	header := &Block{ForkInfo: forkInfo(n, Gloas), Header: &BeaconBlockHeader{9, 3, Root{1}, Root{2}, body}}
	want, err := full.SigningRoot(n)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := header.SigningRoot(n); err != nil || got != want {
		t.Errorf("root of the header %v, %v, of the block %v", got, err, want)
	}
	if full.Slot() != 9 || header.Slot() != 9 || new(Block).Slot() != 0 {
		t.Errorf("slots %d, %d, %d, want 9, 9, 0", full.Slot(), header.Slot(), new(Block).Slot())
	}
}

func TestGloasMessagesAreOfGloas(t *testing.T) {
	n := gloasNetwork()
	f := forkInfo(n, Gloas)
	for version, want := range map[ForkName]error{0: nil, Gloas: nil, Fulu: ErrInvalidMessage, Phase0: ErrInvalidMessage} {
		for _, m := range []Message{
			&ExecutionPayloadBid{ForkInfo: f, Version: version},
			&ExecutionPayloadEnvelope{ForkInfo: f, Version: version},
			&PayloadAttestation{ForkInfo: f, Version: version},
			&ProposerPreferences{ForkInfo: f, Version: version},
			&BuilderRequestAuth{Version: version},
		} {
			if _, err := m.SigningRoot(n); !errors.Is(err, want) {
				t.Errorf("%v of %v: %v, want %v", m.Kind(), version, err, want)
			}
		}
	}
}

// TestLimitsAreThoseOfThePreset puts each list and bit field at its limit and
// one beyond.
func TestLimitsAreThoseOfThePreset(t *testing.T) {
	mainnet, minimal := MainnetPreset(), MinimalPreset()
	proof := make([]Root, depositProofLength)
	deposits := func(n int) []BlockDeposit {
		d := make([]BlockDeposit, n)
		for i := range d {
			d[i].Proof = proof
		}
		return d
	}
	aggregates := func(n int) []Aggregate {
		a := make([]Aggregate, n)
		for i := range a {
			a[i].AggregationBits = Bitlist{1}
		}
		return a
	}
	body := func(edit func(*BeaconBlockBody)) Object {
		b := new(BeaconBlockBody)
		edit(b)
		return b
	}
	// ones is a bitlist of n set bits.
	ones := func(n int) Bitlist {
		b := make(Bitlist, n/8+1)
		for i := range n + 1 {
			b[i/8] |= 1 << (i % 8)
		}
		return b
	}
	electra := func(bits, committees int) Object {
		return &Aggregate{AggregationBits: ones(bits), CommitteeBits: make(Bitvector, committees)}
	}
	tests := []struct {
		name   string
		preset *Preset
		fits   Object
		not    Object
	}{
		{"proposer slashings", mainnet,
			body(func(b *BeaconBlockBody) { b.ProposerSlashings = make([]ProposerSlashing, 16) }),
			body(func(b *BeaconBlockBody) { b.ProposerSlashings = make([]ProposerSlashing, 17) })},
		{"attester slashings", mainnet,
			body(func(b *BeaconBlockBody) { b.AttesterSlashings = make([]AttesterSlashing, 2) }),
			body(func(b *BeaconBlockBody) { b.AttesterSlashings = make([]AttesterSlashing, 3) })},
		{"attestations", mainnet,
			body(func(b *BeaconBlockBody) { b.Attestations = aggregates(128) }),
			body(func(b *BeaconBlockBody) { b.Attestations = aggregates(129) })},
		{"deposits", mainnet,
			body(func(b *BeaconBlockBody) { b.Deposits = deposits(16) }),
			body(func(b *BeaconBlockBody) { b.Deposits = deposits(17) })},
		{"exits", mainnet,
			body(func(b *BeaconBlockBody) { b.VoluntaryExits = make([]SignedVoluntaryExit, 16) }),
			body(func(b *BeaconBlockBody) { b.VoluntaryExits = make([]SignedVoluntaryExit, 17) })},
		{"a long proof", mainnet, &BlockDeposit{Proof: proof}, &BlockDeposit{Proof: make([]Root, 34)}},
		{"a short proof", mainnet, &BlockDeposit{Proof: proof}, &BlockDeposit{Proof: proof[1:]}},
		{"attesting indices", mainnet,
			&IndexedAttestation{AttestingIndices: make([]ValidatorIndex, 2048)},
			&IndexedAttestation{AttestingIndices: make([]ValidatorIndex, 2049)}},
		{"bits of an aggregate", mainnet, &Aggregate{AggregationBits: ones(2048)}, &Aggregate{AggregationBits: ones(2049)}},
		{"bits of an Electra aggregate", mainnet, electra(131072, 8), electra(131073, 8)},
		{"bits of a minimal Electra aggregate", minimal, electra(8192, 1), electra(8193, 1)},
		{"too few committees", mainnet, electra(1, 8), electra(1, 7)},
		{"too many committees", mainnet, electra(1, 8), electra(1, 9)},
		{"a fifth committee of four", minimal,
			&Aggregate{AggregationBits: Bitlist{1}, CommitteeBits: Bitvector{0x0f}},
			&Aggregate{AggregationBits: Bitlist{1}, CommitteeBits: Bitvector{0x10}}},
		{"a bitlist without delimiter", mainnet, &Aggregate{AggregationBits: Bitlist{0xff, 0x01}}, &Aggregate{AggregationBits: Bitlist{0xff, 0x00}}},
		{"an empty bitlist", mainnet, &Aggregate{AggregationBits: Bitlist{0x01}}, &Aggregate{AggregationBits: Bitlist{}}},
		{"the sync committee", mainnet, &SyncAggregate{SyncCommitteeBits: make(Bitvector, 64)}, &SyncAggregate{SyncCommitteeBits: make(Bitvector, 4)}},
		{"the minimal sync committee", minimal, &SyncAggregate{SyncCommitteeBits: make(Bitvector, 4)}, &SyncAggregate{SyncCommitteeBits: make(Bitvector, 64)}},
		{"a sync subcommittee", mainnet, &SyncCommitteeContribution{AggregationBits: make(Bitvector, 16)}, &SyncCommitteeContribution{}},
		{"extra data", mainnet, &ExecutionPayload{ExtraData: make(Bytes, 32)}, &ExecutionPayload{ExtraData: make(Bytes, 33)}},
		{"builder auth data", mainnet, &BuilderRequestAuthData{Data: make(Bytes, 4096)}, &BuilderRequestAuthData{Data: make(Bytes, 4097)}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := HashTreeRoot(tt.fits, tt.preset); err != nil {
				t.Errorf("what fits: %v", err)
			}
			if root, err := HashTreeRoot(tt.not, tt.preset); !errors.Is(err, ErrInvalidMessage) || root != (Root{}) {
				t.Errorf("what does not fit: %v, %v, want %v", root, err, ErrInvalidMessage)
			}
		})
	}
}

func TestAnInvalidMessageHasNoRoot(t *testing.T) {
	n := gloasNetwork()
	f := forkInfo(n, Gloas)
	for _, m := range []Message{
		&Block{ForkInfo: f, Full: &BeaconBlock{Body: BeaconBlockBody{VoluntaryExits: make([]SignedVoluntaryExit, 17)}}},
		&AggregateAndProof{ForkInfo: f},
		&ContributionAndProof{ForkInfo: f},
		&ExecutionPayloadEnvelope{ForkInfo: f, Data: ExecutionPayloadEnvelopeData{Payload: ExecutionPayload{ExtraData: make(Bytes, 33)}}},
		&BuilderRequestAuth{Data: BuilderRequestAuthData{Data: make(Bytes, 4097)}},
	} {
		if root, err := m.SigningRoot(n); !errors.Is(err, ErrInvalidMessage) || root != (Root{}) {
			t.Errorf("%v: %v, %v, want %v", m.Kind(), root, err, ErrInvalidMessage)
		}
	}
}
