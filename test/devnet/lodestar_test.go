package devnet

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/secure-signer/secure-signer/test/internal/daemon"
)

// A lodestar is how to run Lodestar 1.5.1, installed by scripts/setup-test.sh.
type lodestar struct {
	node    string
	tree    string // holds node_modules
	dir     string // working folder of what is started
	seconds int    // nothing that is started outlives this
}

// findLodestar skips the test, or fails it in CI, where Lodestar is absent.
func findLodestar(t *testing.T, maxTime time.Duration) lodestar {
	t.Helper()
	l := lodestar{node: "node", dir: t.TempDir(), seconds: int(maxTime.Seconds())}
	if own := filepath.Join(npmTree(t, "node"), "node_modules", ".bin", "node"); exists(own) {
		l.node = own
	}
	l.tree = npmTree(t, "lodestar")
	if !exists(l.main()) {
		const text = "Lodestar is not installed: run scripts/setup-test.sh"
		if os.Getenv("CI") != "" {
			t.Fatal(text)
		}
		t.Skip(text)
	}
	return l
}

// npmTree is where scripts/setup-test.sh installs what name/package-lock.json
// pins: a folder that is named for the content of the lock file.
func npmTree(t *testing.T, name string) string {
	t.Helper()
	lock, err := os.ReadFile(filepath.Join(name, "package-lock.json"))
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(lock)
	tree, err := filepath.Abs(filepath.Join("..", "..", ".cache", name, hex.EncodeToString(sum[:])[:12]))
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func (l lodestar) main() string {
	return filepath.Join(l.tree, "node_modules", "@chainsafe", "lodestar", "lib", "index.js")
}

// A process is a running Lodestar and its log.
type process struct {
	name  string
	cmd   *exec.Cmd
	ended chan struct{}

	mu  sync.Mutex
	log bytes.Buffer
}

// start runs one Lodestar command until the end of the test or until stop.
func (l lodestar) start(t *testing.T, name string, args ...string) *process {
	t.Helper()
	polyfill, err := filepath.Abs("lodestar/polyfill.cjs")
	if err != nil {
		t.Fatal(err)
	}
	args = append([]string{
		"--kill-after=5", strconv.Itoa(l.seconds), // even if this test is killed
		l.node, "--no-warnings", "--require", polyfill, l.main(),
	}, args...)
	p := &process{name: name, cmd: exec.Command("timeout", args...), ended: make(chan struct{})}
	p.cmd.Dir = l.dir
	// Nothing is inherited: Lodestar takes every LODESTAR_ variable for a flag.
	p.cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + l.dir, "LODESTAR_PRESET=minimal",
		"NODE_BACKEND=js", // bcrypto without its native half, which would have to be compiled
	}
	p.cmd.Stdout, p.cmd.Stderr = p, p
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		p.cmd.Wait() // how it ends is seen in its log
		close(p.ended)
	}()
	t.Cleanup(func() {
		p.stop()
		if dir := os.Getenv("SECURE_SIGNER_DEVNET_LOGS"); dir != "" {
			file := filepath.Join(dir, t.Name()+"-"+name+".log")
			if err := os.WriteFile(file, []byte(p.text()), 0o600); err != nil {
				t.Error(err)
			}
		}
	})
	return p
}

// stop asks the process to end and insists after a while.
func (p *process) stop() {
	p.cmd.Process.Signal(syscall.SIGTERM) // it may have ended
	select {
	case <-p.ended:
	case <-time.After(15 * time.Second):
		p.cmd.Process.Kill() // it may have ended
		<-p.ended
	}
}

func (p *process) running() bool {
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

func (p *process) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.log.Write(b)
}

func (p *process) text() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return colour.ReplaceAllString(p.log.String(), "")
}

var (
	colour   = regexp.MustCompile("\x1b\\[[0-9;]*m")
	logLevel = regexp.MustCompile(`^[^\[]*\[\S*\]\s+(error|warn): `)
)

// complaints returns the lines of level error and warn that none of the
// patterns explains.
func (p *process) complaints(benign []*regexp.Regexp) []string {
	var out []string
lines:
	for _, line := range strings.Split(p.text(), "\n") {
		if !logLevel.MatchString(line) {
			continue
		}
		for _, b := range benign {
			if b.MatchString(line) {
				continue lines
			}
		}
		out = append(out, p.name+": "+line)
	}
	return out
}

// startBeacon runs a beacon node of its own chain: no peers, and nothing that
// could propose but a validator client.
func (l lodestar) startBeacon(t *testing.T, name string, c chain) *beacon {
	t.Helper()
	port := daemon.FreePort(t)
	engine := startEngine(t)
	p := l.start(t, name, "dev",
		"--dataDir", filepath.Join(l.dir, name), "--paramsFile", c.params,
		"--genesisValidators", strconv.Itoa(validators), "--genesisTime", strconv.FormatInt(c.genesis.Unix(), 10),
		"--listenAddress", "127.0.0.1", "--port", strconv.Itoa(daemon.FreePort(t)), "--discv5=false", "--mdns=false",
		"--rest", "--rest.address", "127.0.0.1", "--rest.port", strconv.Itoa(port), "--rest.namespace", "*",
		"--eth1=true", "--eth1.disableEth1DepositDataTracker=true", "--eth1.providerUrls", engine,
		"--execution.urls", engine, "--jwt-secret", c.jwt)
	return &beacon{process: p, url: fmt.Sprintf("http://127.0.0.1:%d", port)}
}

// startValidator runs a validator client that has no key of its own. Its name
// is its graffiti.
func (l lodestar) startValidator(t *testing.T, name string, c chain, b *beacon, signer string) *process {
	t.Helper()
	return l.start(t, name, "validator",
		"--network", "dev", "--dataDir", filepath.Join(l.dir, name), "--paramsFile", c.params,
		"--beaconNodes", b.url, "--graffiti", name,
		"--externalSigner.url", signer, "--externalSigner.fetch")
}
