package http_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/secure-signer/secure-signer/bls"
	"github.com/secure-signer/secure-signer/eth2"
	"github.com/secure-signer/secure-signer/record/journal"
	"github.com/secure-signer/secure-signer/slashing"
	"github.com/secure-signer/secure-signer/test/internal/daemon"
	"github.com/secure-signer/secure-signer/vault"
)

// TestManyKeysAreListedAllOrNotAtAll starts the daemon on a folder of many keys
// and asks for the list from the first moment on: a DVT node stops if a key is
// missing from it. It also measures; the figures of docs/performance.md are those
// of
//
//	SECURE_SIGNER_LONG=1 go test ./http -run TestManyKeys -v -timeout 30m
func TestManyKeysAreListedAllOrNotAtAll(t *testing.T) {
	sizes, starts := []int{5_000}, 1
	if os.Getenv("SECURE_SIGNER_LONG") != "" {
		sizes, starts = []int{0, 10_000, 100_000}, 3
	}
	for _, n := range sizes {
		t.Run(strconv.Itoa(n), func(t *testing.T) {
			f := initMainnet(t)
			pubs := holdMany(t, f, n)
			for range starts {
				measureStart(t, f, pubs)
			}
		})
	}
}

// A start is what a watcher saw while a daemon started.
type start struct {
	listening, refused, listed time.Duration // since the process was started; refused is the last 503
	refusals                   int
	list                       []string
}

// measureStart starts the daemon, checks what it lists, and prints how long it
// took and how much memory it has, at rest and after some work.
func measureStart(t *testing.T, f daemon.Folder, pubs []bls.PublicKey) {
	t.Helper()
	port := strconv.Itoa(daemon.FreePort(t))
	began := time.Now()
	watched := make(chan start, 1)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() { watched <- watch(ctx, "http://127.0.0.1:"+port, began) }()
	d := daemon.Serve(t, f, append([]string{"--http-listen-port", port}, unbound...)...)
	ready := time.Since(began)
	s := <-watched

	if len(s.list) != len(pubs) || !slices.IsSorted(s.list) {
		t.Errorf("the first list has %d keys of %d, or is not sorted", len(s.list), len(pubs))
	}
	t.Logf("%d keys: listening after %v, ready after %v (%d answers of 503 until %v); memory %s",
		len(pubs), s.listening.Round(time.Millisecond), ready.Round(time.Millisecond), s.refusals, s.refused.Round(time.Millisecond), memory(t, d))
	if len(pubs) > 0 && s.refusals == 0 {
		t.Error("it listens only when all keys are loaded: nobody saw a 503")
	}
	const some = 500
	eachKey(pubs[:min(some, len(pubs))], func(pub bls.PublicKey) {
		answer, err := d.Sign(pub, []byte(attestation(3, 4, 1)))
		if err != nil || answer.Status != http.StatusOK {
			t.Errorf("%v: %d %s, %v", pub, answer.Status, answer.Body, err)
		}
	})
	for range 3 {
		if list := d.Get(t, "/api/v1/eth2/publicKeys"); len(list) != 2+max(0, len(pubs)*101-1) {
			t.Errorf("a list of %d bytes for %d keys", len(list), len(pubs))
		}
	}
	t.Logf("%d keys: after %d have signed at once and all were listed four times: memory %s", len(pubs), min(some, len(pubs)), memory(t, d))
	if kilobytes := field(t, d, "VmRSS"); kilobytes > maxMemory {
		t.Errorf("%d keys take %d kB of memory, more than %d", len(pubs), kilobytes, maxMemory)
	}
	if code := d.Stop(); code != 0 {
		t.Errorf("exit %d\n%s", code, ending(d))
	}
}

