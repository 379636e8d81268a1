package ssz

// A preset is the part of presets/*/{phase0,altair}.yaml that shapes a
// container. Gnosis has mainnet's.
type preset struct {
	name              string
	committeesPerSlot int
	syncCommitteeSize int
}

var presets = []preset{{"mainnet", 64, 512}, {"minimal", 4, 32}}

// schema holds the containers of the consensus specs (v1.7.0-beta.0) and
// builder specs, by our name for them.
func schema(p preset) map[string]typ {
	u64 := uintN(8)
	b32, b20, pubkey, signature := bytesN(32), bytesN(20), bytesN(48), bytesN(96)

	checkpoint := container(field{"epoch", u64}, field{"root", b32})
	data := container(field{"slot", u64}, field{"index", u64}, field{"beacon_block_root", b32},
		field{"source", checkpoint}, field{"target", checkpoint})
	header := container(field{"slot", u64}, field{"proposer_index", u64}, field{"parent_root", b32},
		field{"state_root", b32}, field{"body_root", b32})
	signedHeader := container(field{"message", header}, field{"signature", signature})
	proposerSlashing := container(field{"signed_header_1", signedHeader}, field{"signed_header_2", signedHeader})
	indexed := container(field{"attesting_indices", listOfUint64(2048)}, field{"data", data}, field{"signature", signature})
	attesterSlashing := container(field{"attestation_1", indexed}, field{"attestation_2", indexed})
	attestation := container(field{"aggregation_bits", bitlist(2048)}, field{"data", data}, field{"signature", signature})
	eth1 := container(field{"deposit_root", b32}, field{"deposit_count", u64}, field{"block_hash", b32})
	depositData := container(field{"pubkey", pubkey}, field{"withdrawal_credentials", b32}, field{"amount", u64},
		field{"signature", signature})
	deposit := container(field{"proof", vector(b32, 33)}, field{"data", depositData})
	exit := container(field{"epoch", u64}, field{"validator_index", u64})
	signedExit := container(field{"message", exit}, field{"signature", signature})
	syncAggregate := container(field{"sync_committee_bits", bitvector(p.syncCommitteeSize)},
		field{"sync_committee_signature", signature})
	phase0Body := []field{
		{"randao_reveal", signature}, {"eth1_data", eth1}, {"graffiti", b32},
		{"proposer_slashings", list(proposerSlashing, 16)}, {"attester_slashings", list(attesterSlashing, 2)},
		{"attestations", list(attestation, 128)}, {"deposits", list(deposit, 16)}, {"voluntary_exits", list(signedExit, 16)},
	}
	altairBody := append(phase0Body[:8:8], field{"sync_aggregate", syncAggregate})
	block := func(body []field) typ {
		return container(field{"slot", u64}, field{"proposer_index", u64}, field{"parent_root", b32},
			field{"state_root", b32}, field{"body", container(body...)})
	}
	contribution := container(field{"slot", u64}, field{"beacon_block_root", b32}, field{"subcommittee_index", u64},
		field{"aggregation_bits", bitvector(p.syncCommitteeSize / 4)}, field{"signature", signature})
	electra := container(field{"aggregation_bits", bitlist(2048 * p.committeesPerSlot)}, field{"data", data},
		field{"signature", signature}, field{"committee_bits", bitvector(p.committeesPerSlot)})
	gloas := progressiveContainer(field{"aggregation_bits", progressiveBitlist}, field{"data", data},
		field{"signature", signature}, field{"committee_bits", bitvector(p.committeesPerSlot)})
	andProof := func(aggregate typ) typ {
		return container(field{"aggregator_index", u64}, field{"aggregate", aggregate}, field{"selection_proof", signature})
	}
	payload, requests := payloadSchema(u64, b32, b20, pubkey, signature)

	return map[string]typ{
		"Checkpoint":                  checkpoint,
		"AttestationData":             data,
		"BeaconBlockHeader":           header,
		"SignedBeaconBlockHeader":     signedHeader,
		"ProposerSlashing":            proposerSlashing,
		"IndexedAttestation":          indexed,
		"AttesterSlashing":            attesterSlashing,
		"Phase0Aggregate":             attestation,
		"Phase0AggregateAndProof":     andProof(attestation),
		"ElectraAggregate":            electra,
		"ElectraAggregateAndProof":    andProof(electra),
		"GloasAggregateAndProof":      andProof(gloas),
		"Eth1Data":                    eth1,
		"DepositData":                 depositData,
		"BlockDeposit":                deposit,
		"VoluntaryExitData":           exit,
		"SignedVoluntaryExit":         signedExit,
		"Phase0Body":                  container(phase0Body...),
		"AltairBody":                  container(altairBody...),
		"Phase0Block":                 block(phase0Body),
		"AltairBlock":                 block(altairBody),
		"SyncAggregate":               syncAggregate,
		"SyncCommitteeContribution":   contribution,
		"ContributionAndProofData":    container(field{"aggregator_index", u64}, field{"contribution", contribution}, field{"selection_proof", signature}),
		"SyncAggregatorSelectionData": container(field{"slot", u64}, field{"subcommittee_index", u64}),
		"ValidatorRegistrationData": container(field{"fee_recipient", b20}, field{"gas_limit", u64},
			field{"timestamp", u64}, field{"pubkey", pubkey}),
		"ExecutionPayload":  payload,
		"ExecutionRequests": requests,
		"ExecutionPayloadEnvelopeData": progressiveContainer(field{"payload", payload}, field{"execution_requests", requests},
			field{"builder_index", u64}, field{"beacon_block_root", b32}, field{"parent_beacon_block_root", b32}),
		"ExecutionPayloadBidData": progressiveContainer(field{"parent_block_hash", b32}, field{"parent_block_root", b32},
			field{"block_hash", b32}, field{"prev_randao", b32}, field{"fee_recipient", b20}, field{"gas_limit", u64},
			field{"builder_index", u64}, field{"slot", u64}, field{"value", u64}, field{"execution_payment", u64},
			field{"blob_kzg_commitments", progressiveList(bytesN(48))}, field{"execution_requests_root", b32}),
		"PayloadAttestationData": container(field{"beacon_block_root", b32}, field{"slot", u64},
			field{"payload_present", boolean}, field{"blob_data_available", boolean}),
		"ProposerPreferencesData": container(field{"dependent_root", b32}, field{"proposal_slot", u64},
			field{"validator_index", u64}, field{"fee_recipient", b20}, field{"target_gas_limit", u64}),
		"BuilderRequestAuthData": container(field{"data", byteList(4096)}, field{"slot", u64}),
	}
}

