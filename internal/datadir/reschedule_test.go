package datadir_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/secure-signer/secure-signer/eth2"
	"github.com/secure-signer/secure-signer/internal/datadir"
	"github.com/secure-signer/secure-signer/internal/durable"
)

// devnet is a chain that has electra behind it and fulu before it.
func devnet() *eth2.Network {
	return &eth2.Network{
		Name: "devnet-3", Preset: eth2.MinimalPreset(), SecondsPerSlot: 6,
		GenesisTime: 1795350697, GenesisValidatorsRoot: eth2.Root{31: 3},
		Forks: []eth2.ScheduledFork{
			{Fork: eth2.Phase0, Version: eth2.Version{0, 0, 0, 1}},
			{Fork: eth2.Electra, Version: eth2.Version{5, 0, 0, 1}, Epoch: 40},
			{Fork: eth2.Fulu, Version: eth2.Version{6, 0, 0, 1}, Epoch: 60},
		},
	}
}

func fork(n *eth2.Network, name eth2.ForkName) *eth2.ScheduledFork {
	return &n.Forks[slices.IndexFunc(n.Forks, func(f eth2.ScheduledFork) bool { return f.Fork == name })]
}

var gloas = eth2.ScheduledFork{Fork: eth2.Gloas, Version: eth2.Version{7, 0, 0, 1}, Epoch: 90}

