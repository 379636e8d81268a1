package horizon_test

import (
	"flag"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/secure-signer/secure-signer/test/internal/daemon"
	"github.com/secure-signer/secure-signer/test/internal/interop"
	"github.com/secure-signer/secure-signer/tpmlink/tpmtest"
)

// TestMain has all tests run beside each other: most of the time they wait for an
// epoch.
func TestMain(m *testing.M) {
	if err := flag.Set("test.parallel", "4"); err != nil {
		panic(err)
	}
	os.Exit(daemon.Main(m))
}

// initFolder makes a folder of the chain and returns what init has printed.
func initFolder(t *testing.T, c chain, flags ...string) (f daemon.Folder, printed string) {
	t.Helper()
	dir := t.TempDir()
	f = daemon.Folder{Path: filepath.Join(dir, "data"), Passphrase: filepath.Join(dir, "passphrase")}
	if err := os.WriteFile(f.Passphrase, []byte("a passphrase for tests only"), 0o600); err != nil {
		t.Fatal(err)
	}
	return f, mustRun(t, append(f.InitArgs(c.network), flags...)...)
}

// witnessed makes a folder whose horizon the witnesses keep.
func witnessed(t *testing.T, c chain, keepers []*keeper) daemon.Folder {
	t.Helper()
	flags := []string{"--horizon", "witness"}
	for _, k := range keepers {
		flags = append(flags, "--witness", k.String())
	}
	f, printed := initFolder(t, c, flags...)
	signer := regexp.MustCompile(`enrol --signer (\S+)`).FindStringSubmatch(printed)
	if signer == nil {
		t.Fatalf("no key to enrol in:\n%s", printed)
	}
	for _, k := range keepers {
		k.enrol(signer[1])
	}
	return f
}

// TestCopiesNeverConflict lets copies over witnesses and copies over a TPM live at the
// same time: most of it is waiting for the next epoch.
func TestCopiesNeverConflict(t *testing.T) {
	t.Parallel()
	keepers, tpm := startKeepers(t, 3), tpmtest.Start(t)
	c := newChain(t)
	overWitnesses := newWorld(t, c, witnessed(t, c, keepers), nil)
	f, _ := initFolder(t, c, "--horizon", "tpm", "--tpm", tpm.Path, "--tpm-ek-roots", tpm.Roots)
	overTPM := newWorld(t, c, f, []string{"--tpm", tpm.Path})

	ends := []func(){overWitnesses.begin(), overTPM.begin()}
	began, least := time.Now(), duration(6*time.Second)
	enough := func() bool { return overWitnesses.tested() && overTPM.tested() }
	for time.Since(began) < least || !enough() && time.Since(began) < least+3*time.Minute {
		k := keepers[rand.IntN(len(keepers))]
		k.kill()
		overWitnesses.disturb()
		overTPM.disturb()
		k.start()
	}
	for _, end := range ends {
		end()
	}
	t.Run("over witnesses", func(t *testing.T) { innocent(t, overWitnesses) })
	t.Run("over a TPM", func(t *testing.T) { innocent(t, overTPM) })
}

func innocent(t *testing.T, w *world) {
	t.Helper()
	v := w.judge(t)
	w.report(t, v)
	for _, crime := range v.Crimes {
		t.Errorf("slashable: %v", crime)
	}
	for _, usurper := range w.usurpers() {
		t.Error(usurper)
	}
	if !w.tested() {
		t.Error("too little was owned, signed, refused or killed: nothing was tested")
	}
}

// TestCopiesWithoutAHorizonConflict: else the tests above could not fail.
func TestCopiesWithoutAHorizonConflict(t *testing.T) {
	t.Parallel()
	c := newChain(t)
	f, _ := initFolder(t, c)
	w := newWorld(t, c, f, nil)
	end := w.begin()
	time.Sleep(3 * time.Second)
	end()
	v := w.judge(t)
	w.report(t, v)
	if len(v.Crimes) == 0 {
		t.Error("copies of a signer without a horizon have signed nothing that conflicts: the harness sees nothing")
	}
	if len(w.usurpers()) == 0 {
		t.Error("no epoch was signed in by two copies: the harness does not see who signs")
	}
}

// TestAMinorityOfWitnessesIsNotNeeded, and without a majority there are no blocks and
// no votes, and all the rest.
func TestAMinorityOfWitnessesIsNotNeeded(t *testing.T) {
	t.Parallel()
	c, keepers, key := newChain(t), startKeepers(t, 3), interop.New(0)
	d := daemon.Serve(t, witnessed(t, c, keepers), "--new-key-floor", "none")
	d.Import(t, []interop.Key{key}, "")

	keepers[0].kill()
	signs(t, d, key, func() string { return vote(c.epoch()-1, c.epoch(), 1) })
	signs(t, d, key, func() string { return block(c.slot(), 1) })
	says(t, d, "a witness does not answer")

	keepers[1].kill()
	c.wait(c.epoch() + 2) // the next one may be claimed already
	refuses(t, d, key, vote(c.epoch()-1, c.epoch(), 1))
	refuses(t, d, key, block(c.slot(), 1))
	signs(t, d, key, func() string { return reveal(c.epoch()) })

	keepers[0].start()
	keepers[1].start()
	says(t, d, "all witnesses answer")
	signs(t, d, key, func() string { return vote(c.epoch()-1, c.epoch(), 1) })
	if code := d.Stop(); code != 0 {
		t.Errorf("exit %d\n%s", code, d.Log())
	}
	for _, k := range keepers {
		k.stop()
		k.start() // for its cleanup
	}
}

// signs waits until what is due is signed: a claim may be under way.
func signs(t *testing.T, d *daemon.Daemon, key interop.Key, due func() string) {
	t.Helper()
	var last daemon.Answer
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(200 * time.Millisecond) {
		var err error
		if last, err = d.Sign(key.Public, []byte(due())); err != nil {
			t.Fatal(err)
		}
		if last.Status == http.StatusOK {
			return
		}
	}
	t.Errorf("not signed: %d %s\n%s", last.Status, last.Body, d.Log())
}

// says waits until the log does.
func says(t *testing.T, d *daemon.Daemon, what string) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(200 * time.Millisecond) {
		if strings.Contains(d.Log(), what) {
			return
		}
	}
	t.Errorf("it does not say %q\n%s", what, d.Log())
}

func refuses(t *testing.T, d *daemon.Daemon, key interop.Key, body string) {
	t.Helper()
	answer, err := d.Sign(key.Public, []byte(body))
	if err != nil {
		t.Fatal(err)
	}
	if answer.Status != http.StatusServiceUnavailable || !strings.Contains(answer.Body, "horizon_not_owned") {
		t.Errorf("want 503 horizon_not_owned: %d %s", answer.Status, answer.Body)
	}
}
