package http_test

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	recordmemory "github.com/secure-signer/secure-signer/record/memory"
	"github.com/secure-signer/secure-signer/rollback/witness"
	"github.com/secure-signer/secure-signer/test/internal/daemon"
	"github.com/secure-signer/secure-signer/test/internal/interop"
	"github.com/secure-signer/secure-signer/tpmlink/tpmtest"
)

// witnesses are three, each of its own operator, in this process.
type witnesses struct {
	servers []*witness.Server
	lines   []string
	down    atomic.Int32 // the first so many do not answer
}

func startWitnesses(t *testing.T) *witnesses {
	t.Helper()
	w := &witnesses{}
	for i := range int32(3) {
		public, private, err := ed25519.GenerateKey(nil)
		if err != nil {
			t.Fatal(err)
		}
		s := &witness.Server{Key: private, Store: recordmemory.New(), Log: slog.New(slog.DiscardHandler)}
		handler := s.Handler()
		server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			if i < w.down.Load() {
				http.Error(rw, "down", http.StatusBadGateway)
				return
			}
			handler.ServeHTTP(rw, r)
		}))
		t.Cleanup(server.Close)
		w.servers = append(w.servers, s)
		w.lines = append(w.lines, witness.Witness{URL: server.URL, Key: public}.String())
	}
	return w
}

func (w *witnesses) flags() []string {
	flags := []string{"--horizon", "witness"}
	for _, line := range w.lines {
		flags = append(flags, "--witness", line)
	}
	return flags
}

// enrol lets in the signer that a command has printed the key of.
func (w *witnesses) enrol(t *testing.T, printed string) {
	t.Helper()
	found := regexp.MustCompile(`witness enrol --signer (0x[0-9a-f]{64})`).FindStringSubmatch(printed)
	if found == nil {
		t.Fatalf("no key to enrol in:\n%s", printed)
	}
	signer, err := witness.ParseKey(found[1])
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range w.servers {
		if err := witness.Enrol(context.Background(), s.Store, signer); err != nil {
			t.Fatal(err)
		}
	}
}

// initHorizon makes a folder of the chain and returns what init has printed.
func initHorizon(t *testing.T, c shortChain, flags ...string) (daemon.Folder, string) {
	t.Helper()
	dir := t.TempDir()
	f := daemon.Folder{Path: filepath.Join(dir, "data"), Passphrase: filepath.Join(dir, "passphrase")}
	write(t, f.Passphrase, []byte("a passphrase for tests only"))
	code, stdout, stderr := daemon.Run(t, append(f.InitArgs(c.network), flags...)...)
	if code != 0 {
		t.Fatalf("init: exit %d\n%s%s", code, stdout, stderr)
	}
	return f, stdout
}

// voteNow has a vote of the present epoch signed, as soon as it is owned, and returns
// the epoch.
func (c shortChain) voteNow(t *testing.T, d *daemon.Daemon, key interop.Key) uint64 {
	t.Helper()
	for deadline := time.Now().Add(waitTime); ; time.Sleep(20 * time.Millisecond) {
		now := c.epoch()
		answer, err := d.Sign(key.Public, []byte(c.vote(now-1, now, 1)))
		if err != nil {
			t.Fatal(err)
		}
		if answer.Status == http.StatusOK {
			return now
		}
		if !strings.HasPrefix(answer.Reason(), "horizon_") || time.Now().After(deadline) {
			t.Fatalf("a vote of epoch %d: %d %s\n%s", now, answer.Status, answer.Body, ending(d))
		}
	}
}

// randao is what no slashing rule looks at.
func (c shortChain) randao(epoch uint64) string {
	return strings.ReplaceAll(randao(epoch), mainnetForkInfo, shortForkInfo)
}

// horizonState is what status tells of it.
type horizonState struct {
	Kind, Keeper, Error string
	Owned               bool
	First               string `json:"first_epoch"`
	Last                string `json:"last_epoch"`
}

func stateOf(t *testing.T, d *daemon.Daemon) horizonState {
	t.Helper()
	var s struct{ Horizon horizonState }
	if err := json.Unmarshal(d.Get(t, "/signer/v1/status"), &s); err != nil {
		t.Fatal(err)
	}
	return s.Horizon
}

func health(t *testing.T, d *daemon.Daemon) (status int, body string) {
	t.Helper()
	answer, err := do(http.DefaultClient, newRequest(t, d, openCase{method: "GET", path: "/healthcheck"}))
	if err != nil {
		t.Fatal(err)
	}
	return answer.Status, answer.Body
}

