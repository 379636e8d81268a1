package main

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"

	"github.com/secure-signer/secure-signer/bls"
	"github.com/secure-signer/secure-signer/eth2"
	"github.com/secure-signer/secure-signer/internal/bench"
	"github.com/secure-signer/secure-signer/policy"
	"github.com/secure-signer/secure-signer/record/memory"
	"github.com/secure-signer/secure-signer/signer"
	"github.com/secure-signer/secure-signer/slashing"
	"github.com/secure-signer/secure-signer/web3signer"
)

// benchSigner starts a signer of that network with these keys, and returns its
// address.
func benchSigner(t *testing.T, network string, keys []*bls.SecretKey) string {
	t.Helper()
	n, ok := eth2.Builtin(network)
	if !ok {
		t.Fatalf("no network %s", network)
	}
	ring, err := bls.OpenKeyring(bls.Config{})
	if err != nil {
		t.Fatal(err)
	}
	guard := slashing.New(memory.New(), slashing.Config{Network: n, Unbounded: true})
	for _, sk := range keys {
		if err := guard.Enroll(t.Context(), sk.PublicKey(), slashing.ArrivedNoFloor); err != nil {
			t.Fatal(err)
		}
		if _, err := ring.Add(sk.PublicKey(), sk); err != nil {
			t.Fatal(err)
		}
	}
	h := web3signer.New(web3signer.Config{
		Signer:     &signer.Signer{Network: n, Keys: ring, Guard: guard, Policy: policy.Duties()},
		PublicKeys: ring.PublicKeys, Log: slog.New(slog.DiscardHandler),
	})
	h.Ready()
	server := httptest.NewServer(h)
	t.Cleanup(func() {
		server.Close()
		if err := ring.Close(); err != nil {
			t.Error(err)
		}
	})
	return server.URL
}

func benchKeys(t *testing.T, n int) []*bls.SecretKey {
	t.Helper()
	keys := make([]*bls.SecretKey, n)
	for i := range keys {
		var err error
		if keys[i], err = bls.GenerateKey(); err != nil {
			t.Fatal(err)
		}
	}
	return keys
}

func runBench(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = run(context.WithoutCancel(t.Context()), append([]string{"bench"}, args...), io.NopCloser(strings.NewReader("")), &out, &errs)
	return code, out.String(), errs.String()
}

func TestBenchHasEveryKindSignedOnEveryNetwork(t *testing.T) {
	keys := benchKeys(t, 20)
	kinds := slices.DeleteFunc(bench.Kinds(), func(k bench.Kind) bool { return k == bench.DistinctAttestation })
	var mix []string
	for _, k := range kinds {
		mix = append(mix, string(k))
	}
	for _, network := range eth2.BuiltinNames() {
		for _, epoch := range []string{"1", "2000000"} { // of the first fork and of the last
			code, stdout, stderr := runBench(t, "--url", benchSigner(t, network, keys), "--network", network, "--from-epoch", epoch,
				"--mix", strings.Join(mix, ","), "--burst", "18", "--bursts", "2", "--json")
			var report benchReport
			if err := json.Unmarshal([]byte(stdout), &report); err != nil || code != 0 {
				t.Fatalf("%s: exit %d, %v\n%s%s", network, code, err, stdout, stderr)
			}
			round := report.Rounds[0]
			for _, k := range kinds {
				if got := round.Kinds[k]; got.Signed != 4 || len(got.Errors) != 0 {
					t.Errorf("%s in epoch %s: %s: %d signed, errors %s", network, epoch, k, got.Signed, got.ErrorText())
				}
			}
		}
	}
}

// Messages that no rule orders are asked for at once, however few keys there are.
func TestBenchBlamesFewKeysOnlyWhereTheyMatter(t *testing.T) {
	signer := benchSigner(t, "hoodi", benchKeys(t, 1))
	for mix, want := range map[string]bool{"randao,selection-proof": false, "randao,block": true} {
		code, stdout, stderr := runBench(t, "--url", signer, "--connections", "2", "--mix", mix, "--duration", "50ms", "--warm-up", "0s")
		if code != 0 {
			t.Fatalf("%s: exit %d\n%s%s", mix, code, stdout, stderr)
		}
		if got := strings.Contains(stdout, "1 key cannot keep 2 connections busy"); got != want {
			t.Errorf("%s: the note is there: %t, want %t\n%s", mix, got, want, stdout)
		}
	}
}

func TestBenchComparesTwoSignersAndSaysWhatItDid(t *testing.T) {
	keys := benchKeys(t, 4)
	first, second := benchSigner(t, "hoodi", keys), benchSigner(t, "hoodi", keys)
	code, stdout, stderr := runBench(t, "--url", first, "--against", second, "--rounds", "2", "--connections", "8",
		"--mix", "attestation=3,block=1", "--duration", "100ms", "--warm-up", "50ms")
	if code != 0 {
		t.Fatalf("exit %d\n%s%s", code, stdout, stderr)
	}
	for _, want := range []string{
		"mix      attestation=3,block=1\n",
		"keys     4, on hoodi in epochs from 1 (deneb)\n",
		"load     closed loop of 8 connections, 0.1 s a round; warmed up by 0.05 s, not counted\n",
		"signers  " + first + " and " + second + ", with the same requests; who goes first takes turns\n",
		"note     a key votes or proposes only once its last answer is there: 4 keys cannot keep 8 connections busy\n",
		"Signatures a second, first over second:",
	} {
		if !strings.Contains(stdout, want) {
			t.Errorf("lacks %q:\n%s", want, stdout)
		}
	}
	var order []string
	for line := range strings.Lines(stdout) {
		if fields := strings.Fields(line); strings.HasPrefix(line, "http") && fields[1] == "all" {
			order = append(order, fields[0])
		}
	}
	if want := []string{first, second, second, first}; !slices.Equal(order, want) {
		t.Errorf("the rounds were on %v, want %v", order, want)
	}
}

func TestBenchRefusesWhatWouldNotMeasure(t *testing.T) {
	keys := benchKeys(t, 2)
	url, other := benchSigner(t, "hoodi", keys), benchSigner(t, "hoodi", keys[:1])
	tests := []struct {
		name string
		args []string
		code int
		says string
	}{
		{"an unknown kind", []string{"--mix", "exit"}, 2, `--mix: "exit" is no kind: use some of attestation,`},
		{"an unknown network", []string{"--network", "goerli"}, 2, "use one of mainnet"},
		{"no connections", []string{"--connections", "0"}, 2, "more than nothing"},
		{"less than nothing", []string{"--rate", "-1"}, 2, "not less than nothing"},
		{"two loads at once", []string{"--rate", "1", "--burst", "1"}, 2, "use one of --burst and --rate"},
		{"more at once than there are keys", []string{"--burst", "3"}, 1, "offers 2 keys, fewer than --burst: make more with"},
		{"signers with other keys", []string{"--against", other}, 1, "both signers need the same keys"},
		{"no signer", []string{"--against", "http://127.0.0.1:1"}, 1, "no signer answers at http://127.0.0.1:1: start it"},
		{"another network than the signer's", []string{"--network", "mainnet", "--duration", "10ms"}, 1, "does --network fit"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			code, stdout, stderr := runBench(t, append(test.args, "--url", url)...)
			if code != test.code || !strings.Contains(stderr, test.says) {
				t.Errorf("exit %d, want %d with %q\n%s%s", code, test.code, test.says, stdout, stderr)
			}
		})
	}
}
