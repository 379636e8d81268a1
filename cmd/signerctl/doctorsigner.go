package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/secure-signer/secure-signer/internal/beacon"
	"github.com/secure-signer/secure-signer/internal/cli"
	"github.com/secure-signer/secure-signer/internal/datadir"
	"github.com/secure-signer/secure-signer/management"
)

// doctorPatience is how long a signer may take to tell its status.
const doctorPatience = 10 * time.Second

// examineSigner asks the signer how it is, and looks for why it does not answer.
func (c *tool) examineSigner(ctx context.Context, e *examination) {
	signer, err := c.client()
	if err != nil {
		e.fail("signer", "give --data-dir or --token-file, and the TLS files that the signer wants", "it cannot be asked: %s", withoutUsage(err))
		return
	}
	var s management.Status
	if err := signer.call(ctx, doctorPatience, "GET", "/signer/v1/status", nil, &s); err != nil {
		e.fail("signer", "start it, and read its log: journalctl -u secure-signer", "%v", err)
		c.examinePorts(e)
		return
	}
	e.status = &s
	if err := notReady(s); err != nil {
		e.fail("signer", "see the message; docs/operations.md, \"The store has failed\"", "%v", err)
	} else {
		e.ok("signer", "it is ready, and has been up for %v", time.Duration(s.UptimeSeconds)*time.Second)
	}
	e.compareVersions(s)
	e.compareNetworks(s)
	e.compareClocks(s)
	e.examineKeys(ctx, signer, s.Keys)
	e.examineHorizon(s)
	e.examineHardening(s.Hardening)
	e.examineLimits()
	e.examineCertificate(ctx, signer)
}

func withoutUsage(err error) string {
	return strings.TrimPrefix(err.Error(), cli.ErrUsage.Error()+": ")
}

// examinePorts says who has the ports that a signer here needs to start.
func (c *tool) examinePorts(e *examination) {
	base, err := c.address()
	if err != nil || !isLoopback(base.Hostname()) {
		return
	}
	own, _ := strconv.Atoi(base.Port())
	for _, p := range []struct {
		number int
		flag   string
	}{{own, "--http-listen-port"}, {9001, "--metrics-listen-port"}, {9002, "--management-listen-port"}} {
		if who, taken := e.host.listener(p.number); taken {
			e.warn("ports", "stop that, or give the signer another port with "+p.flag, "port %d is taken by %s", p.number, who)
		}
	}
}

func (e *examination) compareVersions(s management.Status) {
	if own := cli.Release(); s.Version != own {
		e.warn("version", "update the older of the two, or restart the signer if its program was replaced", "the signer is %s, this is %s", s.Version, own)
		return
	}
	e.ok("version", "%s, both", s.Version)
}

func (e *examination) compareNetworks(s management.Status) {
	if e.folder == nil {
		e.ok("network", "%s", s.Network.Name)
		return
	}
	if own := e.folder.Network.GenesisValidatorsRoot; own != s.Network.GenesisValidatorsRoot {
		e.fail("network", "give the --url and the --data-dir of one and the same signer", "the folder is for %s (genesis root %v), the signer at --url signs for %s (%v)", e.folder.Network.Name, own, s.Network.Name, s.Network.GenesisValidatorsRoot)
		return
	}
	e.ok("network", "%s, as in the folder", s.Network.Name)
}

// compareClocks finds a signer on a machine whose clock differs from this one's.
func (e *examination) compareClocks(s management.Status) {
	n := s.Network
	if n.Slot == nil || n.SecondsPerSlot == 0 {
		return
	}
	now := uint64(max(time.Now().Unix(), 0))
	here := (max(now, uint64(n.GenesisTime)) - uint64(n.GenesisTime)) / n.SecondsPerSlot
	if there := uint64(*n.Slot); here > there+1 || there > here+1 {
		e.fail("clock", "find out which of the two is wrong, and set it: docs/operations.md, \"The clock was wrong\"", "the signer's clock is in slot %d, this machine's in slot %d", there, here)
	}
}

func (e *examination) examineKeys(ctx context.Context, signer *client, k management.Keys) {
	if k.Withheld == 0 {
		e.ok("keys", "%s", keySummary(k))
		return
	}
	why := "signerctl keys list says why"
	var list management.KeyList
	if err := signer.call(ctx, doctorPatience, "GET", "/signer/v1/keys", nil, &list); err == nil {
		for _, key := range list.Keys {
			if !key.InService {
				why = fmt.Sprintf("%v: %s", key.Pubkey, key.Problem)
				break
			}
		}
	}
	e.fail("keys", "signerctl keys list shows each, docs/backup.md what to do", "%d of %d do not sign; the first is %s", k.Withheld, k.Held, why)
}