// TestAHorizonThroughStopsCrashesAndCopies is the life of a signer whose host may
// do with its folder as he likes.
func TestAHorizonThroughStopsCrashesAndCopies(t *testing.T) {
	t.Parallel()
	for kind, start := range map[string]func(t *testing.T, c shortChain) (f daemon.Folder, serve []string){
		"tpm": func(t *testing.T, c shortChain) (daemon.Folder, []string) {
			tpm := tpmtest.Start(t)
			f, _ := initHorizon(t, c, "--horizon", "tpm", "--tpm", tpm.Path, "--tpm-ek-roots", tpm.Roots)
			return f, []string{"--tpm", tpm.Path, "--new-key-floor", "none"}
		},
		"witness": func(t *testing.T, c shortChain) (daemon.Folder, []string) {
			w := startWitnesses(t)
			f, printed := initHorizon(t, c, w.flags()...)
			w.enrol(t, printed)
			return f, []string{"--new-key-floor", "none"}
		},
	} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			c := newShortChain(t)
			f, flags := start(t, c)
			liveUnderAHorizon(t, c, f, flags)
		})
	}
}

func liveUnderAHorizon(t *testing.T, c shortChain, f daemon.Folder, flags []string) {
	t.Helper()
	key := interop.New(0)
	d := serveKeys(t, f, []interop.Key{key}, flags...)
	now := c.voteNow(t, d, key)
	if s := stateOf(t, d); s.Last == "" || s.Error != "" {
		t.Errorf("status %+v", s)
	}
	if code := d.Stop(); code != 0 {
		t.Fatalf("exit %d\n%s", code, ending(d))
	}
	clone := copyFolder(t, f)

	// A clean stop loses nothing.
	d = daemon.Serve(t, f, flags...)
	mustSign(t, d, key, c.block(now*shortEpoch+7, 1))

	// Of two that were started with the same folder one goes on.
	other := daemon.Serve(t, clone, flags...)
	mustRefuse(t, other, key, c.block(now*shortEpoch+7, 2), http.StatusServiceUnavailable, "horizon_not_owned")
	other.Kill()

	// A crash costs the rest of the epoch: of blocks and votes, and of nothing else.
	d.Kill()
	d = daemon.Serve(t, f, flags...)
	now = c.voteNow(t, d, key)
	d.Kill()
	d = daemon.Serve(t, f, flags...)
	mustRefuse(t, d, key, c.block(now*shortEpoch+7, 1), http.StatusServiceUnavailable, "horizon_not_owned")
	mustRefuse(t, d, key, c.vote(now-1, now+20, 1), http.StatusPreconditionFailed, "too_far_future")
	mustSign(t, d, key, c.randao(now))
	status, body := health(t, d)
	if c.epoch() == now && (status != http.StatusOK || !strings.Contains(body, `"horizon-check","status":"DOWN"`)) {
		t.Errorf("while it waits: %d %s", status, body)
	}
	crashed := now
	now = c.voteNow(t, d, key)
	mustRefuse(t, d, key, c.vote(crashed-2, now, 1), http.StatusPreconditionFailed, "horizon_source")

	// An old copy finds its epochs taken, and knows that it knows nothing.
	old := daemon.Serve(t, clone, flags...)
	mustRefuse(t, old, key, c.block(now*shortEpoch+7, 2), http.StatusServiceUnavailable, "horizon_not_owned")
	mustRefuse(t, old, key, c.vote(now-2, now, 2), http.StatusPreconditionFailed, "horizon_source")
	old.Kill()
}