func payloadSchema(u64, b32, b20, pubkey, signature typ) (payload, requests typ) {
	withdrawal := container(field{"index", u64}, field{"validator_index", u64}, field{"address", b20}, field{"amount", u64})
	payload = progressiveContainer(
		field{"parent_hash", b32}, field{"fee_recipient", b20}, field{"state_root", b32}, field{"receipts_root", b32},
		field{"logs_bloom", bytesN(256)}, field{"prev_randao", b32}, field{"block_number", u64}, field{"gas_limit", u64},
		field{"gas_used", u64}, field{"timestamp", u64}, field{"extra_data", byteList(32)},
		field{"base_fee_per_gas", uintN(32)}, field{"block_hash", b32},
		field{"transactions", progressiveList(progressiveByteList)}, field{"withdrawals", progressiveList(withdrawal)},
		field{"blob_gas_used", u64}, field{"excess_blob_gas", u64},
		field{"block_access_list", progressiveByteList}, field{"slot_number", u64})
	deposit := container(field{"pubkey", pubkey}, field{"withdrawal_credentials", b32}, field{"amount", u64},
		field{"signature", signature}, field{"index", u64})
	exit := container(field{"source_address", b20}, field{"validator_pubkey", pubkey}, field{"amount", u64})
	consolidation := container(field{"source_address", b20}, field{"source_pubkey", pubkey}, field{"target_pubkey", pubkey})
	builderDeposit := container(field{"pubkey", pubkey}, field{"withdrawal_credentials", b32}, field{"amount", u64},
		field{"signature", signature})
	builderExit := container(field{"source_address", b20}, field{"pubkey", pubkey})
	requests = progressiveContainer(field{"deposits", progressiveList(deposit)}, field{"withdrawals", progressiveList(exit)},
		field{"consolidations", progressiveList(consolidation)}, field{"builder_deposits", progressiveList(builderDeposit)},
		field{"builder_exits", progressiveList(builderExit)})
	return payload, requests
}
