package kill_test

import (
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/secure-signer/secure-signer/test/internal/daemon"
	"github.com/secure-signer/secure-signer/test/internal/interop"
)

// places are the calls by which a running daemon makes a record durable, and by
// which it goes over to the next segment.
var places = []struct {
	name, call, path string
	nth              int
}{
	{"the write of a frame", "pwrite64", "", 5},
	{"the fsync of a frame", "fsync", "", 5},
	{"the making of a snapshot", "openat", "journal/snapshot.new", 1},
	{"the write of a snapshot", "pwrite64", "journal/snapshot.new", 1},
	{"the fsync of a snapshot", "fsync", "journal/snapshot.new", 1},
	{"the rename of a snapshot", "renameat", "", 1},
	{"the fsync of the folder", "fsync", "journal", 1},
	{"the removal of a full segment", "unlinkat", "", 1},
}

// TestADaemonOnAFailingDiskSignsNothingUnsafe lets the kernel refuse one system
// call of a daemon under load, or kill it there: each place in one way, each way
// at several places, or all where there is time.
func TestADaemonOnAFailingDiskSignsNothingUnsafe(t *testing.T) {
	needStrace(t)
	all := interop.Keys(4)
	whole := folder(t, all)
	hows := []string{eio, enospc, kill}
	for i, place := range places {
		for j, how := range hows {
			if os.Getenv("SECURE_SIGNER_LONG") == "" && i%len(hows) != j {
				continue
			}
			t.Run(place.name+" "+how, func(t *testing.T) {
				t.Parallel()
				fault{place.call, place.path, how, place.nth}.strike(t, copied(t, whole), all)
			})
		}
	}
}

// withoutAudit is for faults of the store: the calls of the audit log are not those
// that are aimed at.
func withoutAudit() []string { return slices.Concat(unbound, []string{"--audit-log", "off"}) }

// strike lets the clients of all keys contend until the fault has ended the
// daemon, and looks at what the next one makes of what is left.
func (f fault) strike(t *testing.T, on daemon.Folder, all []interop.Key) {
	d := daemon.Serve(t, on, withoutAudit()...)
	held, err := half(d, duty(all[0], vote(1, 1<<40, 1)))
	if err != nil {
		t.Fatal(err)
	}
	trace := f.inject(t, d, on.Path)
	w := newWorld(all)
	w.begin()
	var watching sync.WaitGroup
	var up, down int
	watching.Go(func() { up, down = w.watch(d) })
	w.storm(d, 4)
	watching.Wait()
	if f.how != kill {
		status, body, err := held.finish()
		if err != nil || status != http.StatusServiceUnavailable || !strings.Contains(body, "store_unavailable") {
			t.Errorf("a vote in flight at the fault: %d %s, %v", status, body, err)
		}
	}
	f.wantEnd(t, d.Wait(), d.Log())
	life := w.end()
	if !trace.hit(t) || life.signed == 0 {
		t.Error("aimed badly: the call did not come, or nothing was signed before it")
	}

	d = daemon.Serve(t, on, unbound...)
	w.remembers(t, d)
	v := w.judge(t)
	t.Logf("%d signed, refused %v, %d not answered, healthy %d times and then %d times not; judged %d blocks and %d votes: %d conflicts",
		life.signed, counts(life.refused), life.cutOff, up, down, v.Blocks, v.Attestations, len(v.Crimes))
}
