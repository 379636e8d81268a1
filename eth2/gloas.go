package eth2

// An ExecutionPayloadBid offers a payload to the proposer of a slot.
type ExecutionPayloadBid struct {
	ForkInfo ForkInfo
	Version  ForkName // as sent; may be left out
	Data     ExecutionPayloadBidData
}

// An ExecutionPayloadEnvelope reveals the payload that a bid promised.
type ExecutionPayloadEnvelope struct {
	ForkInfo ForkInfo
	Version  ForkName // as sent; may be left out
	Data     ExecutionPayloadEnvelopeData
}

// A PayloadAttestation is a vote of the payload timeliness committee.
type PayloadAttestation struct {
	ForkInfo ForkInfo
	Version  ForkName // as sent; may be left out
	Data     PayloadAttestationData
}

// ProposerPreferences tell builders what a proposer wants.
type ProposerPreferences struct {
	ForkInfo ForkInfo
	Version  ForkName // as sent; may be left out
	Data     ProposerPreferencesData
}

// A BuilderRequestAuth authenticates a request to a builder.
type BuilderRequestAuth struct {
	Version ForkName // as sent; may be left out
	Data    BuilderRequestAuthData
}

// PayloadAttestationData is what a member of the committee saw.
type PayloadAttestationData struct {
	BeaconBlockRoot   Root `json:"beacon_block_root"`
	Slot              Slot `json:"slot"`
	PayloadPresent    bool `json:"payload_present"`
	BlobDataAvailable bool `json:"blob_data_available"`
}

func (a *AggregateAndProofData) gloasRoot(h *hasher) Root { return a.root(h) }

type ExecutionPayloadBidData struct{ Slot Slot }
type ExecutionPayloadEnvelopeData struct{}
type ProposerPreferencesData struct{}
type BuilderRequestAuthData struct{}

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

func (m *ExecutionPayloadBid) SigningRoot(n *Network) (Root, error) { return Root{}, ErrInvalidMessage }
func (m *ExecutionPayloadEnvelope) SigningRoot(n *Network) (Root, error) {
	return Root{}, ErrInvalidMessage
}
func (m *PayloadAttestation) SigningRoot(n *Network) (Root, error)  { return Root{}, ErrInvalidMessage }
func (m *ProposerPreferences) SigningRoot(n *Network) (Root, error) { return Root{}, ErrInvalidMessage }
func (m *BuilderRequestAuth) SigningRoot(n *Network) (Root, error)  { return Root{}, ErrInvalidMessage }
