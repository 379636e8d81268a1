// Package devnet runs real chains of Lodestar nodes whose validator clients
// have their keys only in Secure Signer.
//
// It shows that a chain finalises without a refused duty, and that a second
// validator client on the same keys cannot make a slashable pair, where it does
// with an unguarded signer. Only Lodestar itself is not ours: the execution
// engine, the proxy that records what is signed and the judge are.
package devnet

import (
	"maps"
	"os"
	"regexp"
	"slices"
	"testing"
	"time"

	"github.com/secure-signer/secure-signer/test/internal/daemon"
	"github.com/secure-signer/secure-signer/test/internal/interop"
	"github.com/secure-signer/secure-signer/test/judge"

	"github.com/protolambda/zrnt/eth2/configs"
)

func TestMain(m *testing.M) { os.Exit(daemon.Main(m)) }

// A length is how long the chains run.
type length struct {
	finalized uint64 // epoch that the clean chain must finalise
	contested uint64 // slots of the chains with two clients
}

// The clean chain must not be late on a busy machine; the contested ones may.
const (
	cleanSlot     = 2 * time.Second
	contestedSlot = time.Second
)

// chainLength reads SECURE_SIGNER_DEVNET: short, long, or unset, which skips.
func chainLength(t *testing.T) length {
	t.Helper()
	switch mode := os.Getenv("SECURE_SIGNER_DEVNET"); mode {
	case "short":
		return length{finalized: 3, contested: 24}
	case "long":
		return length{finalized: 12, contested: 96}
	case "":
		t.Skip("a real chain takes minutes: make devnet, or SECURE_SIGNER_DEVNET=short")
	default:
		t.Fatalf("SECURE_SIGNER_DEVNET=%s: use short or long", mode)
	}
	return length{}
}

// benign are the only lines of level error or warn that a clean chain may log.
var benign = []*regexp.Regexp{
	// The node is alone on purpose.
	regexp.MustCompile(`error: PeerDiscovery: discv5 has no boot enr|warn: Low peer count`),
	// Lodestar 1.5.1 cannot make light client updates about a chain's first sync
	// period, if that began in phase0. Nothing signs these.
	regexp.MustCompile(`error: Error updating best LightClientUpdate .* Invalid target fork=phase0`),
	// Duties that were asked for before genesis depend on the genesis block, and
	// are asked for again once the first block is there.
	regexp.MustCompile(`warn: .*duties re-?org`),
	// Contributions are due within one slot. A busy machine misses that after the
	// signature was given; any other fault of theirs has another code.
	regexp.MustCompile(`error: Error on publishContributionAndProofs .* code=SYNC_COMMITTEE_ERROR_NOT_CURRENT_SLOT`),
	regexp.MustCompile(`error: .*Multiple errors on publishContributionAndProofs`),
}

func TestAChainLivesOnTheSigner(t *testing.T) {
	l := chainLength(t)
	daemon.Build(t)
	// Epoch N is finalised when epoch N+2 begins.
	lasts := time.Duration((l.finalized+2)*slotsPerEpoch) * cleanSlot
	var r *recorder
	n := startNetwork(t, cleanSlot, lasts, []string{"beacon"}, func(n network) []*process {
		r = &recorder{}
		signer := n.startSigner(t, interop.Keys(validators))
		return []*process{n.startValidator(t, "client", n.chain, n.beacons[0], r.between(t, "client", signer.URL))}
	})
	beacon, client := n.beacons[0], n.clients[0]

	head, finalized := waitForFinality(t, beacon, client, l.finalized, n.genesis.Add(lasts+lasts/2))
	blocks := beacon.blocks(head)
	t.Logf("head slot %d, %d blocks, finalised epoch %d", head, blocks, finalized)
	if finalized < l.finalized {
		t.Errorf("finalised epoch %d, want %d\n%s\n%s", finalized, l.finalized, beacon.text(), client.text())
	}
	if uint64(blocks) < head*9/10 {
		t.Errorf("%d blocks in %d slots", blocks, head)
	}
	for _, p := range []*process{beacon.process, client} {
		for _, line := range p.complaints(benign) {
			t.Error(line)
		}
	}
	n.stop(t)
	r.expectEveryDutySigned(t)
	if v := verdict(t, r); len(v.Crimes) > 0 || v.Blocks == 0 || v.Attestations == 0 {
		t.Errorf("the judge found %v in %d blocks and %d attestations", v.Crimes, v.Blocks, v.Attestations)
	}
}

// waitForFinality returns once the epoch is finalised, or at the deadline.
func waitForFinality(t *testing.T, b *beacon, client *process, epoch uint64, deadline time.Time) (head, finalized uint64) {
	t.Helper()
	for time.Now().Before(deadline) {
		if head, finalized = b.head(); finalized >= epoch {
			break
		}
		if !client.running() {
			t.Fatalf("%s has ended:\n%s", client.name, client.text())
		}
		time.Sleep(time.Second)
	}
	return head, finalized
}

