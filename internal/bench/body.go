package bench

import (
	"encoding/binary"
	"fmt"
	"sync"

	"github.com/secure-signer/secure-signer/eth2"
)

// A Kind is a kind of request, and whether all keys ask for one signing root.
type Kind string

// The kinds. Since Electra all validators that see the same chain attest to
// one root; blocks, aggregates and registrations have a root each.
const (
	Attestation         Kind = "attestation"
	DistinctAttestation Kind = "attestation-distinct"
	Block               Kind = "block"
	Randao              Kind = "randao"
	SyncMessage         Kind = "sync-message"
)

// Kinds lists them.
func Kinds() []Kind { return []Kind{Attestation, DistinctAttestation, Block, Randao, SyncMessage} }

// bodies renders requests, and keeps those that many keys share.
type bodies struct {
	load Load
	fork string

	mu       sync.Mutex
	rendered map[int64]string // by round if the keys share them, else by request
}

func newBodies(l Load) *bodies {
	last := l.Network.Forks[len(l.Network.Forks)-1]
	for _, f := range l.Network.Forks {
		if f.Epoch <= l.FromEpoch {
			last = f
		}
	}
	return &bodies{
		load:     l,
		rendered: map[int64]string{},
		fork: fmt.Sprintf(`"fork_info":{"fork":{"previous_version":"%v","current_version":"%v","epoch":"%d"},"genesis_validators_root":"%v"}`,
			last.Version, last.Version, last.Epoch, l.Network.GenesisValidatorsRoot),
	}
}

// at returns the body of the i-th request. Rounds follow each other, each with
// every key once.
func (b *bodies) at(i int64) string {
	id := i
	if b.load.Kind != DistinctAttestation && b.load.Kind != Block {
		id = i / int64(len(b.load.Keys))
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	body, ok := b.rendered[id]
	if !ok {
		if len(b.rendered) > 4*len(b.load.Keys)+64 {
			clear(b.rendered) // older rounds are not asked for again
		}
		body = b.body(i)
		b.rendered[id] = body
	}
	return body
}

// render makes the bodies of n requests ahead of time.
func (b *bodies) render(first int64, n int) {
	for i := range int64(n) {
		b.at(first + i)
	}
}

func (b *bodies) body(i int64) string {
	epoch := b.load.FromEpoch + eth2.Epoch(i/int64(len(b.load.Keys)))
	slot := b.load.Network.FirstSlot(epoch)
	var shared, own eth2.Root
	binary.BigEndian.PutUint64(shared[:], uint64(epoch)+1)
	binary.BigEndian.PutUint64(own[:], uint64(i)+1)
	head := shared
	if b.load.Kind == DistinctAttestation {
		head = own
	}
	switch b.load.Kind {
	case Block:
		return fmt.Sprintf(`{"type":"BLOCK_V2",%s,"beacon_block":{"version":"CAPELLA","block_header":{"slot":"%d","proposer_index":"%d","parent_root":"%v","state_root":"%v","body_root":"%v"}}}`,
			b.fork, slot, i, shared, own, own)
	case Randao:
		return fmt.Sprintf(`{"type":"RANDAO_REVEAL",%s,"randao_reveal":{"epoch":"%d"}}`, b.fork, epoch)
	case SyncMessage:
		return fmt.Sprintf(`{"type":"SYNC_COMMITTEE_MESSAGE",%s,"sync_committee_message":{"beacon_block_root":"%v","slot":"%d"}}`, b.fork, shared, slot)
	}
	source := epoch
	if source > 0 {
		source--
	}
	return fmt.Sprintf(`{"type":"ATTESTATION",%s,"attestation":{"slot":"%d","index":"0","beacon_block_root":"%v","source":{"epoch":"%d","root":"%v"},"target":{"epoch":"%d","root":"%v"}}}`,
		b.fork, slot, head, source, shared, epoch, shared)
}
