package judge

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/protolambda/zrnt/eth2/beacon/common"
	"github.com/protolambda/zrnt/eth2/configs"

	"github.com/secure-signer/secure-signer/test/internal/interop"
)

// sign makes the evidence that a signer without a guard would leave.
func sign(t *testing.T, key interop.Key, request string) Signed {
	t.Helper()
	m, err := parse(configs.Minimal, []byte(request))
	if err != nil {
		t.Fatal(err)
	}
	return Signed{Key: key.Public, Request: []byte(request), Signature: key.Sign(m.root())}
}

const forkInfo = `"fork_info":{"fork":{"previous_version":"0x02000001","current_version":"0x03000001","epoch":"3"},` +
	`"genesis_validators_root":"0x270d43e74ce340de4bca2b1936beca0f4f5408d9e78aec4850920baf659d5b69"}`

// root is a root that differs by its first byte.
func root(b byte) string { return fmt.Sprintf("0x%02x%s", b, strings.Repeat("00", 31)) }

func attestation(source, target int, head byte) string {
	return fmt.Sprintf(`{"type":"ATTESTATION",%s,"attestation":{"slot":"%d","index":"0","beacon_block_root":%q,`+
		`"source":{"epoch":"%d","root":%q},"target":{"epoch":"%d","root":%q}}}`,
		forkInfo, target*8, root(head), source, root(1), target, root(2))
}

func header(slot int, body byte) string {
	return fmt.Sprintf(`{"type":"BLOCK_V2",%s,"beacon_block":{"version":"CAPELLA","block_header":{"slot":"%d",`+
		`"proposer_index":"1","parent_root":%q,"state_root":%q,"body_root":%q}}}`,
		forkInfo, slot, root(1), root(2), root(body))
}

func TestJudge(t *testing.T) {
	const randao = `{"type":"RANDAO_REVEAL",` + forkInfo + `,"randao_reveal":{"epoch":"3"}}`
	tests := []struct {
		name     string
		requests []string
		want     []Offence
	}{
		{"one vote an epoch is innocent", []string{attestation(1, 2, 0), attestation(2, 3, 0), attestation(2, 4, 0)}, nil},
		{"the identical vote twice is innocent", []string{attestation(1, 2, 0), attestation(1, 2, 0)}, nil},
		{"the identical block twice is innocent", []string{header(9, 0), header(9, 0)}, nil},
		{"a block and a vote of one slot are innocent", []string{header(16, 0), attestation(1, 2, 0)}, nil},
		{"two blocks of one slot", []string{header(9, 0), header(10, 0), header(9, 1)}, []Offence{DoubleProposal}},
		{"two votes for one target that differ in the head", []string{attestation(1, 2, 0), attestation(1, 2, 1)}, []Offence{DoubleVote}},
		{"two votes for one target that differ in the source", []string{attestation(0, 2, 0), attestation(1, 2, 0)}, []Offence{DoubleVote}},
		{"a vote that surrounds an earlier one", []string{attestation(2, 3, 0), attestation(1, 4, 0)}, []Offence{Surround}},
		{"a vote that an earlier one surrounds", []string{attestation(1, 4, 0), attestation(2, 3, 0)}, []Offence{Surround}},
		{"every pair counts", []string{header(9, 0), header(9, 1), header(9, 2)}, []Offence{DoubleProposal, DoubleProposal, DoubleProposal}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var signed []Signed
			for _, r := range tt.requests {
				signed = append(signed, sign(t, interop.New(0), r))
			}
			signed = append(signed, Signed{Key: interop.New(0).Public, Request: []byte(randao)})
			v, err := Judge(configs.Minimal, signed)
			if err != nil {
				t.Fatal(err)
			}
			var got []Offence
			for _, c := range v.Crimes {
				got = append(got, c.Offence)
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("found %v, want %v", v.Crimes, tt.want)
			}
			if v.Blocks+v.Attestations != len(tt.requests) || v.Others != 1 {
				t.Errorf("judged %d blocks, %d attestations, %d others of %d requests", v.Blocks, v.Attestations, v.Others, len(signed))
			}
		})
	}
}

func TestConflictingMessagesOfTwoKeysAreInnocent(t *testing.T) {
	v, err := Judge(configs.Minimal, []Signed{
		sign(t, interop.New(0), header(9, 0)), sign(t, interop.New(1), header(9, 1)),
		sign(t, interop.New(0), attestation(1, 4, 0)), sign(t, interop.New(1), attestation(2, 3, 0)),
	})
	if err != nil || len(v.Crimes) > 0 {
		t.Errorf("got %v, %v", v.Crimes, err)
	}
}

func TestASurroundNamesTheSurroundingVoteFirst(t *testing.T) {
	key := interop.New(0)
	v, err := Judge(configs.Minimal, []Signed{sign(t, key, attestation(2, 3, 0)), sign(t, key, attestation(1, 4, 0))})
	if err != nil || len(v.Crimes) != 1 || v.Crimes[0].First != 1 || v.Crimes[0].Second != 0 {
		t.Errorf("got %+v, %v", v.Crimes, err)
	}
}

func TestUnsoundEvidenceIsAnError(t *testing.T) {
	key := interop.New(0)
	genuine := sign(t, key, header(9, 0))
	otherMessage := Signed{Key: key.Public, Request: []byte(header(9, 1)), Signature: genuine.Signature}
	otherKey := Signed{Key: interop.New(1).Public, Request: genuine.Request, Signature: genuine.Signature}
	otherFork := genuine
	otherFork.Request = []byte(strings.Replace(string(genuine.Request), `"epoch":"3"`, `"epoch":"1"`, 1))
	tests := []struct {
		name string
		s    Signed
	}{
		{"a signature of another message", otherMessage},
		{"a signature by another key", otherKey},
		{"a signature under another fork", otherFork},
		{"a signature that is no point", Signed{Key: key.Public, Request: genuine.Request}},
		{"no JSON", Signed{Key: key.Public, Request: []byte("{")}},
		{"an attestation without its data", Signed{Key: key.Public, Request: []byte(`{"type":"ATTESTATION"}`)}},
		{"a block without its version", Signed{Key: key.Public, Request: []byte(`{"type":"BLOCK_V2","beacon_block":{}}`)}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if v, err := Judge(configs.Minimal, []Signed{tt.s}); err == nil {
				t.Errorf("accepted: %+v", v)
			}
		})
	}
}

// Source: the roots that @lodestar/types computed for the shared vectors.
func TestRootsAreThoseOfTheSharedVectors(t *testing.T) {
	for preset, spec := range map[string]*common.Spec{"mainnet": configs.Mainnet, "minimal": configs.Minimal} {
		judged := 0
		for _, v := range vectors(t, preset) {
			m, err := parse(spec, v.Request)
			if err != nil {
				t.Fatalf("%s %s %s: %v", preset, v.Fork, v.Type, err)
			}
			if m.block == nil && m.vote == nil {
				continue
			}
			judged++
			if got := m.root().String(); got != v.SigningRoot {
				t.Errorf("%s %s %s: root %s, want %s", preset, v.Fork, v.Type, got, v.SigningRoot)
			}
		}
		if judged == 0 {
			t.Errorf("no block or attestation in the %s vectors", preset)
		}
	}
}
