package main

import (
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/secure-signer/secure-signer/eth2"
	"github.com/secure-signer/secure-signer/internal/beacon/beacontest"
	"github.com/secure-signer/secure-signer/internal/cli"
	"github.com/secure-signer/secure-signer/internal/datadir"
)

// mustBuiltin returns a built-in network after a change.
func mustBuiltin(t *testing.T, name string, change func(*eth2.Network)) *eth2.Network {
	t.Helper()
	n, ok := eth2.Builtin(name)
	if !ok {
		t.Fatal(name)
	}
	change(n)
	return n
}

func same(*eth2.Network) {}

var gloas = eth2.ScheduledFork{Fork: eth2.Gloas, Version: eth2.Version{0x80, 0, 9, 0x10}, Epoch: 400000}

// ownConfig describes own, but for its genesis.
const ownConfig = `PRESET_BASE: minimal
CONFIG_NAME: own
SECONDS_PER_SLOT: 2
GENESIS_FORK_VERSION: 0x00000077
ALTAIR_FORK_VERSION: 0x01000077
ALTAIR_FORK_EPOCH: 1
BELLATRIX_FORK_EPOCH: 18446744073709551615
`

func own() *eth2.Network {
	return &eth2.Network{
		Name: "own", Preset: eth2.MinimalPreset(), SecondsPerSlot: 2, GenesisTime: 1795350697, GenesisValidatorsRoot: eth2.Root{31: 7},
		Forks: []eth2.ScheduledFork{
			{Fork: eth2.Phase0, Version: eth2.Version{0, 0, 0, 0x77}},
			{Fork: eth2.Altair, Version: eth2.Version{1, 0, 0, 0x77}, Epoch: 1},
		},
	}
}

func TestInitFromABeaconNode(t *testing.T) {
	server := httptest.NewServer(beacontest.Node(own(), map[string]any{"HEZE_FORK_EPOCH": "777", "HEZE_FORK_VERSION": "0x77000077"}))
	defer server.Close()
	t.Chdir(t.TempDir())
	if err := os.WriteFile("passphrase", []byte("correct horse\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var stdout, stderr strings.Builder
	code := run(t.Context(), []string{"init", "--data-dir", "data", "--from-beacon", server.URL, "--passphrase-file", "passphrase"}, nil, &stdout, &stderr)
	if code != cli.OK || !strings.Contains(stderr.String(), "warning: from epoch 777 on the chain has a fork that this release does not know") {
		t.Fatalf("exit %d\n%s", code, &stderr)
	}
	for _, want := range []string{
		"compare it with a source that you trust",
		"genesis validators root  0x0000000000000000000000000000000000000000000000000000000000000007\n",
		"altair                   version 0x01000077 from epoch 1\n",
	} {
		if !strings.Contains(stdout.String(), want) {
			t.Errorf("stdout lacks %q:\n%s", want, &stdout)
		}
	}
	got, err := datadir.Open("data")
	if diff := cmp.Diff(own(), got.Network); err != nil || diff != "" {
		t.Errorf("%v, network (-want +got):\n%s", err, diff)
	}
}

func TestABeaconNodeThatAgreesIsPinned(t *testing.T) {
	tests := []struct {
		name   string
		node   *eth2.Network
		extra  map[string]any
		flags  initFlags
		want   *eth2.Network
		stderr string
	}{
		{name: "a chain of one's own", node: own(), want: own()},
		{
			name: "a built-in network is pinned by its name, whatever the node calls it",
			node: mustBuiltin(t, "hoodi", func(n *eth2.Network) { n.Name = "Hoodi" }), want: mustBuiltin(t, "hoodi", same),
		},
		{
			name: "a node that knows a fork more", node: mustBuiltin(t, "hoodi", func(n *eth2.Network) { n.Forks = append(n.Forks, gloas) }),
			want: mustBuiltin(t, "hoodi", func(n *eth2.Network) { n.Forks = append(n.Forks, gloas) }), stderr: "a fork more than this release: gloas: at epoch 400000",
		},
		{
			name: "a node that is too old for a fork to come", node: mustBuiltin(t, "sepolia", func(n *eth2.Network) { n.Forks = n.Forks[:len(n.Forks)-1] }),
			extra: map[string]any{"GLOAS_FORK_EPOCH": eth2.FarFuture, "GLOAS_FORK_VERSION": "0x90000076"}, want: mustBuiltin(t, "sepolia", same),
		},
		{name: "with the same network by its name", node: mustBuiltin(t, "hoodi", same), flags: initFlags{network: "hoodi"}, want: mustBuiltin(t, "hoodi", same)},
		{name: "with the same network from a file", node: own(), flags: initFlags{network: "./own.yaml"}, want: own()},
		{name: "with the genesis that is known from elsewhere", node: own(), flags: initFlags{genesisRoot: own().GenesisValidatorsRoot.String(), genesisTime: 1795350697}, want: own()},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			network, stderr, err := chooseFrom(t, test.node, test.extra, test.flags)
			if diff := cmp.Diff(test.want, network); err != nil || diff != "" {
				t.Errorf("%v, network (-want +got):\n%s", err, diff)
			}
			if !strings.Contains(stderr, test.stderr) || stderr != "" && test.stderr == "" {
				t.Errorf("it says %q, want %q", stderr, test.stderr)
			}
		})
	}
}

