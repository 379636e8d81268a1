package eth2

// A Preset holds the compile-time constants of the consensus specs that a
// signer needs: limits of lists shape the hash tree, so a block of one preset
// has another root under a different one.
//
// Source: consensus-specs presets/{mainnet,minimal}, gnosischain/specs
// consensus/preset/gnosis.
type Preset struct {
	Name                      string
	SlotsPerEpoch             uint64
	MaxProposerSlashings      uint64
	MaxAttesterSlashings      uint64
	MaxAttestations           uint64
	MaxDeposits               uint64
	MaxVoluntaryExits         uint64
	MaxValidatorsPerCommittee uint64
	MaxCommitteesPerSlot      uint64
	SyncCommitteeSize         uint64
}

// depositProofLength is the length of a deposit's proof: the depth of the
// deposit contract's tree and one for its length.
const depositProofLength = 33

// syncSubcommittees is SYNC_COMMITTEE_SUBNET_COUNT of every network.
const syncSubcommittees = 4

// MainnetPreset returns the preset of mainnet and its public testnets.
func MainnetPreset() *Preset {
	return &Preset{
		Name:                      "mainnet",
		SlotsPerEpoch:             32,
		MaxProposerSlashings:      16,
		MaxAttesterSlashings:      2,
		MaxAttestations:           128,
		MaxDeposits:               16,
		MaxVoluntaryExits:         16,
		MaxValidatorsPerCommittee: 2048,
		MaxCommitteesPerSlot:      64,
		SyncCommitteeSize:         512,
	}
}

// MinimalPreset returns the preset of small local test chains.
func MinimalPreset() *Preset {
	p := MainnetPreset()
	p.Name = "minimal"
	p.SlotsPerEpoch = 8
	p.MaxCommitteesPerSlot = 4
	p.SyncCommitteeSize = 32
	return p
}

// GnosisPreset returns the preset of Gnosis and Chiado.
func GnosisPreset() *Preset {
	p := MainnetPreset()
	p.Name = "gnosis"
	p.SlotsPerEpoch = 16
	return p
}
