package http_test

import (
	"crypto/sha256"
	"errors"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/secure-signer/secure-signer/test/internal/daemon"
	"github.com/secure-signer/secure-signer/test/internal/interop"
)

// takeBackup writes a backup of a running daemon to a file.
func takeBackup(t *testing.T, d *daemon.Daemon) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "backup")
	write(t, path, d.Get(t, "/signer/v1/backup"))
	return path
}

// restore runs secure-signer restore on a folder and returns what it printed.
func restore(t *testing.T, f daemon.Folder, args ...string) string {
	t.Helper()
	code, stdout, stderr := restoreRun(t, f, args...)
	if code != 0 || !strings.Contains(stdout, "STOP every other signer") {
		t.Fatalf("restore %q: exit %d\n%s%s", args, code, stdout, stderr)
	}
	return stdout
}

func restoreRun(t *testing.T, f daemon.Folder, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	return daemon.Run(t, append([]string{"restore", "--data-dir", f.Path, "--passphrase-file", f.Passphrase}, args...)...)
}

// elsewhere is a folder that does not exist, for the same passphrase.
func elsewhere(t *testing.T, f daemon.Folder) daemon.Folder {
	t.Helper()
	return daemon.Folder{Path: filepath.Join(t.TempDir(), "restored"), Passphrase: f.Passphrase}
}

// TestCopiesMadeUnderLoadAreWholeOrRefused lets rivals contend while segments come
// and go, takes backups, and copies the folder by hand. Every backup is whole. A
// folder copied by hand may be torn: then restore refuses it, and goes on without
// its journal. Whatever came of it signs nothing that was signed before.
func TestCopiesMadeUnderLoadAreWholeOrRefused(t *testing.T) {
	t.Parallel()
	const rivals = 3
	keys := interop.Keys(4)
	f := initMainnet(t)
	d := serveKeys(t, f, keys, unbound...)
	s := &storm{next: make([]atomic.Uint64, len(keys))}
	var running sync.WaitGroup
	for i, key := range keys {
		s.next[i].Store(1000)
		for rival := range rivals {
			running.Go(func() { s.contend(d, key, &s.next[i], byte(1+rival)) })
		}
	}
	goOn := func(signatures int) {
		more := s.signedSoFar() + signatures
		waitFor(t, "the rivals go on", func() bool { return s.signedSoFar() > more })
	}
	goOn(200)
	fast, slow := elsewhere(t, f), elsewhere(t, f)
	copyByHand(t, f.Path, fast.Path)
	mkdir(t, slow.Path)
	mkdir(t, filepath.Join(slow.Path, "journal"))
	copyByHand(t, filepath.Join(f.Path, "journal", "snapshot"), filepath.Join(slow.Path, "journal", "snapshot"))
	goOn(1500) // until the segments that continue this snapshot are gone
	copyByHand(t, f.Path+"/.", slow.Path, "-n")
	folders := []daemon.Folder{fast, slow}
	file := takeBackup(t, d)
	d.Kill()
	running.Wait()
	last := uint64(0)
	for i := range s.next {
		last = max(last, s.next[i].Load()+1)
	}

	floor := []string{"--max-future-epochs", "off", "--floor-epoch", strconv.FormatUint(last, 10)}
	restored := elsewhere(t, f)
	restore(t, restored, append(floor, file)...)
	torn := 0
	for _, copied := range folders {
		code, _, stderr := restoreRun(t, copied, floor...)
		if code == 0 {
			continue
		}
		torn++
		if !strings.Contains(stderr, "journal damaged") && !strings.Contains(stderr, "journal missing") {
			t.Errorf("a copy by hand: exit %d, %s", code, stderr)
		}
		mustFailToServe(t, copied, "restore --data-dir D --journal-lost")
		restore(t, copied, append(floor, "--journal-lost")...)
	}
	for _, folder := range append(folders, restored) {
		signsNothingUntil(t, folder, keys, last)
	}
	if torn == 0 {
		t.Error("no copy was torn: the test missed what it aims at")
	}
	t.Logf("%d of %d copies made by hand under load were torn; %d signatures", torn, len(folders), s.signedSoFar())
}

// copyByHand is cp -r. Files come and go while it copies, which it complains about.
func copyByHand(t *testing.T, from, to string, flags ...string) {
	t.Helper()
	_ = exec.CommandContext(t.Context(), "cp", append([]string{"-r", from, to}, flags...)...).Run()
	if _, err := os.Stat(to); err != nil {
		t.Fatal(err)
	}
}

