package http_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/secure-signer/secure-signer/test/internal/daemon"
	"github.com/secure-signer/secure-signer/test/internal/interop"
)

// manage sends a body to a management route and returns the answer of a 200.
func manage(t *testing.T, d *daemon.Daemon, token, method, path string, body io.Reader) io.ReadCloser {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, d.URL+path, body)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != http.StatusOK {
		text, err := io.ReadAll(resp.Body)
		t.Fatalf("%s %s: %d %s %v", method, path, resp.StatusCode, text, err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	return resp.Body
}

// TestHistoryGoesFromOneSignerToTheOther moves a key as an operator does who sends
// the history ahead: what the first has signed the second refuses, whenever its
// keystore comes.
func TestHistoryGoesFromOneSignerToTheOther(t *testing.T) {
	t.Parallel()
	key := interop.New(0)
	from, to := initMainnet(t), initMainnet(t)
	first := serveKeys(t, from, []interop.Key{key}, unbound...)
	mustSign(t, first, key, attestation(5, 6, 1))
	mustSign(t, first, key, block(200, 1))
	if status, _ := deleted(t, first, key); status != "deleted" {
		t.Fatalf("status %q", status)
	}
	history, err := io.ReadAll(manage(t, first, token(t, from), "GET", "/signer/v1/slashing?pubkey="+key.Hex(), http.NoBody))
	if err != nil {
		t.Fatal(err)
	}

	second := daemon.Serve(t, to, unbound...)
	manage(t, second, token(t, to), "POST", "/signer/v1/slashing", bytes.NewReader(history))
	mustRefuse(t, second, key, attestation(6, 7, 1), http.StatusNotFound, "key_not_found")
	if code := second.Stop(); code != 0 {
		t.Fatalf("exit %d", code)
	}
	second = daemon.Serve(t, to, unbound...)
	second.Import(t, []interop.Key{key}, "")
	mustRefuse(t, second, key, attestation(5, 6, 1), http.StatusPreconditionFailed, "below_floor")
	mustRefuse(t, second, key, attestation(4, 7, 1), http.StatusPreconditionFailed, "below_floor")
	mustRefuse(t, second, key, block(200, 1), http.StatusPreconditionFailed, "below_floor")
	mustSign(t, second, key, attestation(5, 7, 1))
	mustSign(t, second, key, block(201, 1))
}

func TestRaisedFloorsOutliveARestart(t *testing.T) {
	t.Parallel()
	key := interop.New(0)
	f := initMainnet(t)
	d := serveKeys(t, f, []interop.Key{key}, unbound...)
	mustSign(t, d, key, attestation(5, 6, 1))
	manage(t, d, token(t, f), "POST", "/signer/v1/slashing/raise", strings.NewReader(`{"slot":"300","source_epoch":"7","target_epoch":"9"}`))
	for _, start := range []string{"before", "after"} {
		if start == "after" {
			d.Kill()
			d = daemon.Serve(t, f, unbound...)
		}
		mustRefuse(t, d, key, attestation(5, 6, 1), http.StatusPreconditionFailed, "below_floor")
		mustRefuse(t, d, key, attestation(8, 9, 1), http.StatusPreconditionFailed, "below_floor")
		mustRefuse(t, d, key, attestation(6, 10, 1), http.StatusPreconditionFailed, "below_floor")
		mustRefuse(t, d, key, block(300, 1), http.StatusPreconditionFailed, "below_floor")
	}
	mustSign(t, d, key, attestation(7, 10, 1))
	mustSign(t, d, key, block(301, 1))
}

func TestASignerStopsAtItsHighWatermark(t *testing.T) {
	t.Parallel()
	key := interop.New(0)
	f := initMainnet(t)
	for _, tt := range []struct {
		flags []string
		want  string
	}{
		{nil, `{}`},
		{[]string{"--high-watermark-slot", "320"}, `{"epoch":"10","slot":"320"}`},
		{[]string{"--high-watermark-epoch", "0", "--high-watermark-slot", "18446744073709551615"}, `{"epoch":"0","slot":"18446744073709551615"}`},
	} {
		d := daemon.Serve(t, f, append(tt.flags, unbound...)...)
		if got := strings.TrimSpace(string(d.Get(t, "/api/v1/eth2/highWatermark"))); got != tt.want {
			t.Errorf("%v: %s, want %s", tt.flags, got, tt.want)
		}
		d.Kill()
	}

	d := serveKeys(t, f, []interop.Key{key}, append([]string{"--high-watermark-epoch", "10"}, unbound...)...)
	if got := strings.TrimSpace(string(d.Get(t, "/api/v1/eth2/highWatermark"))); got != `{"epoch":"10","slot":"320"}` {
		t.Errorf("an epoch alone: %s", got)
	}
	mustSign(t, d, key, attestation(8, 9, 1))
	mustSign(t, d, key, block(319, 1))
	mustRefuse(t, d, key, attestation(8, 10, 1), http.StatusPreconditionFailed, "high_watermark")
	mustRefuse(t, d, key, block(320, 1), http.StatusPreconditionFailed, "high_watermark")
	mustSign(t, d, key, randao(10)) // nothing that could be slashed
	d.Kill()
	d = daemon.Serve(t, f, unbound...)
	mustSign(t, d, key, attestation(8, 10, 2))
	mustSign(t, d, key, block(320, 2))

	for _, wrong := range []string{"-1", "ten", "18446744073709551616", ""} {
		if code, _, stderr := daemon.Run(t, f.ServeArgs("--high-watermark-epoch", wrong)...); code != 2 || !strings.Contains(stderr, "high-watermark-epoch") {
			t.Errorf("%q: exit %d %s", wrong, code, stderr)
		}
	}
}

// manyKeys is how many an operator of the greatest size has.
const manyKeys = 100_000

// TestAHistoryOfManyKeysIsAStream imports and exports 100,000 keys with a signer
// whose memory is watched.
func TestAHistoryOfManyKeysIsAStream(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("memory is read from /proc")
	}
	f := initMainnet(t)
	d := daemon.Serve(t, f, unbound...)
	forgetPeak(t, d) // of the passphrase's KDF
	began := time.Now()
	body, in := io.Pipe()
	go func() {
		w := bufio.NewWriterSize(in, 64<<10)
		writeManyKeys(w)
		in.CloseWithError(w.Flush())
	}()
	raised := occurrences(t, manage(t, d, token(t, f), "POST", "/signer/v1/slashing", body), `"status":"waiting"`)
	imported := peak(t, d)
	t.Logf("import: %d keys in %v, at most %d MiB", raised, time.Since(began).Round(time.Millisecond), imported>>20)

	forgetPeak(t, d)
	began = time.Now()
	exported := occurrences(t, manage(t, d, token(t, f), "GET", "/signer/v1/slashing", http.NoBody), `"target_epoch":"3"`)
	t.Logf("export: %d keys in %v, at most %d MiB", exported, time.Since(began).Round(time.Millisecond), peak(t, d)>>20)
	most := max(imported, peak(t, d))

	forgetPeak(t, d)
	began = time.Now()
	listed := occurrences(t, manage(t, d, token(t, f), "GET", "/signer/v1/slashing/records", http.NoBody), `"held":false`)
	t.Logf("list: %d keys in %v, at most %d MiB", listed, time.Since(began).Round(time.Millisecond), peak(t, d)>>20)
	if raised != manyKeys || exported != manyKeys || listed != manyKeys {
		t.Errorf("%d keys imported, %d exported, %d listed", raised, exported, listed)
	}
	if most = max(most, peak(t, d)); most > 200<<20 {
		t.Errorf("it took %d MiB", most>>20)
	}
}

