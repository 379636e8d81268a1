package signer_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/secure-signer/secure-signer/attestapi"
	"github.com/secure-signer/secure-signer/bls"
	"github.com/secure-signer/secure-signer/eth2"
	"github.com/secure-signer/secure-signer/handover"
	"github.com/secure-signer/secure-signer/internal/httpjson"
	"github.com/secure-signer/secure-signer/signer"
	"github.com/secure-signer/secure-signer/tee/peer"
)

// parts is every collaborator of a Signer: it notes the order in which it is
// asked and fails where it is told to.
type parts struct {
	steps []string

	forbid error // Allow returns it
	absent bool  // Key does not find the key
	refuse error // Record returns it
	broken error // Sign returns it

	root [32]byte // what Sign was given
}

func (p *parts) Allow(signer.Caller, bls.PublicKey, eth2.Message) error {
	p.steps = append(p.steps, "allow")
	return p.forbid
}

func (p *parts) Key(bls.PublicKey) (*bls.Key, bool) {
	p.steps = append(p.steps, "key")
	return new(bls.Key), !p.absent
}

func (p *parts) Record(_ context.Context, _ bls.PublicKey, _ eth2.Message, root eth2.Root) error {
	p.steps = append(p.steps, "record")
	return p.refuse
}

func (p *parts) SignFirst(ctx context.Context, key *bls.Key, root [32]byte) (bls.Signature, error) {
	sig, err := p.Sign(ctx, key, root)
	p.steps[len(p.steps)-1] = "sign first"
	return sig, err
}

func (p *parts) Sign(ctx context.Context, _ *bls.Key, root [32]byte) (bls.Signature, error) {
	p.steps = append(p.steps, "sign")
	p.root = root
	if err := ctx.Err(); err != nil {
		return bls.Signature{}, err
	}
	return bls.Signature{1}, p.broken
}

// reasoned is an error that knows its reason, as a guard's refusals do.
type reasoned string

func (r reasoned) Error() string  { return "reasoned " + string(r) }
func (r reasoned) Reason() string { return string(r) }

func mainnet(t *testing.T) *eth2.Network {
	t.Helper()
	n, ok := eth2.Builtin("mainnet")
	if !ok {
		t.Fatal("no mainnet")
	}
	return n
}

func attestation(n *eth2.Network) *eth2.Attestation {
	last := n.Forks[len(n.Forks)-1]
	return &eth2.Attestation{
		ForkInfo: eth2.ForkInfo{
			Fork:                  eth2.Fork{PreviousVersion: last.Version, CurrentVersion: last.Version, Epoch: last.Epoch},
			GenesisValidatorsRoot: n.GenesisValidatorsRoot,
		},
		Data: eth2.AttestationData{
			Source: eth2.Checkpoint{Epoch: last.Epoch},
			Target: eth2.Checkpoint{Epoch: last.Epoch + 1},
		},
	}
}

