package mutant

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
)

// A harness is a test that promises to notice mistakes.
type harness struct {
	module string // its folder, from the product's root
	pkg    string
	test   string
	says   string // a pattern of what it says when it has noticed one
}

var (
	order    = harness{"", "./signer", "TestSignAsksInTheOneSafeOrderAndStopsAtTheFirstRefusal", "steps"}
	rules    = harness{"", "./slashing", "TestNoTwoSignedMessagesConflict", "signed vote .* after"}
	faults   = harness{"", "./record/journal", "TestEveryFailingCall", "call [0-9]+: "}
	settling = harness{"", "./record/journal", "TestUnsettledStaysUntilSettled", "unsettled"}
	crashes  = harness{"test", "./crash", "TestNoCrashLosesARecord", "state [0-9]+, cut"}
	kills    = harness{"test", "./kill", "TestNoKillUnderLoadMakesAConflict", "was answered|by 0x"}
	restarts = harness{"test", "./http", "TestATornLastRecordHoldsEveryKeyBack", "want 412 below_floor"}

	restores  = harness{"test", "./http", "TestARestoredBackupSignsNothingTwice", "want 412 below_floor"}
	forgeries = harness{"test", "./http", "TestABackupThatChangedRestoresNothing", "forged: exit 0"}
	bounds    = harness{"", "./slashing", "TestSignedUntilIsAboveAllThatIsAllowed", "was allowed, and now"}
	copies    = harness{"", "./record/journal", "TestARestoredJournalHoldsWhatTheBackupDid", "claims to know"}
)

// slowDisk makes the time longer in which a change is on its way to the disk, so
// that a kill hits it.
var slowDisk = Edit{
	File: "record/journal/writer.go",
	Old:  "\t\tpayload := encode(batch)\n",
	New:  "\t\ttime.Sleep(20 * time.Millisecond)\n\t\tpayload := encode(batch)\n",
}

// A mistake and the harness that is there to notice it.
type mistake struct {
	name    string
	harness harness
	edits   []Edit
}

