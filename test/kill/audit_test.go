package kill_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/secure-signer/secure-signer/test/internal/daemon"
	"github.com/secure-signer/secure-signer/test/internal/interop"
)

// TestTheAuditLogOutlivesAKill kills the daemon under load, once what was signed so far
// stands in its log, and has signerctl verify what the next one makes of it.
func TestTheAuditLogOutlivesAKill(t *testing.T) {
	w := newWorld(interop.Keys(keys))
	f := folder(t, w.keys)
	w.begin()
	d := daemon.Serve(t, f, unbound...)
	key := auditKey(t, d)
	var gone sync.WaitGroup
	gone.Go(func() { w.storm(d, connections) })
	w.waitForSigned(t)
	answered := w.signed()
	for deadline := time.Now().Add(time.Minute); auditEvents(t, f)["signed"] < answered; time.Sleep(100 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("what was signed does not come into the log")
		}
	}
	kept := filepath.Join(t.TempDir(), "checkpoint")
	before := auditEvents(t, f)["signed"]
	d.Kill()
	gone.Wait()
	life := w.end()

	d = daemon.Serve(t, f, unbound...)
	if code := d.Stop(); code != 0 {
		t.Fatalf("exit %d\n%s", code, d.Log())
	}
	out, err := signerctl(t, "audit", "verify", filepath.Join(f.Path, "audit"), "--signed-by", key)
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	_, checkpoint, _ := strings.Cut(string(out), "\n\n")
	if err := os.WriteFile(kept, []byte(checkpoint), 0o600); err != nil {
		t.Fatal(err)
	}
	events := auditEvents(t, f)
	if events["gap"] != 1 || events["signed"] < before || !strings.Contains(d.Log(), "the audit log has a gap") {
		t.Errorf("got %v, want a gap and %d signatures or more\n%s", events, before, d.Log())
	}
	t.Logf("%d signatures made, %d of them in the log when the daemon was killed, %d afterwards", life.signed+life.leaked, before, events["signed"])

	damaged := damage(t, filepath.Join(f.Path, "audit"))
	d = daemon.Serve(t, f, unbound...)
	if !strings.Contains(d.Log(), "the audit log is damaged") {
		t.Errorf("nobody was told of the damage\n%s", d.Log())
	}
	w.remembers(t, d)
	if code := d.Stop(); code != 0 {
		t.Errorf("exit %d\n%s", code, d.Log())
	}
	if out, err := signerctl(t, "audit", "verify", filepath.Join(f.Path, "audit"), "--signed-by", key, "--checkpoint", kept); err == nil ||
		!bytes.Contains(out, []byte("PROBLEM  "+damaged)) || !bytes.Contains(out, []byte("does not continue the checkpoint")) {
		t.Errorf("the damage is not found: %v\n%s", err, out)
	}
}

// TestAnAuditLogThatCannotBeSyncedGoesOnInAnotherFile lets one fsync of the log fail: what
// was in that file may not be on the disk, so it is written again.
func TestAnAuditLogThatCannotBeSyncedGoesOnInAnotherFile(t *testing.T) {
	needStrace(t)
	all := interop.Keys(1)
	f := folder(t, all)
	d := daemon.Serve(t, f, unbound...)
	key := auditKey(t, d)
	trace := fault{"fsync", "audit/00000001.log", eio, 1}.inject(t, d, f.Path)
	const duties = 40
	first := beyondTheClock()
	for n := first; n < first+duties; n++ {
		if answer, err := d.Sign(all[0].Public, vote(n, n+1, 0).body()); err != nil || answer.Status != http.StatusOK {
			t.Fatalf("got %+v, %v", answer, err)
		}
		time.Sleep(50 * time.Millisecond) // over some flushes
	}
	if code := d.Stop(); code != 0 || !strings.Contains(d.Log(), "the audit log cannot be written") {
		t.Errorf("exit %d\n%s", code, d.Log())
	}
	if !trace.hit(t) {
		t.Error("aimed badly: the call did not come")
	}
	if out, err := signerctl(t, "audit", "verify", filepath.Join(f.Path, "audit"), "--signed-by", key); err != nil || !bytes.HasPrefix(out, []byte("files    2")) {
		t.Errorf("%v\n%s", err, out)
	}
	if events := auditEvents(t, f); events["signed"] != duties || events["gap"] != 0 {
		t.Errorf("got %v, want each of %d duties once", events, duties)
	}
}

// auditKey reads the banner.
func auditKey(t *testing.T, d *daemon.Daemon) string {
	t.Helper()
	found := regexp.MustCompile(`(?m)^  audit +key (\S+)$`)
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if m := found.FindStringSubmatch(d.Out()); m != nil {
			return m[1]
		}
	}
	t.Fatalf("no key of the audit log in the banner\n%s", d.Out())
	return ""
}

// auditEvents counts the entries that checkpoints cover. A daemon that writes just
// now leaves an end that none does yet.
func auditEvents(t *testing.T, f daemon.Folder) map[string]int {
	t.Helper()
	out, _ := signerctl(t, "audit", "show", filepath.Join(f.Path, "audit"), "--json")
	events := make(map[string]int)
	for line := range bytes.Lines(out) {
		var e struct{ Entry struct{ Event string } }
		if err := json.Unmarshal(line, &e); err != nil {
			break
		}
		events[e.Entry.Event]++
	}
	return events
}

func signerctl(t *testing.T, args ...string) (stdout []byte, err error) {
	t.Helper()
	return exec.Command(daemon.Signerctl(t), args...).Output()
}

// damage puts one entry off by a thousand years, in the file that a start reads: the last.
func damage(t *testing.T, folder string) (path string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, "*.log"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no log: %v", err)
	}
	path = slices.Max(files)
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	changed := bytes.Replace(text, []byte(`"time":"2`), []byte(`"time":"3`), 1)
	if bytes.Equal(changed, text) {
		t.Fatal("nothing to damage")
	}
	if err := os.WriteFile(path, changed, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
