package main

import (
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/secure-signer/secure-signer/eth2"
	"github.com/secure-signer/secure-signer/internal/beacon/beacontest"
	"github.com/secure-signer/secure-signer/internal/cli"
	"github.com/secure-signer/secure-signer/internal/datadir"
)

// started is the genesis of a chain that is in its epoch 10.
func started() uint64 { return uint64(time.Now().Unix()) - 10*8*6 - 20 }

// ownChain has altair behind it and bellatrix before it.
func ownChain(genesis uint64) *eth2.Network {
	return &eth2.Network{
		Name: "own", Preset: eth2.MinimalPreset(), SecondsPerSlot: 6, GenesisValidatorsRoot: eth2.Root{31: 7},
		GenesisTime: genesis,
		Forks: []eth2.ScheduledFork{
			{Fork: eth2.Phase0, Version: eth2.Version{0, 0, 0, 0x77}},
			{Fork: eth2.Altair, Version: eth2.Version{1, 0, 0, 0x77}, Epoch: 5},
			{Fork: eth2.Bellatrix, Version: eth2.Version{2, 0, 0, 0x77}, Epoch: 500},
		},
	}
}

var capella = eth2.ScheduledFork{Fork: eth2.Capella, Version: eth2.Version{3, 0, 0, 0x77}, Epoch: 600}

// signerctl runs the tool and returns its exit code and what it prints.
func signerctl(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var o, e strings.Builder
	code = run(t.Context(), args, strings.NewReader(""), &o, &e)
	return code, o.String(), e.String()
}

func newFolder(t *testing.T, n *eth2.Network) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "data")
	if err := datadir.Create(path, datadir.Settings{Network: n}, func(datadir.Dir) error { return nil }); err != nil {
		t.Fatal(err)
	}
	return path
}

func mustHold(t *testing.T, path string, want *eth2.Network) {
	t.Helper()
	got, err := datadir.Open(path)
	if diff := cmp.Diff(want, got.Network); err != nil || diff != "" {
		t.Errorf("%v, network (-want +got):\n%s", err, diff)
	}
}

func TestNetworkUpdateFromABeaconNode(t *testing.T) {
	genesis := started()
	before, after, node := ownChain(genesis), ownChain(genesis), ownChain(genesis)
	after.Forks = append(after.Forks, capella)
	path := newFolder(t, before)
	node.Name, node.Forks = "as the node calls it", after.Forks
	server := httptest.NewServer(beacontest.Node(node, map[string]any{"HEZE_FORK_EPOCH": "900"}))
	defer server.Close()
	update := []string{"network", "update", "--data-dir", path, "--from-beacon", server.URL}

	code, stdout, stderr := signerctl(t, append(update, "--dry-run")...)
	if code != cli.OK || stdout != "capella: at epoch 600, version 0x03000077; was not scheduled\nNothing was written: this is what would change.\n" ||
		!strings.Contains(stderr, "does not know") {
		t.Errorf("exit %d\n%s%s", code, stdout, stderr)
	}
	mustHold(t, path, before)

	code, stdout, stderr = signerctl(t, update...)
	if code != cli.OK || !strings.Contains(stdout, "capella") || !strings.Contains(stdout, "Restart secure-signer") {
		t.Errorf("exit %d\n%s%s", code, stdout, stderr)
	}
	mustHold(t, path, after)

	code, stdout, _ = signerctl(t, update...)
	if code != cli.OK || stdout != "Nothing has changed.\n" {
		t.Errorf("exit %d\n%s", code, stdout)
	}
	code, stdout, _ = signerctl(t, append(update, "--json")...)
	if code != cli.OK || !strings.Contains(stdout, `"changes": []`) || !strings.Contains(stdout, `"written": false`) {
		t.Errorf("exit %d\n%s", code, stdout)
	}
}

func TestNetworkUpdateFromAFile(t *testing.T) {
	path := newFolder(t, ownChain(started()))
	file := filepath.Join(t.TempDir(), "config.yaml")
	const text = `PRESET_BASE: minimal
CONFIG_NAME: own
GENESIS_FORK_VERSION: 0x00000077
BELLATRIX_FORK_VERSION: 0x02000077
BELLATRIX_FORK_EPOCH: 450 # earlier than it was
CAPELLA_FORK_EPOCH: 18446744073709551615
`
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	code, stdout, stderr := signerctl(t, "network", "update", "--data-dir", path, "--network", file, "--json")
	if code != cli.OK {
		t.Fatalf("exit %d\n%s%s", code, stdout, stderr)
	}
	const want = `{
  "changes": [
    {
      "fork": "bellatrix",
      "was": {
        "fork": "bellatrix",
        "version": "0x02000077",
        "epoch": 500
      },
      "is": {
        "fork": "bellatrix",
        "version": "0x02000077",
        "epoch": 450
      }
    }
  ],
  "written": true
}
`
	if diff := cmp.Diff(want, stdout); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	got, err := datadir.Open(path)
	if err != nil || len(got.Network.Forks) != 3 || got.Network.Forks[1].Epoch != 5 || got.Network.Forks[2].Epoch != 450 {
		t.Errorf("%+v, %v", got.Network, err)
	}
}