var mistakes = []mistake{
	{"sign before record", order, []Edit{{
		File: "signer/signer.go",
		Old:  "\terr = s.Guard.Record(ctx, r.Key, r.Message, root)\n",
		New:  "\t_, _ = s.Keys.Sign(ctx, key, root)\n\terr = s.Guard.Record(ctx, r.Key, r.Message, root)\n",
	}}},
	{"an answer does not wait for its record", kills, []Edit{{
		File: "slashing/guard.go",
		Old:  "\treturn g.store.Replace(ctx, g.key(pub), old, value)\n",
		New:  "\tgo g.store.Replace(context.Background(), g.key(pub), old, value)\n\treturn nil\n",
	}, slowDisk}},
	{"the fsync of a frame is ignored", crashes, []Edit{{
		File: "record/journal/file.go",
		Old:  "if err := o.file.Sync(); err != nil {",
		New:  "if err := error(nil); err != nil {",
	}}},
	{"a failed fsync is forgotten", faults, []Edit{{
		File: "record/journal/writer.go",
		Old:  "s.current.write(s.state.at, payload)\n\t\tif err != nil {\n\t\t\ts.finish(batch, s.fail(err))\n\t\t\treturn\n",
		New:  "s.current.write(s.state.at, payload)\n\t\tif err != nil {\n\t\t\ts.finish(batch, err)\n\t\t\tcontinue\n",
	}}},
	{"the source check is lost", rules, []Edit{{
		File: "slashing/state.go",
		Old:  "case last.present && source < last.source:",
		New:  "case false:",
	}}},
	{"the fsync of a directory is ignored", crashes, []Edit{{
		File: "record/journal/disk.go",
		Old:  "return durable.SyncDir(dir)",
		New:  "_ = durable.SyncDir; return nil",
	}}},
	{"a change is acknowledged before it is written", crashes, []Edit{{
		File: "record/journal/store.go",
		Old:  "\treturn c.wait(ctx)\n}\n\n// lockIdle",
		New:  "\t_ = c\n\treturn nil\n}\n\n// lockIdle",
	}}},
	{"a load returns a change before it is flushed", crashes, []Edit{{
		File: "record/journal/store.go",
		Old:  "\tif pending != nil {\n",
		New:  "\tif pending != nil && pending.key != settleKey { return pending.record, nil }\n\tif pending != nil {\n",
	}}},
	{"a retry is signed before its record is flushed", kills, []Edit{{
		File: "record/journal/store.go",
		Old:  "\tif pending != nil {\n",
		New:  "\tif pending != nil && pending.key != settleKey { return pending.record, nil }\n\tif pending != nil {\n",
	}, {
		File: "record/journal/store.go",
		Old:  "\tif err := s.lockIdle(ctx, key); err != nil {\n\t\treturn err\n\t}\n\tnow := s.state.records[key]\n",
		New:  "\ts.mu.Lock()\n\tp := s.pending[key]\n\ts.mu.Unlock()\n\tif p != nil && bytes.Equal(p.record.Value, value) { return nil }\n\tif err := s.lockIdle(ctx, key); err != nil {\n\t\treturn err\n\t}\n\tnow := s.state.records[key]\n",
	}, slowDisk}},
	{"a snapshot replaces the old files after they are removed", crashes, []Edit{{
		File: "record/journal/checkpoint.go",
		Old:  "\tif snapshotSize, err = j.writeSnapshot(s, current); err != nil {\n\t\treturn nil, 0, err\n\t}\n",
		New:  "",
	}, {
		File: "record/journal/checkpoint.go",
		Old:  "\treserve, err = j.createSegment(j.segmentSize(s))\n",
		New:  "\tif snapshotSize, err = j.writeSnapshot(s, current); err != nil {\n\t\treturn nil, 0, err\n\t}\n\treserve, err = j.createSegment(j.segmentSize(s))\n",
	}}},
	{"the doubt after a torn record is lost on a clean stop", settling, []Edit{{
		File: "record/journal/item.go",
		Old:  "\tif s.unsettled {\n\t\tunsettled = 1\n\t}\n",
		New:  "",
	}}},
	{"the floor after a torn record is lost on a clean stop", restarts, []Edit{{
		File: "slashing/guard.go",
		Old:  "type Guard struct {\n",
		New:  "type Guard struct {\n\theld Floors\n",
	}, {
		File: "slashing/guard.go",
		Old:  "rule(s, version != noRecord)",
		New:  "rule(s.Raise(g.held), version != noRecord)",
	}, {
		File: "slashing/enroll.go",
		Old:  "\tvar keys []bls.PublicKey\n",
		New:  "\tg.held = by\n\treturn nil\n\tvar keys []bls.PublicKey\n",
	}}},
	{"a restore raises no floor", restores, []Edit{{
		File: "cmd/secure-signer/restore.go",
		Old:  "errors.Join(guard.EnrollAt(ctx, unknown, floors), guard.RaiseAll(ctx, floors))",
		New:  "guard.EnrollAt(ctx, unknown, floors)",
	}}},
	{"a restore forgets what may be signed ahead of the clock", bounds, []Edit{{
		File: "slashing/clock.go",
		Old:  "\t_, last := g.epochs(at, bound)\n",
		New:  "\tlast, _ := g.epochs(at, bound)\n",
	}}},
	{"a restore takes a backup that is not authentic", forgeries, []Edit{{
		File: "cmd/secure-signer/restore.go",
		Old:  "err = b.Authenticate(v.DeriveKey(backup.KeyLabel))",
		New:  "err = nil",
	}}},
	{"a restored journal claims to know everything", copies, []Edit{{
		File: "record/journal/backup.go",
		Old:  "s.unsettled = true",
		New:  "s.unsettled = false",
	}}},
}

// TestEveryMistakeIsCaught runs each harness on sources with the mistake that it
// is there to notice. On the true sources it is run by itself.
func TestEveryMistakeIsCaught(t *testing.T) { catch(t, mistakes) }

func catch(t *testing.T, all []mistake) {
	t.Helper()
	root, err := Root()
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range all {
		t.Run(m.name, func(t *testing.T) {
			out := m.harness.run(t, root, write(t, t.TempDir(), root, m.edits))
			said := regexp.MustCompile(".*(" + m.harness.says + ").*").Find(out)
			if said == nil || !bytes.Contains(out, []byte("--- FAIL: "+m.harness.test+" ")) {
				t.Fatalf("%s of %s does not notice it:\n%s", m.harness.test, m.harness.pkg, out)
			}
			t.Logf("%s of %s:%.300s", m.harness.test, m.harness.pkg, said)
		})
	}
}

// run returns what the harness says of these sources.
func (h harness) run(t *testing.T, root, overlay string) []byte {
	t.Helper()
	args := []string{"test", "-overlay", overlay, "-count=1", "-short", "-v", "-run", "^" + h.test + "$", h.pkg}
	if h.pkg == "./slashing" {
		args = append(args, "-rapid.nofailfile") // which it would leave beside the test
	}
	test := exec.Command("go", args...)
	test.Dir = filepath.Join(root, h.module)
	test.Env = append(os.Environ(), Overlay+"="+overlay, "SECURE_SIGNER_LONG=")
	out, err := test.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return out
}