// TestWitnessesThatAreAwayKeepNothingElseFromBeingSigned: the signer starts, and goes
// on as soon as a majority is there.
func TestWitnessesThatAreAwayKeepNothingElseFromBeingSigned(t *testing.T) {
	t.Parallel()
	c, w, key := newShortChain(t), startWitnesses(t), interop.New(0)
	f, printed := initHorizon(t, c, w.flags()...)
	d := serveKeys(t, f, []interop.Key{key}, "--new-key-floor", "none")
	now := c.epoch()
	if status, body := health(t, d); status != http.StatusServiceUnavailable || !strings.Contains(body, `"horizon-check","status":"DOWN"`) {
		t.Errorf("not enrolled yet: %d %s", status, body)
	}
	documented := openCase{method: "GET", route: "/signer/v1/status", token: token(t, f), status: http.StatusOK}
	check(t, openAPI(t), d, documented)
	if s := stateOf(t, d); !strings.Contains(s.Error, "does not know the signer") || !strings.Contains(s.Error, "witness enrol") {
		t.Errorf("status does not say what to do: %+v", s)
	}
	mustRefuse(t, d, key, c.vote(now-1, now, 1), http.StatusServiceUnavailable, "horizon_not_owned")
	mustSign(t, d, key, c.randao(now))

	w.enrol(t, printed)
	waitFor(t, "an epoch is owned", func() bool { return stateOf(t, d).Owned })
	if status, body := health(t, d); status != http.StatusOK {
		t.Errorf("with its witnesses: %d %s", status, body)
	}
	check(t, openAPI(t), d, documented)
	w.down.Store(1)
	now = c.voteNow(t, d, key)
	w.down.Store(2)
	if c.wait(now + 1); c.epoch() > now+1 || stateOf(t, d).Owned {
		c.wait(c.epoch() + 1) // the next epoch was claimed before
	}
	now = c.epoch()
	waitFor(t, "it is down without a majority", func() bool { status, _ := health(t, d); return status == http.StatusServiceUnavailable })
	mustRefuse(t, d, key, c.vote(now-1, now, 2), http.StatusServiceUnavailable, "horizon_not_owned")
	w.down.Store(0)
	waitFor(t, "it is up again", func() bool { status, _ := health(t, d); return status == http.StatusOK })
	c.voteNow(t, d, key)
}

// TestAFolderNeverStartsWithoutItsHorizon: whatever of it is gone is said.
func TestAFolderNeverStartsWithoutItsHorizon(t *testing.T) {
	t.Parallel()
	c, w := newShortChain(t), startWitnesses(t)
	made, _ := initHorizon(t, c, w.flags()...)
	for name, test := range map[string]struct {
		damage func(t *testing.T, f daemon.Folder)
		says   string
	}{
		"config.yaml does not name it": {func(t *testing.T, f daemon.Folder) {
			text, _, _ := strings.Cut(string(read(t, filepath.Join(f.Path, "config.yaml"))), "bound_to:")
			text = strings.NewReplacer("format_version: 2", "format_version: 1", "oldest_release: 0.2.0", "oldest_release: 0.1.0").Replace(text)
			write(t, filepath.Join(f.Path, "config.yaml"), []byte(text))
		}, "names no horizon"},
		"its secret is gone": {func(t *testing.T, f daemon.Folder) { remove(t, filepath.Join(f.Path, "horizon", "secret")) }, "secure-signer restore FILE"},
		"its secret is damaged": {func(t *testing.T, f daemon.Folder) {
			write(t, filepath.Join(f.Path, "horizon", "secret"), []byte("SSHORIZ\n\x01 and what nobody sealed, of some length"))
		}, "damaged"},
		"it is of a kind of a later release": {func(t *testing.T, f daemon.Folder) {
			edited := strings.Replace(string(read(t, filepath.Join(f.Path, "config.yaml"))), "kind: witness", "kind: oracle", 1)
			write(t, filepath.Join(f.Path, "config.yaml"), []byte(edited))
		}, "newer"},
		"its witnesses have changed": {func(t *testing.T, f daemon.Folder) {
			edited := strings.Replace(string(read(t, filepath.Join(f.Path, "config.yaml"))), `\"signer\":\"0x`, `\"signer\":\"0x00`, 1)
			write(t, filepath.Join(f.Path, "config.yaml"), []byte(edited))
		}, "64 hex digits"},
	} {
		t.Run(name, func(t *testing.T) {
			f := copyFolder(t, made)
			test.damage(t, f)
			mustFailToServe(t, f, test.says)
		})
	}
}

// TestATPMThatIsAnotherOneStopsTheStart, and says how to go on.
func TestATPMThatIsAnotherOneStopsTheStart(t *testing.T) {
	t.Parallel()
	c, mine := newShortChain(t), tpmtest.Start(t)
	f, _ := initHorizon(t, c, "--horizon", "tpm", "--tpm", mine.Path, "--tpm-ek-roots", mine.Roots)
	other := tpmtest.Start(t)
	for what, path := range map[string]string{"another": other.Path, "none": filepath.Join(t.TempDir(), "tpm")} {
		args := f.ServeArgs("--tpm", path)
		if code, stdout, stderr := daemon.Run(t, args...); code == 0 || !strings.Contains(stderr, "TPM") {
			t.Errorf("%s: exit %d\n%s%s", what, code, stdout, stderr)
		}
	}
	d := daemon.Serve(t, f, "--tpm", mine.Path)
	waitFor(t, "its own is there", func() bool { return stateOf(t, d).Owned })
	d.Kill()

	// What a failed init has made in the TPM is gone again.
	second := []string{"--horizon", "tpm", "--tpm", mine.Path, "--tpm-ek-roots", mine.Roots, "--tpm-nv-index", "25190000"}
	if code, _, stderr := daemon.Run(t, append(f.InitArgs(c.network), second...)...); code == 0 || !strings.Contains(stderr, "exists already") {
		t.Errorf("init over a folder: exit %d, %s", code, stderr)
	}
	initHorizon(t, c, second...)
	if code, _, stderr := daemon.Run(t, append(elsewhere(t, f).InitArgs(c.network), second...)...); code == 0 || !strings.Contains(stderr, "--tpm-nv-index") {
		t.Errorf("init with an index that is taken: exit %d, %s", code, stderr)
	}
}

