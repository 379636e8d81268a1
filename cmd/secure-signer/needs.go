package main

import (
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/secure-signer/secure-signer/confine"
	"github.com/secure-signer/secure-signer/internal/datadir"
	"github.com/secure-signer/secure-signer/rollback/witness"
)

// needs are what a daemon that is open and listens still has to reach while it
// serves, reloads and stops. Whatever comes to need more says so here.
type needs struct {
	confine.Access
	sockets bool // new ones
}

// needs lists them. The passphrase is not among them: it has been read.
func (f serveFlags) needs(d *daemon) (needs, error) {
	n := needs{Access: confine.Access{
		Write: []string{d.dir.Path()},
		Read: []string{
			"/proc",          // metrics of the process
			"/sys/fs/cgroup", // how many processors it may use
		},
	}}
	for _, file := range []string{f.access.tls.CertFile, f.access.tls.KeyFile, f.access.tls.KnownClients, f.access.tls.ClientCA} {
		n.Read = append(n.Read, foldersOf(file)...)
	}
	if p := f.seal.platform; d.platform.Platform != nil {
		n.Read = append(n.Read, p.collateral, besideTarget(p.collateral))
		n.Write = append(n.Write, p.writes(d.platform.name)...)
		n.Devices = append(n.Devices, p.devices(d.platform.name)...)
	}
	if d.platform.name == "tpm" || slices.Contains([]string{horizonTPM, horizonAnyTPM}, d.dir.Binding.Horizon.Kind) {
		n.reachTPM(f.horizon.tpm.path)
	}
	if d.dir.Binding.Horizon.Kind == horizonWitness {
		return n, n.reachWitnesses(d.dir.Binding.Horizon)
	}
	return n, nil
}

// writes are the folders that evidence is asked for through.
func (f platformFlags) writes(platform string) []string {
	switch platform {
	case "gramine":
		return []string{f.gramineDir}
	case "tsm":
		return []string{f.tsmDir}
	}
	return nil
}

// devices are those that evidence is asked of.
func (f platformFlags) devices(platform string) []string {
	switch platform {
	case "nitro":
		return []string{f.nsmDevice}
	case "tsm":
		return []string{f.sevGuest}
	}
	return nil
}

// foldersOf returns the folder of a file that may be replaced while the daemon
// runs, and that of the file which a link there leads to.
func foldersOf(file string) []string {
	if file == "" {
		return nil
	}
	folders := []string{filepath.Dir(file)}
	if real, err := filepath.EvalSymlinks(file); err == nil {
		folders = append(folders, filepath.Dir(real))
	}
	return folders
}

// besideTarget returns the folder of the folder that a link leads to, or nothing: what is
// to take its place all at once lies beside it, and the link is turned.
func besideTarget(path string) string {
	if _, err := os.Readlink(path); err != nil {
		return ""
	}
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return ""
	}
	return filepath.Dir(real)
}

// reachTPM keeps the way to a TPM open: a link that breaks is made anew.
func (n *needs) reachTPM(path string) {
	if strings.Contains(path, "/") {
		n.Devices = append(n.Devices, path)
		info, err := os.Stat(path)
		n.sockets = n.sockets || err == nil && info.Mode().Type() == os.ModeSocket
		return
	}
	n.sockets = true
	if _, port, err := net.SplitHostPort(path); err == nil {
		n.connect(port)
	}
}

// reachWitnesses keeps the way to witnesses open, with all that finds and
// authenticates a host by its name. Those files may be replaced at any time, and a
// name that is not found costs duties: their folders are left, not they alone.
func (n *needs) reachWitnesses(k datadir.Keeper) error {
	var id witnessIdentity
	if err := decodeIdentity(k.Identity, &id); err != nil {
		return err
	}
	for _, line := range id.Witnesses {
		w, err := witness.Parse(line)
		if err != nil {
			return err
		}
		if err := n.reachURL(w.URL); err != nil {
			return err
		}
	}
	n.sockets = true
	n.Read = append(n.Read, "/etc", "/run/systemd/resolve", "/usr/share/ca-certificates", "/usr/local/share/ca-certificates",
		"/lib", "/lib64", "/usr/lib", os.Getenv("SSL_CERT_FILE"), os.Getenv("SSL_CERT_DIR"))
	return nil
}

// reachURL leaves the port of an address, or that of the proxy on the way to it.
func (n *needs) reachURL(address string) error {
	u, err := url.Parse(address)
	if err != nil {
		return err
	}
	proxy, err := http.ProxyFromEnvironment(&http.Request{URL: u})
	if err != nil {
		return fmt.Errorf("the proxy to %s: %w", address, err)
	}
	if proxy != nil {
		u = proxy
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443", "socks5": "1080", "socks5h": "1080"}[u.Scheme]
	}
	n.connect(port)
	n.connect("53") // names, where an answer does not fit into a datagram
	return nil
}

func (n *needs) connect(port string) {
	if p, err := strconv.ParseUint(port, 10, 16); err == nil {
		n.Connect = append(n.Connect, uint16(p))
	}
}
