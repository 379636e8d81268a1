package eth2

import "testing"

func BenchmarkAttestationSigningRoot(b *testing.B) {
	n, _ := Builtin("mainnet")
	m := &Attestation{
		ForkInfo: forkInfo(n, Fulu),
		Data:     AttestationData{Slot: 13_200_000, Source: Checkpoint{Epoch: 412499}, Target: Checkpoint{Epoch: 412500}},
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := m.SigningRoot(n); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAggregateSigningRoot(b *testing.B) {
	n, _ := Builtin("mainnet")
	bits := make(Bitlist, 64)
	bits[63] = 0x80
	m := &AggregateAndProof{
		ForkInfo: forkInfo(n, Fulu),
		Version:  Fulu,
		Data:     AggregateAndProofData{Aggregate: Aggregate{AggregationBits: bits, CommitteeBits: make(Bitvector, 8)}},
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := m.SigningRoot(n); err != nil {
			b.Fatal(err)
		}
	}
}