// TestABackupKeepsItsHorizonOrTakesANewOne as the operator says.
func TestABackupKeepsItsHorizonOrTakesANewOne(t *testing.T) {
	t.Parallel()
	c, w, key := newShortChain(t), startWitnesses(t), interop.New(0)
	f, printed := initHorizon(t, c, w.flags()...)
	w.enrol(t, printed)
	d := serveKeys(t, f, []interop.Key{key}, "--new-key-floor", "none")
	now := c.voteNow(t, d, key)
	file := takeBackup(t, d)

	kept := elsewhere(t, f)
	restore(t, kept, file)
	copied := daemon.Serve(t, kept)
	mustRefuse(t, copied, key, c.block(now*shortEpoch+7, 2), http.StatusServiceUnavailable, "horizon_not_owned")
	copied.Kill()
	d.Kill()

	anew, restored := elsewhere(t, f), c.epoch()
	printed = restore(t, anew, append(w.flags(), file)...)
	w.enrol(t, printed)
	d = daemon.Serve(t, anew)
	if voted := c.voteNow(t, d, key); voted <= restored+1 {
		t.Errorf("a vote of epoch %d, in which the old signer may have signed until %d", voted, restored+1)
	}
	d.Kill()

	gone := elsewhere(t, f)
	restore(t, gone, "--horizon", "none", file)
	if _, err := os.Stat(filepath.Join(gone.Path, "horizon")); err == nil {
		t.Error("a folder without a horizon has one's secret")
	}
	daemon.Serve(t, gone)

	code, _, stderr := restoreRun(t, f, "--horizon", "none")
	if code == 0 || !strings.Contains(stderr, "signerctl backup") {
		t.Errorf("in place: exit %d, %s", code, stderr)
	}
}

// A folder of format 2, the first that a horizon is in. Its witnesses are at a port
// where nobody listens. It is never written again:
//
//	SECURE_SIGNER_FORMAT=testdata/horizon-2.tar.gz go test ./http -run TestMakeAFolderWithAHorizon
const releasedHorizon = "testdata/horizon-2.tar.gz"

func TestMakeAFolderWithAHorizonOfThisFormat(t *testing.T) {
	archive := os.Getenv("SECURE_SIGNER_FORMAT")
	if archive == "" {
		t.Skip("only for a new format: SECURE_SIGNER_FORMAT=testdata/horizon-N.tar.gz")
	}
	dir := t.TempDir()
	f := daemon.Folder{Path: filepath.Join(dir, "data"), Passphrase: filepath.Join(dir, "passphrase")}
	write(t, f.Passphrase, []byte(formatPassphrase))
	flags := []string{"--horizon", "witness"}
	for i := range byte(3) {
		key := ed25519.NewKeyFromSeed([]byte(strings.Repeat(string('a'+rune(i)), ed25519.SeedSize))).Public().(ed25519.PublicKey)
		flags = append(flags, "--witness", witness.Witness{URL: "http://127.0.0.1:1/" + string('a'+rune(i)), Key: key}.String())
	}
	if code, stdout, stderr := daemon.Run(t, append(f.InitArgs(mainnet), flags...)...); code != 0 {
		t.Fatalf("exit %d\n%s%s", code, stdout, stderr)
	}
	pack(t, f.Path, archive)
}

// TestAReleasedFolderWithAHorizonOpens with the very keeper that it was made for.
func TestAReleasedFolderWithAHorizonOpens(t *testing.T) {
	t.Parallel()
	d := daemon.Serve(t, unpack(t, releasedHorizon))
	s := stateOf(t, d)
	if s.Kind != "witness" || s.Owned || !strings.Contains(s.Keeper, "3 witnesses") || !strings.Contains(s.Error, "http://127.0.0.1:1/") {
		t.Errorf("got %+v", s)
	}
}
