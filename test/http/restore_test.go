package http_test

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/protolambda/zrnt/eth2/configs"

	"github.com/secure-signer/secure-signer/test/internal/daemon"
	"github.com/secure-signer/secure-signer/test/internal/interop"
	"github.com/secure-signer/secure-signer/test/judge"
)

// A lifetime is a signer with all that it signs until it dies, which includes what
// its clock allows ahead of time.
type lifetime struct {
	chain  shortChain
	folder daemon.Folder
	keys   []interop.Key
	gone   interop.Key   // deleted before the backup
	file   string        // the backup, taken half way
	copied daemon.Folder // a copy by hand of that moment, when nothing was going on

	died     uint64 // in this epoch
	evidence *storm
	signed   []signedDuty
}

// live runs the original signer. It has the default flags.
func live(t *testing.T) *lifetime {
	t.Helper()
	l := &lifetime{chain: newShortChain(t), keys: interop.Keys(2), gone: interop.New(2), evidence: new(storm)}
	l.folder = daemon.Init(t, l.chain.network)
	d := serveKeys(t, l.folder, append(l.keys, l.gone), "--new-key-floor", "none")
	now := l.chain.epoch()
	l.sign(t, d, signedDuty{key: l.gone, source: now - 2, target: now - 1})
	var answer struct{ Data []struct{ Status string } }
	d.Keymanager(t, http.MethodDelete, map[string]any{"pubkeys": []string{l.gone.Hex()}}, &answer)
	for _, key := range l.keys {
		l.sign(t, d, signedDuty{key: key, source: now - 2, target: now - 1})
		l.sign(t, d, signedDuty{key: key, slot: now*shortEpoch - 3})
	}
	l.file, l.copied = takeBackup(t, d), copyFolder(t, l.folder)
	for _, key := range l.keys { // what the copies do not know
		now := l.chain.epoch()
		l.sign(t, d, signedDuty{key: key, source: now - 1, target: now})
		l.sign(t, d, signedDuty{key: key, slot: now * shortEpoch})
		l.sign(t, d, signedDuty{key: key, source: now, target: now + 1})
		l.sign(t, d, signedDuty{key: key, slot: (now+2)*shortEpoch - 1})
	}
	d.Kill()
	l.died = l.chain.epoch()
	return l
}

func (l *lifetime) sign(t *testing.T, d *daemon.Daemon, what signedDuty) {
	t.Helper()
	l.chain.sign(t, d, l.evidence, what)
	l.signed = append(l.signed, what)
}

// goOn checks that the signer of f signs nothing that conflicts with what the
// original signed, nothing that it would have signed by now, and then its duties;
// and has everything judged that either has signed.
func (l *lifetime) goOn(t *testing.T, f daemon.Folder, restored string) {
	t.Helper()
	last := lastEpoch(t, restored)
	if last <= l.died {
		t.Fatalf("the floors are at epoch %d, the original died in epoch %d", last, l.died)
	}
	d := daemon.Serve(t, f, "--new-key-floor", "none")
	for _, what := range l.signed {
		if what.key == l.gone {
			mustRefuse(t, d, what.key, l.chain.request(what, 2), http.StatusNotFound, "key_not_found")
			continue
		}
		for _, variant := range []byte{1, 2} {
			mustRefuse(t, d, what.key, l.chain.request(what, variant), http.StatusPreconditionFailed, "below_floor")
		}
	}
	for _, key := range l.keys {
		mustRefuse(t, d, key, l.chain.vote(last-1, last, 3), http.StatusPreconditionFailed, "below_floor")
		mustRefuse(t, d, key, l.chain.block((last+1)*shortEpoch-1, 3), http.StatusPreconditionFailed, "below_floor")
	}
	l.chain.wait(last) // the clock then allows the epoch after it
	for _, key := range l.keys {
		mustRefuse(t, d, key, l.chain.vote(last-2, last+1, 3), http.StatusPreconditionFailed, "below_floor")
		l.sign(t, d, signedDuty{key: key, source: last, target: last + 1})
		l.sign(t, d, signedDuty{key: key, slot: (last + 1) * shortEpoch})
	}
	verdict, err := judge.Judge(configs.Minimal, l.evidence.signed)
	if err != nil {
		t.Fatal(err)
	}
	if len(verdict.Crimes) > 0 || verdict.Blocks != 8 || verdict.Attestations != 9 {
		t.Errorf("%d blocks, %d votes and these crimes: %v; want 8, 9 and none", verdict.Blocks, verdict.Attestations, verdict.Crimes)
	}
}