func TestOnlyAForkThatHasNotBegunCanChange(t *testing.T) {
	const now = 50
	drop := func(n *eth2.Network, name eth2.ForkName) {
		n.Forks = slices.DeleteFunc(n.Forks, func(f eth2.ScheduledFork) bool { return f.Fork == name })
	}
	tests := []struct {
		name        string
		said        func(*eth2.Network)
		unscheduled []eth2.ForkName
		now         eth2.Epoch
		want        func(*eth2.Network)
		changes     string
		refused     string
	}{
		{name: "nothing new", said: func(*eth2.Network) {}, want: func(*eth2.Network) {}},
		{
			name: "a fork that was not scheduled",
			said: func(n *eth2.Network) { n.Forks = append(n.Forks, gloas) },
			want: func(n *eth2.Network) { n.Forks = append(n.Forks, gloas) }, changes: "gloas: at epoch 90, version 0x07000001; was not scheduled",
		},
		{
			name: "one that has begun already: the operator is late",
			said: func(n *eth2.Network) { n.Forks = append(n.Forks, gloas) }, now: 95,
			want: func(n *eth2.Network) { n.Forks = append(n.Forks, gloas) }, changes: "gloas",
		},
		{
			name: "a fork to come is put off",
			said: func(n *eth2.Network) { fork(n, eth2.Fulu).Epoch = 70 },
			want: func(n *eth2.Network) { fork(n, eth2.Fulu).Epoch = 70 }, changes: "fulu: at epoch 70, version 0x06000001; was at epoch 60",
		},
		{
			name: "a fork to come gets another version",
			said: func(n *eth2.Network) { fork(n, eth2.Fulu).Version[3] = 9 },
			want: func(n *eth2.Network) { fork(n, eth2.Fulu).Version[3] = 9 }, changes: "version 0x06000009; was at epoch 60, version 0x06000001",
		},
		{
			name: "a fork to come is cancelled",
			said: func(n *eth2.Network) { drop(n, eth2.Fulu) }, unscheduled: []eth2.ForkName{eth2.Fulu, eth2.Gloas},
			want: func(n *eth2.Network) { drop(n, eth2.Fulu) }, changes: "fulu: no more scheduled",
		},
		{
			name: "a source too old to know a fork to come",
			said: func(n *eth2.Network) { drop(n, eth2.Fulu) }, unscheduled: []eth2.ForkName{eth2.Deneb},
			want: func(*eth2.Network) {},
		},
		{
			name: "a source too old to know a fork that has begun",
			said: func(n *eth2.Network) { drop(n, eth2.Fulu); drop(n, eth2.Electra) },
			want: func(*eth2.Network) {},
		},

		{name: "a fork that has begun is put off", said: func(n *eth2.Network) { fork(n, eth2.Electra).Epoch = 55 }, refused: "electra: at epoch 55"},
		{name: "a fork that has begun gets another version", said: func(n *eth2.Network) { fork(n, eth2.Electra).Version[0] = 9 }, refused: "electra"},
		{name: "a fork that has begun is cancelled", said: func(n *eth2.Network) { drop(n, eth2.Electra) }, unscheduled: []eth2.ForkName{eth2.Electra}, refused: "electra: no more"},
		{name: "a fork begins this very epoch", said: func(n *eth2.Network) { fork(n, eth2.Fulu).Epoch = 70 }, now: 60, refused: "fulu"},
		{name: "another genesis version", said: func(n *eth2.Network) { n.Forks[0].Version[0] = 1 }, refused: "phase0"},
		{name: "a fork in the past that nobody had heard of", said: func(n *eth2.Network) {
			n.Forks = append(n.Forks, eth2.ScheduledFork{Fork: eth2.Deneb, Version: eth2.Version{4, 0, 0, 1}, Epoch: 45})
		}, refused: "electra at epoch 40 is before deneb"},
		{name: "a new fork before an old one", said: func(n *eth2.Network) {
			n.Forks = append(n.Forks, eth2.ScheduledFork{Fork: eth2.Gloas, Version: eth2.Version{7, 0, 0, 1}, Epoch: 41})
		}, refused: "gloas at epoch 41 is before fulu"},
		{name: "a version that is taken", said: func(n *eth2.Network) {
			n.Forks = append(n.Forks, eth2.ScheduledFork{Fork: eth2.Gloas, Version: eth2.Version{5, 0, 0, 1}, Epoch: 90})
		}, refused: "gloas has the version"},
		{name: "another genesis", said: func(n *eth2.Network) { n.GenesisValidatorsRoot[0] = 1 }, refused: "genesis validators root"},
		{name: "another time", said: func(n *eth2.Network) { n.GenesisTime++ }, refused: "genesis time 1795350697 against 1795350698"},
		{name: "another name", said: func(n *eth2.Network) { n.Name = "devnet-4" }, refused: "devnet-3 against devnet-4"},
		{name: "another preset", said: func(n *eth2.Network) { n.Preset = eth2.MainnetPreset() }, refused: "preset minimal against mainnet"},
		{name: "slots of another length", said: func(n *eth2.Network) { n.SecondsPerSlot = 12 }, refused: "seconds a slot 6 against 12"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			pinned, said := devnet(), devnet()
			test.said(said)
			if test.now == 0 {
				test.now = now
			}
			got, changes, err := datadir.Reschedule(pinned, said, test.unscheduled, test.now)
			if diff := cmp.Diff(devnet(), pinned); diff != "" {
				t.Errorf("the pinned network itself changed:\n%s", diff)
			}
			if test.refused != "" {
				if got != nil || err == nil || !strings.Contains(err.Error(), test.refused) {
					t.Errorf("got %+v, %v, want an error that says %q", got, err, test.refused)
				}
				return
			}
			want := devnet()
			test.want(want)
			if diff := cmp.Diff(want, got); err != nil || diff != "" {
				t.Errorf("%v, network (-want +got):\n%s", err, diff)
			}
			var text string
			if len(changes) > 0 {
				text = changes[0].String()
			}
			if len(changes) > 1 || !strings.Contains(text, test.changes) || text != "" && test.changes == "" {
				t.Errorf("changes %v, want %q", changes, test.changes)
			}
		})
	}
}