func (e *examination) examineHorizon(s management.Status) {
	switch h := s.Horizon; {
	case h == nil:
		e.ok("horizon", "none: an older disk, or a second copy of this signer, goes unnoticed")
	case !h.Owned:
		e.fail("horizon", "after a crash wait for the next epoch; else docs/operations.md, \"Witnesses are down\" and \"The TPM is lost\"", "no block and no vote is signed: %s", h.Error)
	case h.Error != "":
		e.warn("horizon", "docs/operations.md, \"Witnesses are down\"", "%s", h.Error)
	default:
		e.ok("horizon", "%s, %s", h.Kind, h.Keeper)
	}
	mark := s.HighWatermark
	switch {
	case mark == nil:
	case s.Network.Epoch != nil && *s.Network.Epoch >= mark.Epoch:
		e.fail("watermark", "if the move is over or off, restart the signer without --high-watermark-epoch and --high-watermark-slot", "%s, and that has passed", stop(mark))
	default:
		e.warn("watermark", "after the move, or without one, restart the signer without --high-watermark-epoch and --high-watermark-slot", "%s", stop(mark))
	}
}

func (e *examination) examineHardening(h management.Hardening) {
	for _, part := range h.Missing {
		e.warn("hardening", "docs/security.md, \"Hardening\", says what each part needs", "not taken: %s", part)
	}
	if len(h.Missing) == 0 {
		e.ok("hardening", "%d parts", len(h.Took))
	}
}

// What a signer should be allowed.
const (
	enoughFiles  = 4096    // connections
	enoughLocked = 8 << 20 // bytes of keys that are never swapped out
)

// examineLimits looks at the process that serves the folder, if it is here.
func (e *examination) examineLimits() {
	if e.folder == nil {
		return
	}
	here, err := os.Stat(e.folder.Path())
	if err != nil {
		return
	}
	for _, s := range e.host.signers() {
		served, err := os.Stat(s.folder)
		if err != nil || !os.SameFile(here, served) {
			continue
		}
		files, limited := e.host.limit(s.pid, "Max open files")
		if limited && files < enoughFiles {
			e.warn("limits", "LimitNOFILE=65536 in its unit, or ulimit -n", "process %d may open %d files: each connection is one", s.pid, files)
		}
		locked, limited := e.host.limit(s.pid, "Max locked memory")
		if limited && locked < enoughLocked {
			e.warn("limits", "LimitMEMLOCK=infinity in its unit, or ulimit -l", "process %d may lock %d kB of memory: with many keys that is too little", s.pid, locked>>10)
		}
		e.ok("process", "%d serves the folder", s.pid)
	}
}

// soon is when a certificate needs a successor.
const soon = 14 * 24 * time.Hour

func (e *examination) examineCertificate(ctx context.Context, signer *client) {
	if !strings.HasPrefix(signer.base, "https:") {
		return
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, signer.base+"/upcheck", http.NoBody)
	if err != nil {
		return
	}
	resp, err := signer.http.Do(req)
	if err != nil || resp.TLS == nil || len(resp.TLS.PeerCertificates) == 0 {
		e.warn("certificate", "run this again", "the signer did not show its certificate: %v", err)
		return
	}
	defer resp.Body.Close()
	end := resp.TLS.PeerCertificates[0].NotAfter
	if left := end.Sub(e.now); left < soon {
		e.warn("certificate", "put a new one in its file, then POST /reload or SIGHUP: docs/clients.md", "the signer's certificate ends in %d days, at %s", int(left.Hours()/24), end.UTC().Format(time.RFC3339))
		return
	}
	e.ok("certificate", "good until %s", end.UTC().Format(time.RFC3339))
}

// examineBeacon holds the folder, or else the signer, against a beacon node.
func (e *examination) examineBeacon(ctx context.Context, address string) {
	ctx, cancel := context.WithTimeout(ctx, doctorPatience)
	defer cancel()
	chain, err := beacon.Ask(ctx, address)
	if err != nil {
		e.warn("beacon", "is --beacon right, and the node up?", "%v", err)
		return
	}
	for _, fork := range chain.Unknown {
		e.fail("beacon", "update Secure Signer", "%v", fork)
	}
	theirs := chain.Network.GenesisValidatorsRoot
	switch {
	case e.folder != nil && e.folder.Network.GenesisValidatorsRoot != theirs,
		e.status != nil && e.status.Network.GenesisValidatorsRoot != theirs:
		e.fail("beacon", "point the clients at a signer, and at a node, of one network", "the node at %s is on another chain, of genesis root %v", chain.Node, theirs)
		return
	case e.folder != nil:
		_, changes, err := datadir.Reschedule(e.folder.Network, chain.Network, chain.Unscheduled, begun(e.folder.Network, e.now))
		if err != nil {
			e.fail("beacon", "find out which of the two is wrong: signerctl network show", "%v", err)
			return
		}
		if len(changes) > 0 {
			e.warn("beacon", "signerctl network update --data-dir "+e.folder.Path()+" --from-beacon "+chain.Node+", then restart the signer", "the node knows of forks that the folder does not: %v", changes[0])
			return
		}
	}
	e.ok("beacon", "%s is on the same chain", chain.Node)
}