var lastEpochLine = regexp.MustCompile(`Nothing is signed of epoch (\d+) or before`)

// lastEpoch reads what restore has printed.
func lastEpoch(t *testing.T, stdout string) uint64 {
	t.Helper()
	m := lastEpochLine.FindStringSubmatch(stdout)
	if m == nil {
		t.Fatalf("restore does not say where the floors are:\n%s", stdout)
	}
	n, err := strconv.ParseUint(m[1], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestARestoredBackupSignsNothingTwice(t *testing.T) {
	t.Parallel()
	l := live(t)
	to := elsewhere(t, l.folder)
	stdout := restore(t, to, l.file)
	for path, want := range map[string]os.FileMode{to.Path: 0o700, filepath.Join(to.Path, "vault"): 0o600, filepath.Join(to.Path, "api-token.txt"): 0o600} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v; want %v", path, info, err, want)
		}
	}
	if string(read(t, filepath.Join(to.Path, "api-token.txt"))) == string(read(t, filepath.Join(l.folder.Path, "api-token.txt"))) {
		t.Error("the restored folder has the old token")
	}
	l.goOn(t, to, stdout)
	l.historyIsKept(t, to, lastEpoch(t, stdout))
}

// historyIsKept asks for the history of the key that was deleted.
func (l *lifetime) historyIsKept(t *testing.T, f daemon.Folder, last uint64) {
	t.Helper()
	d := daemon.Serve(t, copyFolder(t, f))
	var answer struct {
		Data    []struct{ Status string }
		History string `json:"slashing_protection"`
	}
	d.Keymanager(t, http.MethodDelete, map[string]any{"pubkeys": []string{l.gone.Hex()}}, &answer)
	if len(answer.Data) != 1 || answer.Data[0].Status != "not_active" || !strings.Contains(answer.History, `"target_epoch":"`+strconv.FormatUint(last, 10)+`"`) {
		t.Errorf("a deleted key after the restore: %+v; want not_active, and a history up to epoch %d", answer, last)
	}
}

// TestAnOlderFolderSignsNothingTwice after restore has raised its floors.
func TestAnOlderFolderSignsNothingTwice(t *testing.T) {
	t.Parallel()
	l := live(t)
	l.goOn(t, l.copied, restore(t, l.copied))
}

// TestALostJournalIsNotTheEndOfTheKeys: a generated key exists in the vault alone.
func TestALostJournalIsNotTheEndOfTheKeys(t *testing.T) {
	t.Parallel()
	l := live(t)
	flip(t, usedSegment(t, l.folder.Path), 0.5)
	mustFailToServe(t, l.folder, "restore --data-dir D --journal-lost")
	if code, _, stderr := restoreRun(t, l.folder); code != 1 || !strings.Contains(stderr, "journal damaged") {
		t.Errorf("restore without --journal-lost: exit %d, %s", code, stderr)
	}
	stdout := restore(t, l.folder, "--journal-lost")
	if kept, err := filepath.Glob(filepath.Join(l.folder.Path, "journal.lost-*", "segment-*")); err != nil || len(kept) == 0 {
		t.Errorf("the damaged journal was not kept: %v", err)
	}
	l.goOn(t, l.folder, stdout)
}