// signsNothingUntil checks that a folder's keys are in service, and begin after an
// epoch.
func signsNothingUntil(t *testing.T, f daemon.Folder, keys []interop.Key, last uint64) {
	t.Helper()
	d := daemon.Serve(t, f, unbound...)
	defer d.Kill()
	for _, key := range keys {
		mustRefuse(t, d, key, attestation(last-1, last, 99), http.StatusPreconditionFailed, "below_floor")
		mustRefuse(t, d, key, attestation(last-2, last+1, 99), http.StatusPreconditionFailed, "below_floor")
		mustRefuse(t, d, key, block(last*32+31, 99), http.StatusPreconditionFailed, "below_floor")
		mustSign(t, d, key, attestation(last, last+1, 99))
		mustSign(t, d, key, block(last*32+32, 99))
	}
}

// TestABackupThatChangedRestoresNothing flips bits as a disk does, and as one does
// who can put the checksum right.
func TestABackupThatChangedRestoresNothing(t *testing.T) {
	t.Parallel()
	f := initMainnet(t)
	d := serveKeys(t, f, interop.Keys(1), unbound...)
	file := takeBackup(t, d)
	whole := read(t, file)
	d.Kill()

	to := elsewhere(t, f)
	refused := func(what string, says ...string) {
		t.Helper()
		code, stdout, stderr := restoreRun(t, to, file, "--floor-epoch", "1")
		if code != 1 || stdout != "" || !containsAny(stderr, says) {
			t.Errorf("%s: exit %d, want 1 and %q\n%s%s", what, code, says, stdout, stderr)
		}
		if _, err := os.Stat(to.Path); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: something is left at %s: %v", what, to.Path, err)
		}
	}
	for i := 0; i < len(whole)-sha256.Size; i += len(whole) / 8 {
		changed := append([]byte(nil), whole...)
		changed[i] ^= 1
		write(t, file, changed)
		refused("byte "+strconv.Itoa(i), "backup damaged")
	}
	write(t, file, whole[:len(whole)-1])
	refused("cut", "backup damaged")
	for _, part := range []float64{0.01, 0.05, 0.5, 0.9} { // the config, the vault, the journal
		forged := append([]byte(nil), whole...)
		body := len(forged) - 2*sha256.Size
		forged[int(part*float64(body))] ^= 1
		sum := sha256.Sum256(forged[:body])
		copy(forged[body:], sum[:])
		write(t, file, forged)
		refused("forged", "not made by the signer of its vault", "vault damaged", "config.yaml in it", "wrong passphrase", "before the", "clock says")
	}
	write(t, file, whole)
	right := to.Passphrase
	to.Passphrase = filepath.Join(t.TempDir(), "wrong")
	write(t, to.Passphrase, []byte("a passphrase for tests onlY"))
	refused("another passphrase", "a backup opens with the passphrase of the day it was taken")
	to.Passphrase = right
	restore(t, to, file)
}

func containsAny(text string, of []string) bool {
	for _, s := range of {
		if strings.Contains(text, s) {
			return true
		}
	}
	return false
}

// TestMakeABackupOfThisFormat writes the backup that must restore for ever, of the
// folder of the same format.
//
//	SECURE_SIGNER_BACKUP=testdata/backup-2 go test ./http -run TestMakeABackupOfThisFormat
func TestMakeABackupOfThisFormat(t *testing.T) {
	path := os.Getenv("SECURE_SIGNER_BACKUP")
	if path == "" {
		t.Skip("only for a new format: SECURE_SIGNER_BACKUP=testdata/backup-N")
	}
	if _, err := os.Stat(path); err == nil {
		t.Fatalf("%s is there: a released format is never written again", path)
	}
	archives := formats(t)
	d := daemon.Serve(t, unpack(t, archives[len(archives)-1]))
	write(t, path, d.Get(t, "/signer/v1/backup"))
}

func TestABackupOfEveryReleasedFormatRestores(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/backup-*")
	if err != nil || len(files) == 0 {
		t.Fatalf("no released backups: %v", err)
	}
	keys := interop.Keys(formatKeys)
	for _, file := range files {
		f := daemon.Folder{Path: filepath.Join(t.TempDir(), "restored"), Passphrase: filepath.Join(t.TempDir(), "passphrase")}
		write(t, f.Passphrase, []byte(formatPassphrase))
		restore(t, f, file)
		d := daemon.Serve(t, f)
		if held := listed(t, d); len(held) != formatKeys {
			t.Errorf("%s: %d keys: %v", file, len(held), held)
		}
		for i, key := range keys {
			status, reason := http.StatusPreconditionFailed, "below_floor"
			if i == taken {
				status, reason = http.StatusNotFound, "key_not_found"
			}
			mustRefuse(t, d, key, attestation(clockEpoch()-2, clockEpoch()-1, 1), status, reason)
		}
		if status, _ := deleted(t, d, keys[taken]); status != "not_active" {
			t.Errorf("%s: the deleted key is %s, want not_active", file, status)
		}
	}
}

func TestABackupNeedsTheToken(t *testing.T) {
	t.Parallel()
	d := daemon.Serve(t, initMainnet(t))
	answer, err := http.Get(d.URL + "/signer/v1/backup")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusUnauthorized {
		t.Errorf("%s, want 401", answer.Status)
	}
}