// expectEveryDutySigned fails unless every request got its signature, and every
// duty of phase0 to capella was among them.
func (r *recorder) expectEveryDutySigned(t *testing.T) {
	t.Helper()
	kinds := map[string]int{}
	for _, x := range r.all() {
		kinds[x.kind+" "+x.fork]++
		if x.answer.Status != 200 {
			t.Errorf("%s refused: %d %s", x.kind, x.answer.Status, x.answer.Body)
		}
	}
	for _, kind := range slices.Sorted(maps.Keys(kinds)) {
		t.Logf("%5d %s", kinds[kind], kind)
	}
	always := []string{"BLOCK_V2", "RANDAO_REVEAL", "ATTESTATION", "AGGREGATION_SLOT", "AGGREGATE_AND_PROOF"}
	altair := []string{"SYNC_COMMITTEE_MESSAGE", "SYNC_COMMITTEE_SELECTION_PROOF", "SYNC_COMMITTEE_CONTRIBUTION_AND_PROOF"}
	for fork, version := range []string{"0x00000001", "0x01000001", "0x02000001", "0x03000001"} {
		want := always
		if fork > 0 {
			want = append(slices.Clone(always), altair...)
		}
		for _, kind := range want {
			if kinds[kind+" "+version] == 0 {
				t.Errorf("no %s was asked for under fork version %s", kind, version)
			}
		}
	}
}

func verdict(t *testing.T, r *recorder) judge.Verdict {
	t.Helper()
	v, err := judge.Judge(configs.Minimal, r.signed(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("judged %d blocks and %d attestations, saw %d others, found %d slashable pairs", v.Blocks, v.Attestations, v.Others, len(v.Crimes))
	return v
}

// contest runs two validator clients, each with its own beacon node and so its
// own view of the chain, on the same keys of one signer.
func contest(t *testing.T, start func(network, []interop.Key) string) *recorder {
	t.Helper()
	l := chainLength(t)
	daemon.Build(t)
	lasts := time.Duration(l.contested) * contestedSlot
	var r *recorder
	n := startNetwork(t, contestedSlot, lasts, []string{"first-beacon", "second-beacon"}, func(n network) []*process {
		r = &recorder{}
		signer := start(n, interop.Keys(validators))
		return []*process{
			n.startValidator(t, "first", n.chain, n.beacons[0], r.between(t, "first", signer)),
			n.startValidator(t, "second", n.chain, n.beacons[1], r.between(t, "second", signer)),
		}
	})
	time.Sleep(time.Until(n.genesis.Add(lasts)))
	n.stop(t)
	return r
}

func TestTwoClientsOnTheSameKeysMakeNoSlashablePair(t *testing.T) {
	r := contest(t, func(n network, keys []interop.Key) string { return n.startSigner(t, keys).URL })

	var refusedBlocks, refusedVotes, retries int
	for _, x := range r.all() {
		switch {
		case x.answer.Status == 200 && x.slashable():
			retries++
			if x.retry == nil || x.retry.Status != 200 || x.retry.Body != x.answer.Body {
				t.Errorf("an identical %s was not signed again: %+v", x.kind, x.retry)
			}
		case x.answer.Status == 412 && x.isBlock():
			refusedBlocks++
		case x.answer.Status == 412 && x.kind == "ATTESTATION":
			refusedVotes++
		case x.answer.Status != 200:
			t.Errorf("%s for %s: %d %s", x.kind, x.client, x.answer.Status, x.answer.Body)
		}
	}
	t.Logf("refused %d blocks and %d attestations, signed %d again", refusedBlocks, refusedVotes, retries)
	if refusedBlocks == 0 || refusedVotes == 0 || retries == 0 {
		t.Error("the two clients did not contradict each other")
	}
	if v := verdict(t, r); len(v.Crimes) > 0 || v.Blocks == 0 || v.Attestations == 0 {
		t.Errorf("slashable: %v", v.Crimes)
	}
}

// The control: without it nobody knows whether the test above could fail.
func TestTwoClientsWithoutTheGuardAreSlashable(t *testing.T) {
	r := contest(t, func(_ network, keys []interop.Key) string { return startUnguarded(t, keys) })

	found := map[judge.Offence]int{}
	for _, c := range verdict(t, r).Crimes {
		found[c.Offence]++
	}
	if found[judge.DoubleProposal] == 0 || found[judge.DoubleVote] == 0 {
		t.Errorf("an unguarded signer was caught at %v; want double proposals and double votes", found)
	}
}