// writeManyKeys writes 100,000 keys with four attestations each, some 30 MB.
func writeManyKeys(w io.Writer) {
	fmt.Fprintf(w, `{"metadata":{"interchange_format_version":"5","genesis_validators_root":%q},"data":[`, mainnetRoot)
	for i := range manyKeys {
		if i > 0 {
			fmt.Fprint(w, ",")
		}
		fmt.Fprintf(w, `{"pubkey":"0x%096x","signed_blocks":[],"signed_attestations":[`, i)
		for target := range 4 {
			if target > 0 {
				fmt.Fprint(w, ",")
			}
			fmt.Fprintf(w, `{"source_epoch":"0","target_epoch":"%d"}`, target)
		}
		fmt.Fprint(w, "]}")
	}
	fmt.Fprint(w, "]}")
}

// occurrences counts a text in an answer that is never in memory as a whole.
func occurrences(t *testing.T, answer io.Reader, text string) (n int) {
	t.Helper()
	lines := bufio.NewReader(answer)
	for {
		piece, err := lines.ReadString('}')
		n += strings.Count(piece, text)
		if err == io.EOF {
			return n
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// forgetPeak begins anew to measure the greatest memory of a daemon.
func forgetPeak(t *testing.T, d *daemon.Daemon) {
	t.Helper()
	if err := os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", d.PID()), []byte("5"), 0); err != nil {
		t.Skipf("the kernel does not measure memory anew: %v", err)
	}
}

// peak is the greatest resident memory since then, in bytes.
func peak(t *testing.T, d *daemon.Daemon) int {
	t.Helper()
	status := read(t, fmt.Sprintf("/proc/%d/status", d.PID()))
	m := regexp.MustCompile(`VmHWM:\s+(\d+) kB`).FindSubmatch(status)
	if m == nil {
		t.Fatalf("no VmHWM in %s", status)
	}
	kib, err := strconv.Atoi(string(m[1]))
	if err != nil {
		t.Fatal(err)
	}
	return kib << 10
}