func TestSignAsksInTheOneSafeOrderAndStopsAtTheFirstRefusal(t *testing.T) {
	n := mainnet(t)
	good := attestation(n)
	root, err := good.SigningRoot(n)
	if err != nil {
		t.Fatal(err)
	}
	foreign := attestation(n)
	foreign.ForkInfo.GenesisValidatorsRoot[0]++
	unknown := attestation(n)
	unknown.ForkInfo.Fork.CurrentVersion = eth2.Version{9, 9, 9, 9}
	unknown.ForkInfo.Fork.PreviousVersion = eth2.Version{8, 8, 8, 8}

	tests := []struct {
		name    string
		parts   parts
		message eth2.Message
		claims  []eth2.Root
		urgent  bool
		steps   []string
		reason  signer.Reason
	}{
		{name: "all allow: signed last", message: good, steps: []string{"allow", "key", "record", "sign"}},
		{name: "what is urgent is signed in the same order", message: good, urgent: true, steps: []string{"allow", "key", "record", "sign first"}},
		{name: "right claims are signed", message: good, claims: []eth2.Root{root, root}, steps: []string{"allow", "key", "record", "sign"}},
		{name: "the policy forbids", message: good, parts: parts{forbid: errors.New("no")}, steps: []string{"allow"}, reason: signer.ReasonKindNotAllowed},
		{name: "the policy knows its reason", message: good, parts: parts{forbid: reasoned("key_not_allowed")}, steps: []string{"allow"}, reason: signer.ReasonKeyNotAllowed},
		{name: "the key is not here", message: good, parts: parts{absent: true}, steps: []string{"allow", "key"}, reason: signer.ReasonKeyNotFound},
		{name: "another chain", message: foreign, steps: []string{"allow", "key"}, reason: signer.ReasonForeignChain},
		{name: "an unknown fork", message: unknown, steps: []string{"allow", "key"}, reason: signer.ReasonUnknownFork},
		{name: "one wrong claim among right ones", message: good, claims: []eth2.Root{root, {1}}, steps: []string{"allow", "key"}, reason: signer.ReasonSigningRootMismatch},
		{name: "a message that cannot be hashed", message: &eth2.Block{ForkInfo: good.ForkInfo}, steps: []string{"allow", "key"}, reason: signer.ReasonInvalidMessage},
		{name: "the guard refuses", message: good, parts: parts{refuse: reasoned("double_vote")}, steps: []string{"allow", "key", "record"}, reason: signer.ReasonDoubleVote},
		{name: "the guard knows nothing", message: good, parts: parts{refuse: errors.New("disk on fire")}, steps: []string{"allow", "key", "record"}, reason: signer.ReasonStoreUnavailable},
		{name: "the guard gives up for its own sake", message: good, parts: parts{refuse: context.Canceled}, steps: []string{"allow", "key", "record"}, reason: signer.ReasonStoreUnavailable},
		{name: "the guard gives a reason not of ours", message: good, parts: parts{refuse: reasoned("bad_mood")}, steps: []string{"allow", "key", "record"}, reason: signer.ReasonStoreUnavailable},
		{name: "the key was removed meanwhile", message: good, parts: parts{broken: bls.ErrRemoved}, steps: []string{"allow", "key", "record", "sign"}, reason: signer.ReasonKeyNotFound},
		{name: "the keyring was closed meanwhile", message: good, parts: parts{broken: bls.ErrClosed}, steps: []string{"allow", "key", "record", "sign"}, reason: signer.ReasonShuttingDown},
		{name: "the signature came out wrong", message: good, parts: parts{broken: errors.New("off the curve")}, steps: []string{"allow", "key", "record", "sign"}, reason: signer.ReasonInternal},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			p := test.parts
			s := signer.Signer{Network: n, Keys: &p, Guard: &p, Policy: &p}
			sig, err := s.Sign(t.Context(), signer.Request{Message: test.message, Urgent: test.urgent, ClaimedRoots: test.claims})
			if diff := cmp.Diff(test.steps, p.steps); diff != "" {
				t.Errorf("steps (-want +got):\n%s", diff)
			}
			if test.reason == "" {
				if err != nil || sig != (bls.Signature{1}) || p.root != root {
					t.Errorf("got %v, %v over root %x", sig, err, p.root)
				}
				return
			}
			var refusal *signer.Refusal
			if !errors.As(err, &refusal) || refusal.Reason != test.reason {
				t.Errorf("got error %v, want reason %s", err, test.reason)
			}
			if sig != (bls.Signature{}) {
				t.Errorf("a refusal came with signature %v", sig)
			}
		})
	}
}

func TestARegistrationMustNameTheKeyThatSignsIt(t *testing.T) {
	n := mainnet(t)
	var p parts
	s := signer.Signer{Network: n, Keys: &p, Guard: &p, Policy: &p}
	m := &eth2.ValidatorRegistration{Registration: eth2.ValidatorRegistrationData{Pubkey: eth2.PublicKey{7}}}

	_, err := s.Sign(t.Context(), signer.Request{Key: bls.PublicKey{8}, Message: m})
	var refusal *signer.Refusal
	if !errors.As(err, &refusal) || refusal.Reason != signer.ReasonPubkeyMismatch {
		t.Errorf("another key's registration: got %v", err)
	}
	if _, err := s.Sign(t.Context(), signer.Request{Key: bls.PublicKey{7}, Message: m}); err != nil {
		t.Errorf("its own registration: got %v", err)
	}
}

func TestAClientThatHangsUpIsNoFaultOfTheStore(t *testing.T) {
	n := mainnet(t)
	p := parts{refuse: context.Canceled}
	s := signer.Signer{Network: n, Keys: &p, Guard: &p, Policy: &p}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var refusal *signer.Refusal
	if _, err := s.Sign(ctx, signer.Request{Message: attestation(n)}); !errors.As(err, &refusal) || refusal.Reason != signer.ReasonClientGone {
		t.Errorf("got %v", err)
	}
}

func TestWhatWasRecordedIsSignedAlthoughTheClientHungUp(t *testing.T) {
	n := mainnet(t)
	var p parts
	s := signer.Signer{Network: n, Keys: &p, Guard: &p, Policy: &p}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Sign(ctx, signer.Request{Message: attestation(n)}); err != nil {
		t.Errorf("got %v: the record is durable, so the signature is owed", err)
	}
}

func TestEveryReasonIsDocumentedOnceAndNoOther(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "docs", "errors.md"))
	if err != nil {
		t.Fatal(err)
	}
	var documented []signer.Reason
	for line := range strings.Lines(string(page)) {
		if name, ok := strings.CutPrefix(line, "| `"); ok {
			name, _, _ = strings.Cut(name, "`")
			documented = append(documented, signer.Reason(name))
		}
	}
	slices.Sort(documented)
	want := signer.Reasons()
	for _, r := range slices.Concat(httpjson.Reasons(), attestapi.Reasons(), peer.Reasons(), handover.Reasons()) {
		if !slices.Contains(want, signer.Reason(r)) {
			want = append(want, signer.Reason(r))
		}
	}
	slices.Sort(want)
	if diff := cmp.Diff(want, documented); diff != "" {
		t.Errorf("docs/errors.md (-code +docs):\n%s", diff)
	}
}