func TestUpdateReplacesTheNetworkAndNothingElse(t *testing.T) {
	path := filepath.Join(t.TempDir(), "data")
	if err := datadir.Create(path, datadir.Settings{Network: devnet()}, func(d datadir.Dir) error { return os.WriteFile(d.Vault(), []byte("keys"), 0o600) }); err != nil {
		t.Fatal(err)
	}
	others := func() string {
		token, err := os.ReadFile(datadir.At(path).TokenFile())
		if err != nil {
			t.Fatal(err)
		}
		vault, err := os.ReadFile(datadir.At(path).Vault())
		if err != nil {
			t.Fatal(err)
		}
		return string(token) + string(vault)
	}
	before := others()
	next := devnet()
	next.Forks = append(next.Forks, gloas)
	if err := datadir.Update(path, func(pinned *eth2.Network) (*eth2.Network, error) {
		if diff := cmp.Diff(devnet(), pinned); diff != "" {
			t.Errorf("pinned:\n%s", diff)
		}
		return next, nil
	}); err != nil {
		t.Fatal(err)
	}
	got, err := datadir.Open(path)
	if diff := cmp.Diff(next, got.Network); err != nil || diff != "" {
		t.Errorf("%v, network (-want +got):\n%s", err, diff)
	}
	if others() != before {
		t.Error("another file has changed")
	}
	entries, err := os.ReadDir(path)
	if err != nil || len(entries) != 3 {
		t.Errorf("the folder holds %v, %v", entries, err)
	}
}

func TestAnUpdateThatIsNotMadeChangesNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "data")
	if err := datadir.Create(path, datadir.Settings{Network: devnet()}, nothing); err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(datadir.At(path).Config())
	if err != nil {
		t.Fatal(err)
	}
	refused := errors.New("refused")
	unwritable := devnet()
	unwritable.Preset.SlotsPerEpoch = 7
	for name, change := range map[string]func(*eth2.Network) (*eth2.Network, error){
		"no change":                          func(*eth2.Network) (*eth2.Network, error) { return nil, nil },
		"a refusal":                          func(*eth2.Network) (*eth2.Network, error) { return nil, refused },
		"a network that would not come back": func(*eth2.Network) (*eth2.Network, error) { return unwritable, nil },
	} {
		err := datadir.Update(path, change)
		if after, _ := os.ReadFile(datadir.At(path).Config()); !bytes.Equal(before, after) {
			t.Errorf("%s (%v): the file has changed", name, err)
		}
		if (err != nil) != (name != "no change") {
			t.Errorf("%s: %v", name, err)
		}
	}
	err = datadir.Update(path, func(*eth2.Network) (*eth2.Network, error) {
		return nil, datadir.Update(path, func(*eth2.Network) (*eth2.Network, error) { return nil, nil })
	})
	if !errors.Is(err, durable.ErrLocked) {
		t.Errorf("a second update at the same time: %v, want %v", err, durable.ErrLocked)
	}
	if err := datadir.Update(filepath.Join(path, "none"), nil); !errors.Is(err, datadir.ErrMissing) {
		t.Errorf("no folder: %v, want %v", err, datadir.ErrMissing)
	}
}

func TestDescribeShowsWhatMustBeCompared(t *testing.T) {
	var text strings.Builder
	if err := datadir.Describe(&text, devnet()); err != nil {
		t.Fatal(err)
	}
	const want = `network                  devnet-3
genesis validators root  0x0000000000000000000000000000000000000000000000000000000000000003
genesis time             1795350697 (2026-11-22T12:31:37Z)
preset                   minimal, 8 slots of 6 s an epoch
phase0                   version 0x00000001 from epoch 0
electra                  version 0x05000001 from epoch 40
fulu                     version 0x06000001 from epoch 60
`
	if diff := cmp.Diff(want, text.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestNobodyButTheOwnerReplacesAFile: root would leave a file behind that the
// daemon's user cannot read.
func TestNobodyButTheOwnerReplacesAFile(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give a file away")
	}
	path := filepath.Join(t.TempDir(), "data")
	if err := datadir.Create(path, datadir.Settings{Network: devnet()}, nothing); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(datadir.At(path).Config(), 4711, -1); err != nil {
		t.Fatal(err)
	}
	err := datadir.Update(path, func(n *eth2.Network) (*eth2.Network, error) { return n, nil })
	if err == nil || !strings.Contains(err.Error(), "sudo -u '#4711'") {
		t.Errorf("got %v, want advice", err)
	}
}
