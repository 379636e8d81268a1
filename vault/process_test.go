package vault

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/secure-signer/secure-signer/bls"
	"github.com/secure-signer/secure-signer/internal/durable"
)

// TestMain runs the test binary as another process that changes a vault, when
// it is asked to: it adds keys until it is killed or has added enough, deletes
// every third, and prints each change once it is acknowledged.
func TestMain(m *testing.M) {
	path := os.Getenv("VAULT_TEST_CHANGE")
	if path == "" {
		os.Exit(m.Run())
	}
	var count int
	fmt.Sscan(os.Getenv("VAULT_TEST_COUNT"), &count)
	change := changeVault
	if os.Getenv("VAULT_TEST_REWRAP") != "" {
		change = rewrapVault
	}
	if err := change(path, count); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

const processPassphrase = "passphrase"

func changeVault(path string, count int) error {
	s, err := PassphraseWork([]byte(processPassphrase), MinWork)
	if err != nil {
		return err
	}
	v, err := Open(path, s)
	if err != nil {
		return err
	}
	ctx := context.Background()
	for i := range count {
		sk, err := bls.GenerateKey()
		if err != nil {
			return err
		}
		pub := sk.PublicKey()
		if err := v.Add(ctx, sk, pub); err != nil {
			return err
		}
		fmt.Println("added", pub)
		if i%3 == 2 {
			fmt.Println("deleting", pub)
			if err := v.Delete(ctx, pub); err != nil {
				return err
			}
			fmt.Println("deleted", pub)
		}
	}
	return v.Close()
}

// rewrapVault changes the passphrase there and back.
func rewrapVault(path string, count int) error {
	for i := range count {
		old, next, err := pair()
		if err != nil {
			return err
		}
		if _, err := Open(path, old); errors.Is(err, ErrWrongPassphrase) {
			old, next = next, old
		}
		if err := Rewrap(path, old, next); err != nil {
			return err
		}
		fmt.Println("rewrapped", i)
	}
	return nil
}

// pair returns the two passphrases that rewrapVault knows.
func pair() (first, second Sealer, err error) {
	if first, err = PassphraseWork([]byte(processPassphrase), MinWork); err != nil {
		return nil, nil, err
	}
	second, err = PassphraseWork([]byte("another"), MinWork)
	return first, second, err
}

// startChanging starts the other process. The function it returns waits for the
// process to end and gives what it has printed.
func startChanging(t *testing.T, path string, count int, env ...string) (*os.Process, func() []string) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(append(os.Environ(), env...), "VAULT_TEST_CHANGE="+path, fmt.Sprintf("VAULT_TEST_COUNT=%d", count))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd.Process, func() []string {
		b, err := io.ReadAll(bufio.NewReader(out))
		if err != nil {
			t.Fatal(err)
		}
		var exit *exec.ExitError
		if err := cmd.Wait(); err != nil && (!errors.As(err, &exit) || exit.Exited()) {
			t.Fatalf("the other process: %v", err)
		}
		lines := strings.SplitAfter(string(b), "\n")
		return lines[:len(lines)-1] // the last is empty, or cut off by a kill
	}
}

// applyChanges works out what a vault must hold after the printed changes. A
// deletion that was begun and not acknowledged may have been made or not.
func applyChanges(t *testing.T, lines []string, must, may map[bls.PublicKey]bool) {
	t.Helper()
	for _, line := range lines {
		var verb, hex string
		fmt.Sscan(line, &verb, &hex)
		pub, err := bls.ParsePublicKey(hex)
		if err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		switch verb {
		case "added":
			must[pub] = true
		case "deleting":
			delete(must, pub)
			may[pub] = true
		case "deleted":
			delete(may, pub)
		}
	}
}

func TestTwoProcessesAddAtTheSameTime(t *testing.T) {
	path, s := newVault(t)
	must, may := make(map[bls.PublicKey]bool), make(map[bls.PublicKey]bool)
	_, wait1 := startChanging(t, path, 60)
	_, wait2 := startChanging(t, path, 60)
	v := mustOpen(t, path, s)
	for _, k := range newKeys(t, 60) {
		mustAddAll(t, v, k)
		must[k.Public] = true
	}
	applyChanges(t, wait1(), must, may)
	applyChanges(t, wait2(), must, may)
	if len(must) != 60+40+40 || len(may) != 0 {
		t.Fatalf("the processes made %d keys, %d in doubt: the test is broken", len(must), len(may))
	}
	v = mustOpen(t, path, s)
	for pub := range must {
		if !v.Has(pub) {
			t.Errorf("key %v was acknowledged and is lost", pub)
		}
	}
	if v.Len() != len(must) || v.Recovered() != "" {
		t.Errorf("%d keys, want %d; %s", v.Len(), len(must), v.Recovered())
	}
}