// TestATornRecordWithoutAClockNeedsAnEpoch: on a network whose time of genesis is
// unknown, only the operator can say what the record may have held.
func TestATornRecordWithoutAClockNeedsAnEpoch(t *testing.T) {
	t.Parallel()
	chain, key := newShortChain(t), interop.New(0)
	chain.network.GenesisTime = "0"
	f := daemon.Init(t, chain.network)
	d := serveKeys(t, f, []interop.Key{key}, "--new-key-floor", "none")
	for epoch := uint64(1); epoch < 8; epoch++ {
		mustSign(t, d, key, chain.vote(epoch-1, epoch, 1))
	}
	d.Kill()
	flip(t, usedSegment(t, f.Path), 0.999)
	mustFailToServe(t, f, "--floor-epoch N")
	mustFailToServe(t, f, "--floor-epoch N") // nor does a second start forget
	if code, _, stderr := restoreRun(t, f); code != 1 || !strings.Contains(stderr, "time of genesis is unknown") {
		t.Errorf("restore without an epoch: exit %d, %s", code, stderr)
	}
	restore(t, f, "--floor-epoch", "20")
	d = daemon.Serve(t, f, "--new-key-floor", "none")
	mustRefuse(t, d, key, chain.vote(19, 20, 1), http.StatusPreconditionFailed, "below_floor")
	mustRefuse(t, d, key, chain.vote(18, 21, 1), http.StatusPreconditionFailed, "below_floor")
	mustSign(t, d, key, chain.vote(20, 21, 1))
}

// TestARestoreThatIsKilledLeavesNoFolderThatSigns kills restore at each of its
// calls that make something durable. What is left is no data folder, or one
// whose floors are raised.
func TestARestoreThatIsKilledLeavesNoFolderThatSigns(t *testing.T) {
	t.Parallel()
	strace, err := exec.LookPath("strace")
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal(err)
		}
		t.Skip("needs strace: scripts/setup-test.sh installs it")
	}
	key := interop.New(0)
	f := usedFolder(t)
	d := daemon.Serve(t, f, unbound...)
	file := takeBackup(t, d)
	d.Kill()
	halfMade, whole, step := 0, 0, 1
	if os.Getenv("SECURE_SIGNER_LONG") == "" {
		step = 3
	}
	for call := 1; ; call += step { // strace counts the calls of each thread for itself
		to := elsewhere(t, f)
		cmd := exec.CommandContext(t.Context(), strace, "-f", "-qq", "-o", "/dev/null", "-e", "trace=fsync,rename,renameat",
			"-e", "inject=fsync,rename,renameat:signal=SIGKILL:when="+strconv.Itoa(call),
			daemon.Program(t), "restore", file, "--data-dir", to.Path, "--passphrase-file", to.Passphrase)
		if text, err := cmd.CombinedOutput(); err == nil {
			break // it makes fewer such calls
		} else if strings.Contains(string(text), "secure-signer:") {
			t.Fatalf("call %d: %v, %s", call, err, text)
		}
		if _, err := os.Stat(filepath.Join(to.Path, "config.yaml")); err != nil {
			halfMade++
			mustFailToServe(t, to, "no data folder")
			if code, _, stderr := restoreRun(t, to, file); code != 1 {
				t.Errorf("call %d: over what was left: exit %d, %s", call, code, stderr)
			}
			continue
		}
		whole++
		d := daemon.Serve(t, to, unbound...)
		now := clockEpoch()
		mustRefuse(t, d, key, attestation(now-1, now, 3), http.StatusPreconditionFailed, "below_floor")
		mustRefuse(t, d, key, attestation(now-1, now+1, 3), http.StatusPreconditionFailed, "below_floor")
		d.Kill()
	}
	if halfMade < 2 {
		t.Errorf("only %d restores were killed: the test missed what it aims at", halfMade)
	}
	t.Logf("%d restores killed half way, %d when the folder was whole", halfMade, whole)
}
