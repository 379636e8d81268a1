package devnet

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/secure-signer/secure-signer/test/internal/daemon"
	"github.com/secure-signer/secure-signer/test/internal/interop"
)

// spare is what a process may live beyond the time of its chain: a start on a
// busy machine, and the end of the test.
const spare = 6 * time.Minute

// A network is one chain, its beacon nodes, the genesis that they agree on, and
// the validator clients.
type network struct {
	lodestar
	chain
	beacons []*beacon
	root    string // genesis_validators_root
	clients []*process
}

// startNetwork starts beacon nodes with a common genesis, and what launch starts
// once they are there. All of it is up at genesis: a lone node that misses the
// first epoch waits for peers for ever. On a machine that is too busy for that
// it begins again with more time.
func startNetwork(t *testing.T, slot, lasts time.Duration, beacons []string, launch func(network) []*process) network {
	t.Helper()
	for lead := 20 * time.Second; lead <= 160*time.Second; lead *= 2 {
		n := network{lodestar: findLodestar(t, lasts+spare)}
		n.chain = newChain(t, n.dir, slot, lead)
		for _, name := range beacons {
			n.beacons = append(n.beacons, n.startBeacon(t, name, n.chain))
		}
		if n.agree(lead / 2) {
			n.clients = launch(n)
			if n.clientsReady() {
				return n
			}
		}
		n.stop(t)
		t.Logf("not ready at genesis, %v after the start; again with more time", lead)
	}
	t.Fatal("this machine is too busy for a chain")
	return network{}
}

// agree waits until the beacon nodes serve their genesis, and is false unless
// that leaves enough time before it.
func (n *network) agree(enough time.Duration) bool {
	for _, b := range n.beacons {
		root, ok := b.genesisRoot(n.genesis.Add(-enough))
		if !ok {
			return false
		}
		n.root = root
	}
	return true
}

// clientsReady waits until every validator client knows its validators, and is
// false unless that is so at genesis.
func (n *network) clientsReady() bool {
	for _, c := range n.clients {
		for !strings.Contains(c.text(), "Discovered new validators") {
			if time.Now().After(n.genesis) || !c.running() {
				return false
			}
			time.Sleep(100 * time.Millisecond)
		}
	}
	return true
}

// stop ends everything that runs. What has ended by itself fails the test.
func (n *network) stop(t *testing.T) {
	t.Helper()
	all := n.clients
	for _, b := range n.beacons {
		all = append(all, b.process)
	}
	for _, p := range all {
		if !p.running() {
			t.Errorf("%s has ended:\n%s", p.name, p.text())
		}
		p.stop()
	}
}

// startSigner serves the chain's keys by the real daemon, with the defaults of
// an operator. The beacon node itself tells it which chain that is.
func (n network) startSigner(t *testing.T, keys []interop.Key) *daemon.Daemon {
	t.Helper()
	folder := daemon.Init(t, daemon.Network{
		FromBeacon: n.beacons[0].url, GenesisRoot: n.root, GenesisTime: strconv.FormatInt(n.genesis.Unix(), 10),
	})
	d := daemon.Serve(t, folder)
	d.Import(t, keys, "")
	return d
}