// watch asks for the list until it gets one.
func watch(ctx context.Context, url string, began time.Time) (s start) {
	client := &http.Client{Timeout: 10 * time.Second}
	for ctx.Err() == nil {
		response, err := client.Get(url + "/api/v1/eth2/publicKeys")
		if err != nil {
			time.Sleep(time.Millisecond)
			continue
		}
		if s.listening == 0 {
			s.listening = time.Since(began)
		}
		if response.StatusCode == http.StatusServiceUnavailable {
			s.refusals++
			s.refused = time.Since(began)
		} else if err := json.NewDecoder(response.Body).Decode(&s.list); err == nil {
			s.listed = time.Since(began)
			response.Body.Close()
			return s
		}
		response.Body.Close()
	}
	return s
}

// holdMany puts n keys into the folder, as generated ones are, by the packages that
// the daemon does it with: over HTTP each would wait for the disk alone.
func holdMany(t *testing.T, f daemon.Folder, n int) []bls.PublicKey {
	t.Helper()
	v, err := vault.Open(filepath.Join(f.Path, "vault"), vault.Passphrase(read(t, f.Passphrase)))
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	store, err := journal.Open(filepath.Join(f.Path, "journal"), v.DeriveKey("secure-signer journal v1"))
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	network, _ := eth2.Builtin("mainnet")
	guard := slashing.New(store, slashing.Config{Network: network, Unbounded: true})

	var pubs []bls.PublicKey
	for len(pubs) < n {
		batch := make([]vault.Key, 0, 1000)
		for range min(cap(batch), n-len(pubs)) {
			sk, err := bls.GenerateKey()
			if err != nil {
				t.Fatal(err)
			}
			batch = append(batch, vault.Key{Public: sk.PublicKey(), Secret: sk})
			pubs = append(pubs, batch[len(batch)-1].Public)
		}
		if err := v.AddAll(t.Context(), batch); err != nil {
			t.Fatal(err)
		}
		for _, k := range batch {
			k.Secret.Wipe()
		}
	}
	if err := guard.EnrollAt(t.Context(), pubs, slashing.Floors{}); err != nil {
		t.Fatal(err)
	}
	for _, m := range []eth2.Message{
		&eth2.Block{Header: &eth2.BeaconBlockHeader{Slot: 3}},
		&eth2.Attestation{Data: eth2.AttestationData{Source: eth2.Checkpoint{Epoch: 1}, Target: eth2.Checkpoint{Epoch: 2}}},
	} {
		eachKey(pubs, func(pub bls.PublicKey) {
			if err := guard.Record(t.Context(), pub, m, eth2.Root{1}); err != nil {
				t.Error(err)
			}
		})
	}
	floors := slashing.Floors{HasSlot: true, Slot: 1, HasSource: true, HasTarget: true, Target: 1}
	if err := guard.Raise(t.Context(), pubs, floors); err != nil {
		t.Fatal(err)
	}
	return pubs
}

// eachKey works on many keys at a time.
func eachKey(pubs []bls.PublicKey, work func(bls.PublicKey)) {
	var workers sync.WaitGroup
	todo := make(chan bls.PublicKey)
	for range 256 {
		workers.Go(func() {
			for pub := range todo {
				work(pub)
			}
		})
	}
	for _, pub := range pubs {
		todo <- pub
	}
	close(todo)
	workers.Wait()
}

// maxMemory is what a daemon of 100,000 keys may have, in kB.
const maxMemory = 150_000

// memory is what the kernel says of the process: now, and at the most.
func memory(t *testing.T, d *daemon.Daemon) string {
	t.Helper()
	return fmt.Sprintf("%d MB, at most %d MB", field(t, d, "VmRSS")/1000, field(t, d, "VmHWM")/1000)
}

// field returns a field of /proc/PID/status, in kB.
func field(t *testing.T, d *daemon.Daemon, name string) int {
	t.Helper()
	for line := range strings.Lines(string(read(t, fmt.Sprintf("/proc/%d/status", d.PID())))) {
		if value, ok := strings.CutPrefix(line, name+":"); ok {
			n, err := strconv.Atoi(strings.TrimSuffix(strings.TrimSpace(value), " kB"))
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
	}
	t.Fatalf("no %s", name)
	return 0
}