func TestNetworkUpdateChangesNothingThatHasBegun(t *testing.T) {
	tests := []struct {
		name   string
		pinned func(*eth2.Network)
		said   func(*eth2.Network)
		says   string
	}{
		{"a fork that has begun", nil, func(n *eth2.Network) { n.Forks[1].Epoch = 6 }, "altair: at epoch 6"},
		{"another chain", nil, func(n *eth2.Network) { n.GenesisValidatorsRoot[0] = 1 }, "genesis validators root"},
		{"another genesis time", nil, func(n *eth2.Network) { n.GenesisTime++ }, "genesis time"},
		{"slots of another length", nil, func(n *eth2.Network) { n.SecondsPerSlot = 12 }, "seconds a slot"},
		{"a fork of the next epoch, when it has come", func(n *eth2.Network) { n.GenesisTime -= 490 * 8 * 6 }, func(n *eth2.Network) {
			n.GenesisTime -= 490 * 8 * 6
			n.Forks[2].Epoch = 501
		}, "bellatrix: at epoch 501"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			genesis := started()
			pinned, said := ownChain(genesis), ownChain(genesis)
			if test.pinned != nil {
				test.pinned(pinned)
			}
			test.said(said)
			path := newFolder(t, pinned)
			server := httptest.NewServer(beacontest.Node(said, nil))
			defer server.Close()
			code, stdout, stderr := signerctl(t, "network", "update", "--data-dir", path, "--from-beacon", server.URL)
			if code != cli.Failed || stdout != "" || !strings.Contains(stderr, "nothing was changed") || !strings.Contains(stderr, test.says) {
				t.Errorf("exit %d, want %q\n%s%s", code, test.says, stdout, stderr)
			}
			mustHold(t, path, pinned)
		})
	}
}

func TestWhereTheTimeOfGenesisIsUnknownOnlyNewForksAreTaken(t *testing.T) {
	pinned := ownChain(0)
	if got := begun(pinned, time.Now()); got != eth2.FarFuture {
		t.Errorf("epoch %d has begun", got)
	}
	pinned.GenesisTime = uint64(time.Now().Unix()) + 1000
	if got := begun(pinned, time.Now()); got != 0 {
		t.Errorf("before genesis epoch %d has begun", got)
	}
}

func TestNetworkShow(t *testing.T) {
	hoodi, _ := eth2.Builtin("hoodi")
	path := newFolder(t, hoodi)
	code, stdout, stderr := signerctl(t, "network", "show", "--data-dir", path)
	if code != cli.OK || !strings.Contains(stdout, "network                  hoodi\n") || !strings.Contains(stdout, "fulu                     version 0x70000910 from epoch 50688\n") {
		t.Errorf("exit %d\n%s%s", code, stdout, stderr)
	}
	code, stdout, stderr = signerctl(t, "network", "show", "--data-dir", path, "--json")
	if code != cli.OK || !strings.Contains(stdout, `"genesis_time": 1742213400`) || !strings.Contains(stdout, `"epoch": 50688`) {
		t.Errorf("exit %d\n%s%s", code, stdout, stderr)
	}
}

func TestNetworkCallsThatAreWrong(t *testing.T) {
	pinned := ownChain(started())
	path := newFolder(t, pinned)
	for _, test := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"network"}, cli.Usage, "needs show or update"},
		{[]string{"network", "show"}, cli.Usage, "give --data-dir"},
		{[]string{"network", "show", "--data-dir", filepath.Join(path, "none")}, cli.Failed, "no data folder"},
		{[]string{"network", "update", "--from-beacon", "http://127.0.0.1:1"}, cli.Usage, "give --data-dir"},
		{[]string{"network", "update", "--data-dir", path}, cli.Usage, "one of --from-beacon and --network"},
		{[]string{"network", "update", "--data-dir", path, "--from-beacon", "http://h", "--network", "f"}, cli.Usage, "one of"},
		{[]string{"network", "update", "--data-dir", path, "--from-beacon", "127.0.0.1:5052"}, cli.Usage, "want one such as"},
		{[]string{"network", "update", "--data-dir", path, "--from-beacon", "http://127.0.0.1:1"}, cli.Failed, "no beacon node answers"},
		{[]string{"network", "update", "--data-dir", path, "--network", "nowhere.yaml"}, cli.Failed, "nowhere.yaml"},
	} {
		code, stdout, stderr := signerctl(t, test.args...)
		if code != test.code || stdout != "" || !strings.Contains(stderr, test.says) {
			t.Errorf("%v: exit %d, want %d and %q\n%s%s", test.args, code, test.code, test.says, stdout, stderr)
		}
	}
	mustHold(t, path, pinned)
}
