package slashing_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/secure-signer/secure-signer/bls"
	"github.com/secure-signer/secure-signer/eth2"
	"github.com/secure-signer/secure-signer/internal/testdata"
	"github.com/secure-signer/secure-signer/record/memory"
	"github.com/secure-signer/secure-signer/slashing"
)

// An officialCase is one file of eth-clients/slashing-protection-interchange-tests.
type officialCase struct {
	Name                  string    `json:"name"`
	GenesisValidatorsRoot eth2.Root `json:"genesis_validators_root"`
	Steps                 []struct {
		ShouldSucceed bool            `json:"should_succeed"`
		Interchange   json.RawMessage `json:"interchange"`
		Blocks        []struct {
			officialAttempt
			Slot eth2.Slot `json:"slot"`
		} `json:"blocks"`
		Attestations []struct {
			officialAttempt
			SourceEpoch eth2.Epoch `json:"source_epoch"`
			TargetEpoch eth2.Epoch `json:"target_epoch"`
		} `json:"attestations"`
	} `json:"steps"`
}

type officialAttempt struct {
	Pubkey        bls.PublicKey `json:"pubkey"`
	SigningRoot   eth2.Root     `json:"signing_root"`
	ShouldSucceed bool          `json:"should_succeed"`
}

// officialRun counts what the suite has tried.
type officialRun struct{ files, steps, refusedImports, blocks, attestations int }

// TestOfficialInterchangeSuite runs release v5.3.0 as a signer that remembers
// only its watermarks: each attempt must end as should_succeed says. (A signer may
// follow should_succeed_complete where it has signed the identical message before;
// the suite asks for no such message.) Files that contain slashable data are
// imported: what they forbid is forbidden.
func TestOfficialInterchangeSuite(t *testing.T) {
	paths, err := filepath.Glob(filepath.Join(testdata.Path(t, "interchange"), "*.json"))
	if err != nil {
		t.Fatal(err)
	}
	var run officialRun
	for _, path := range paths {
		t.Run(filepath.Base(path), func(t *testing.T) {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			var c officialCase
			if err := json.Unmarshal(text, &c); err != nil {
				t.Fatal(err)
			}
			run.files++
			run.play(t, c)
		})
	}
	want := officialRun{files: 38, steps: 49, refusedImports: 1, blocks: 71, attestations: 79}
	if run != want {
		t.Errorf("ran %+v, the suite has %+v", run, want)
	}
	t.Logf("%d files, %d steps, %d block and %d attestation attempts", run.files, run.steps, run.blocks, run.attestations)
}

func (run *officialRun) play(t *testing.T, c officialCase) {
	network := timeless()
	network.GenesisValidatorsRoot = c.GenesisValidatorsRoot
	g := slashing.New(memory.New(), slashing.Config{Network: network})
	attempt := func(a officialAttempt, m message) {
		if err := g.Enroll(context.Background(), a.Pubkey, slashing.ArrivedNoFloor); err != nil {
			t.Fatal(err)
		}
		m.root = a.SigningRoot
		err := m.record(g, a.Pubkey)
		if got := reasonOf(t, err) == ""; got != a.ShouldSucceed {
			t.Errorf("%v by %v: signed %v (%v), should be %v", m, a.Pubkey, got, err, a.ShouldSucceed)
		}
	}
	for _, step := range c.Steps {
		run.steps++
		_, err := g.Import(context.Background(), bytes.NewReader(step.Interchange), nil)
		if got := err == nil; got != step.ShouldSucceed {
			t.Fatalf("import: %v, should succeed: %v", err, step.ShouldSucceed)
		}
		if err != nil {
			run.refusedImports++
			if !errors.Is(err, eth2.ErrForeignChain) {
				t.Errorf("import: %v, want another chain's", err)
			}
		}
		for _, b := range step.Blocks {
			run.blocks++
			attempt(b.officialAttempt, message{slot: b.Slot})
		}
		for _, a := range step.Attestations {
			run.attestations++
			attempt(a.officialAttempt, message{vote: true, source: a.SourceEpoch, target: a.TargetEpoch})
		}
	}
}