func TestABeaconNodeThatDoesNotAgreeIsRefused(t *testing.T) {
	tests := []struct {
		name  string
		node  *eth2.Network
		extra map[string]any
		flags initFlags
		says  []string
	}{
		{"another chain that calls itself hoodi", mustBuiltin(t, "hoodi", func(n *eth2.Network) { n.GenesisValidatorsRoot[0] ^= 1 }), nil, initFlags{},
			[]string{"network hoodi", "genesis validators root 0x212f", "against 0x202f", "name of its own"}},
		{"hoodi with a fork at another epoch", mustBuiltin(t, "hoodi", func(n *eth2.Network) { n.Forks[6].Epoch++ }), nil, initFlags{},
			[]string{"network hoodi", "fulu: at epoch 50689", "was at epoch 50688"}},
		{"hoodi with another version", mustBuiltin(t, "hoodi", func(n *eth2.Network) { n.Forks[2].Version[0]++ }), nil, initFlags{}, []string{"bellatrix"}},
		{"hoodi at another time", mustBuiltin(t, "hoodi", func(n *eth2.Network) { n.GenesisTime++ }), nil, initFlags{}, []string{"genesis time 1742213400 against 1742213401"}},
		{"hoodi with slots of its own", mustBuiltin(t, "hoodi", func(n *eth2.Network) { n.SecondsPerSlot = 6 }), nil, initFlags{}, []string{"seconds a slot 12 against 6"}},
		{"a node of another network", mustBuiltin(t, "hoodi", same), nil, initFlags{network: "mainnet"}, []string{"network mainnet", "0x4b36", "0x212f"}},
		{"a file with another version", own(), nil, initFlags{network: "./other.yaml"}, []string{"other.yaml", "phase0", "0x00000078"}},
		{"a file without a fork", own(), nil, initFlags{network: "./fewer.yaml"}, []string{"fewer.yaml", "the node has altair"}},
		{"a node without a fork of the file", own(), map[string]any{"CAPELLA_FORK_EPOCH": eth2.FarFuture}, initFlags{network: "./more.yaml"}, []string{"capella: no more scheduled"}},
		{"another genesis root than is known", own(), nil, initFlags{genesisRoot: eth2.Root{1}.String()}, []string{"not the one of your flags"}},
		{"another genesis time than is known", own(), nil, initFlags{genesisTime: 7}, []string{"not the one of your flags"}},
		{"an unknown network", own(), nil, initFlags{network: "houdini"}, []string{"unknown network \"houdini\""}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			network, _, err := chooseFrom(t, test.node, test.extra, test.flags)
			if network != nil || err == nil {
				t.Fatalf("got %v, %v", network, err)
			}
			for _, want := range test.says {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("the error lacks %q: %v", want, err)
				}
			}
		})
	}
}

// chooseFrom asks a node and returns the network that would be pinned, and what
// would be said of it.
func chooseFrom(t *testing.T, node *eth2.Network, extra map[string]any, f initFlags) (*eth2.Network, string, error) {
	t.Helper()
	server := httptest.NewServer(beacontest.Node(node, extra))
	defer server.Close()
	t.Chdir(t.TempDir())
	for name, text := range map[string]string{
		"own.yaml":   ownConfig,
		"other.yaml": strings.Replace(ownConfig, "0x00000077", "0x00000078", 1),
		"fewer.yaml": strings.Replace(ownConfig, "ALTAIR_FORK_EPOCH: 1\n", "ALTAIR_FORK_EPOCH: 18446744073709551615\n", 1),
		"more.yaml":  ownConfig + "CAPELLA_FORK_EPOCH: 3\nCAPELLA_FORK_VERSION: 0x03000077\n",
	} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	f.fromBeacon = server.URL
	var stderr strings.Builder
	network, err := f.choose(t.Context(), f.genesisTime != 0, &stderr)
	return network, stderr.String(), err
}

func TestInitFromNoBeaconNode(t *testing.T) {
	closed := httptest.NewServer(nil)
	closed.Close()
	for address, want := range map[string]struct {
		code int
		says string
	}{
		"127.0.0.1:5052": {cli.Usage, "want one such as http://127.0.0.1:5052"},
		closed.URL:       {cli.Failed, "no beacon node answers at " + closed.URL},
	} {
		var stdout, stderr strings.Builder
		folder := filepath.Join(t.TempDir(), "data")
		code := run(t.Context(), []string{"init", "--data-dir", folder, "--from-beacon", address}, nil, &stdout, &stderr)
		if code != want.code || !strings.Contains(stderr.String(), want.says) {
			t.Errorf("%s: exit %d, want %d and %q\n%s", address, code, want.code, want.says, &stderr)
		}
		if _, err := os.Stat(folder); err == nil {
			t.Errorf("%s: a folder was made", address)
		}
	}
}
