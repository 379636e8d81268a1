package eth2

// A Duty is what a person looks for in a message: when it is for, and what it
// votes for. What a message has not is nil; the pointers lead into the message.
type Duty struct {
	Slot   *Slot
	Epoch  *Epoch
	Source *Checkpoint
	Target *Checkpoint
}

// DutyOf reads m's.
func DutyOf(m Message) Duty {
	switch m := m.(type) {
	case *Attestation:
		return Duty{Slot: &m.Data.Slot, Source: &m.Data.Source, Target: &m.Data.Target}
	case *Block:
		slot := m.Slot()
		return Duty{Slot: &slot}
	case *AggregationSlot:
		return Duty{Slot: &m.Slot}
	case *AggregateAndProof:
		return Duty{Slot: &m.Data.Aggregate.Data.Slot}
	case *RandaoReveal:
		return Duty{Epoch: &m.Epoch}
	case *VoluntaryExit:
		return Duty{Epoch: &m.Data.Epoch}
	case *SyncCommitteeMessage:
		return Duty{Slot: &m.Slot}
	case *SyncCommitteeSelectionProof:
		return Duty{Slot: &m.Data.Slot}
	case *ContributionAndProof:
		return Duty{Slot: &m.Data.Contribution.Slot}
	case *ExecutionPayloadBid:
		return Duty{Slot: &m.Data.Slot}
	case *ExecutionPayloadEnvelope:
		return Duty{Slot: &m.Data.Payload.SlotNumber}
	case *PayloadAttestation:
		return Duty{Slot: &m.Data.Slot}
	case *ProposerPreferences:
		return Duty{Slot: &m.Data.ProposalSlot}
	case *BuilderRequestAuth:
		return Duty{Slot: &m.Data.Slot}
	}
	return Duty{}
}
