package eth2

// The messages that Gloas adds, for enshrined proposer-builder separation
// (EIP-7732). Version is the one sent with the object; it may be left out, and
// can only be Gloas.

// An ExecutionPayloadBid offers a payload to the proposer of a slot.
type ExecutionPayloadBid struct {
	ForkInfo ForkInfo
	Version  ForkName
	Data     ExecutionPayloadBidData
}

// An ExecutionPayloadEnvelope reveals the payload that a bid promised.
type ExecutionPayloadEnvelope struct {
	ForkInfo ForkInfo
	Version  ForkName
	Data     ExecutionPayloadEnvelopeData
}

// A PayloadAttestation is a vote of the payload timeliness committee.
type PayloadAttestation struct {
	ForkInfo ForkInfo
	Version  ForkName
	Data     PayloadAttestationData
}

// ProposerPreferences tell builders what a proposer wants.
type ProposerPreferences struct {
	ForkInfo ForkInfo
	Version  ForkName
	Data     ProposerPreferencesData
}

// A BuilderRequestAuth authenticates a proposer's request to a builder.
type BuilderRequestAuth struct {
	Version ForkName
	Data    BuilderRequestAuthData
}

func (*ExecutionPayloadBid) Kind() Kind      { return KindExecutionPayloadBid }
func (*ExecutionPayloadEnvelope) Kind() Kind { return KindExecutionPayloadEnvelope }
func (*PayloadAttestation) Kind() Kind       { return KindPayloadAttestation }
func (*ProposerPreferences) Kind() Kind      { return KindProposerPreferences }
func (*BuilderRequestAuth) Kind() Kind       { return KindBuilderRequestAuth }

func (m *ExecutionPayloadBid) forkInfo() *ForkInfo      { return &m.ForkInfo }
func (m *ExecutionPayloadEnvelope) forkInfo() *ForkInfo { return &m.ForkInfo }
func (m *PayloadAttestation) forkInfo() *ForkInfo       { return &m.ForkInfo }
func (m *ProposerPreferences) forkInfo() *ForkInfo      { return &m.ForkInfo }
func (*BuilderRequestAuth) forkInfo() *ForkInfo         { return nil }

func (m *ExecutionPayloadBid) SigningRoot(n *Network) (Root, error) {
	h := gloasHasher(n, m.Version)
	return n.signingRoot(m, &h, n.EpochOf(m.Data.Slot), m.Data.root(&h))
}

func (m *ExecutionPayloadEnvelope) SigningRoot(n *Network) (Root, error) {
	h := gloasHasher(n, m.Version)
	return n.signingRoot(m, &h, n.EpochOf(m.Data.Payload.SlotNumber), m.Data.root(&h))
}

func (m *PayloadAttestation) SigningRoot(n *Network) (Root, error) {
	h := gloasHasher(n, m.Version)
	return n.signingRoot(m, &h, n.EpochOf(m.Data.Slot), m.Data.root(&h))
}

func (m *ProposerPreferences) SigningRoot(n *Network) (Root, error) {
	h := gloasHasher(n, m.Version)
	return n.signingRoot(m, &h, n.EpochOf(m.Data.ProposalSlot), m.Data.root(&h))
}

func (m *BuilderRequestAuth) SigningRoot(n *Network) (Root, error) {
	h := gloasHasher(n, m.Version)
	return n.builderRoot(m, &h, m.Data.root(&h))
}

func gloasHasher(n *Network, version ForkName) hasher {
	h := hasher{Preset: n.Preset}
	if version != 0 && version != Gloas {
		h.invalid("no such message in %v", version)
	}
	return h
}
