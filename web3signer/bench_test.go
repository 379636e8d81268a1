package web3signer

import (
	"testing"
)

const attestationBody = `{"type":"ATTESTATION","fork_info":{"fork":{"previous_version":"0x04000000","current_version":"0x05000000","epoch":"364032"},"genesis_validators_root":"0x4b363db94e286120d76eb905340fdd4e54bfe9f06bf33ff6cf5ad27f511bfe95"},"signing_root":"0x0dfa6edb0d3cf22ae7fbbc3b1e1bb1c1ac1c7d9ab04f8b1e6c1d2c8b3f4c1f0e","attestation":{"slot":"11649025","index":"0","beacon_block_root":"0x9c1f6c0a8d2cf1e9a9bdc2f8f6d1ac6d0e3f5e6c7d8f9a0b1c2d3e4f5a6b7c8d","source":{"epoch":"364030","root":"0x1c1f6c0a8d2cf1e9a9bdc2f8f6d1ac6d0e3f5e6c7d8f9a0b1c2d3e4f5a6b7c8d"},"target":{"epoch":"364031","root":"0x2c1f6c0a8d2cf1e9a9bdc2f8f6d1ac6d0e3f5e6c7d8f9a0b1c2d3e4f5a6b7c8d"}}}`

func BenchmarkDecodeAttestation(b *testing.B) {
	h := New(Config{})
	body := []byte(attestationBody)
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		var r request
		if err := h.request.Decode(body, &r); err != nil {
			b.Fatal(err)
		}
		if _, err := r.message(); err != nil {
			b.Fatal(err)
		}
	}
}