func TestNoAcknowledgedChangeIsLostToKill9(t *testing.T) {
	path, s := newVault(t)
	must, may := make(map[bls.PublicKey]bool), make(map[bls.PublicKey]bool)
	killed := 0
	for round := range 15 {
		process, wait := startChanging(t, path, 1_000_000)
		patience := 1 + round - killed // a crowded machine starts a process late
		time.Sleep(time.Duration(patience*(20+rand.IntN(60))) * time.Millisecond)
		if err := process.Kill(); err != nil {
			t.Fatal(err)
		}
		lines := wait()
		if len(lines) > 0 {
			killed++
		}
		applyChanges(t, lines, must, may)
		v, err := Open(path, s)
		if err != nil {
			t.Fatal(err)
		}
		for pub := range must {
			if !v.Has(pub) {
				t.Errorf("key %v was acknowledged and is lost", pub)
			}
		}
		// At most one addition was not acknowledged, each time.
		if extra := v.Len() - len(must) - len(may); extra > 15 {
			t.Errorf("%d keys that nobody has added", extra)
		}
		if err := v.Close(); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d of 15 processes were killed at work, %d keys", killed, len(must))
	if killed == 0 {
		t.Error("no process was killed at work: the test is broken")
	}
}

// TestKill9LeavesAVaultThatOneOfThePassphrasesOpens kills a process that does
// nothing but change the passphrase.
func TestKill9LeavesAVaultThatOneOfThePassphrasesOpens(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: processes share no memory, so the race detector would see nothing, ten times as slowly")
	}
	path, s := newVault(t)
	keys := newKeys(t, 400) // 44 kB, so that a kill may hit the write
	mustAddAll(t, mustOpen(t, path, s), keys...)
	first, second, err := pair()
	if err != nil {
		t.Fatal(err)
	}
	rounds, atWork, between := 0, 0, 0
	patience := 1 // grows until a process has got to work before it is killed
	for ; rounds < 20 || rounds < 200 && (atWork == 0 || between == 0); rounds++ {
		process, wait := startChanging(t, path, 1_000_000, "VAULT_TEST_REWRAP=1")
		time.Sleep(time.Duration(patience*(20+rand.IntN(60))) * time.Millisecond)
		if err := process.Kill(); err != nil {
			t.Fatal(err)
		}
		if len(wait()) > 0 {
			atWork++
		} else if patience < 256 {
			patience *= 2
		}
		opened := 0
		for _, sealer := range []Sealer{first, second} {
			v, err := Open(path, sealer)
			if errors.Is(err, ErrWrongPassphrase) {
				continue
			}
			if err != nil {
				t.Fatal(err)
			}
			opened++
			assertHolds(t, v, keys)
			if err := v.Close(); err != nil {
				t.Fatal(err)
			}
		}
		if opened != 1 {
			t.Fatalf("%d of the two passphrases open the vault", opened)
		}
		left, err := filepath.Glob(filepath.Join(filepath.Dir(path), ".*.tmp"))
		if err != nil {
			t.Fatal(err)
		}
		for _, temp := range left {
			between++
			if err := os.Remove(temp); err != nil {
				t.Fatal(err)
			}
		}
	}
	t.Logf("%d of %d processes were killed at work, %d with the new file written in part or not yet named", atWork, rounds, between)
	if atWork == 0 || between == 0 {
		t.Error("no process was killed in the middle of a change: the test is broken")
	}
}

// How a write can fail. In each case the change is reported as failed, the vault
// takes no more of them, and the file is as it was.
func TestAChangeThatFailsIsTakenBack(t *testing.T) {
	failed := errors.New("no space left")
	faults := map[string]func(*os.File, []byte) error{
		"failAndNotPersist": func(*os.File, []byte) error { return failed },
		"failAndPersistHalf": func(f *os.File, b []byte) error {
			_, err := f.Write(b[:len(b)/2])
			return errors.Join(err, failed)
		},
		"failButPersist": func(f *os.File, b []byte) error {
			_, err := f.Write(b)
			return errors.Join(err, failed)
		},
	}
	for name, fault := range faults {
		t.Run(name, func(t *testing.T) {
			path, s := newVault(t)
			keys := newKeys(t, 3)
			v := mustOpen(t, path, s)
			mustAddAll(t, v, keys[0])
			before := mustRead(t, path)
			if err := v.Err(); err != nil {
				t.Errorf("before: %v", err)
			}

			healthy := v.append
			v.append = fault
			if err := v.Add(t.Context(), keys[1].Secret, keys[1].Public); !errors.Is(err, failed) {
				t.Errorf("got %v, want %v", err, failed)
			}
			v.append = healthy
			if err := v.Err(); !errors.Is(err, failed) {
				t.Errorf("Err: %v, want %v", err, failed)
			}
			if err := v.Delete(t.Context(), keys[0].Public); !errors.Is(err, failed) {
				t.Errorf("a change after one that failed: %v, want %v", err, failed)
			}
			if got := mustRead(t, path); string(got) != string(before) {
				t.Error("the file has changed")
			}
			assertHolds(t, v, keys[:1])

			again := mustOpen(t, path, s)
			mustAddAll(t, again, keys[2])
			assertHolds(t, again, []Key{keys[0], keys[2]})
		})
	}
}

// TestReadingDoesNotWaitForOtherProcesses: a signer asks its vault what it holds
// once a second, and another process may hold the lock for long.
func TestReadingDoesNotWaitForOtherProcesses(t *testing.T) {
	path, s := newVault(t)
	keys := newKeys(t, 2)
	v := mustOpen(t, path, s)
	mustAddAll(t, v, keys[0])
	lock, err := durable.TryLock(path + ".lock")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	waiting := make(chan error, 2)
	for _, change := range []func() error{
		func() error { return v.Refresh(ctx) },
		func() error { return v.Add(ctx, keys[1].Secret, keys[1].Public) },
	} {
		go func() { waiting <- change() }()
	}
	read := make(chan struct{})
	go func() {
		defer close(read)
		for range 20 { // until both have begun to wait
			if !v.Has(keys[0].Public) || v.Len() != 1 || len(v.List()) != 1 || v.Err() != nil {
				t.Error("the vault has changed without the lock")
			}
			time.Sleep(time.Millisecond)
		}
	}()
	select {
	case <-read:
	case err := <-waiting:
		t.Errorf("a change did not wait: %v", err)
	case <-time.After(5 * time.Second):
		t.Error("reading waits for the lock")
	}
	cancel()
	for range 2 {
		if err := <-waiting; !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want %v", err, context.Canceled)
		}
	}
	<-read
	lock.Unlock()
	mustAddAll(t, v, keys[1])
}
