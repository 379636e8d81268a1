package platform

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/secure-signer/secure-signer/test/internal/daemon"
	"github.com/secure-signer/secure-signer/test/internal/interop"
)

// A takeover is a folder with a key that the old version serves, and three release
// managers of whom two must sign.
type takeover struct {
	folder
	dir      string
	old      *daemon.Daemon
	managers []string // files of keys
	testRoot string
}

func newTakeover(t *testing.T) *takeover {
	t.Helper()
	w := &takeover{dir: t.TempDir()}
	var public []string
	for i := range 4 { // the last one is a stranger
		file := filepath.Join(w.dir, fmt.Sprintf("manager-%d.pem", i))
		public = append(public, strings.TrimSpace(must(t, daemon.Signerctl(t), "release", "new-key", file)))
		w.managers = append(w.managers, file)
	}
	w.folder = newFolder(t, "--release-threshold", "2", "--release-key", strings.Join(public[:3], ","))
	w.old = w.serve(t, "")
	w.old.Import(t, interop.Keys(1), "")
	signs(t, w.old, 100)
	root := regexp.MustCompile(`test root ([0-9a-f]{64})`).FindStringSubmatch(w.old.Log())
	if root == nil {
		t.Fatalf("the log does not name the test root:\n%s", w.old.Log())
	}
	w.testRoot = root[1]
	return w
}

// policy writes one for a program.
func (w *takeover) policy(t *testing.T, name string, measurement [32]byte) string {
	t.Helper()
	text := fmt.Sprintf(`{"accept":[{"kind":"dev","measurements":{"measurement":"%x"}}],"roots":[%q],"tcb":["Unrated"],"max_age":"10m"}`, measurement, w.testRoot)
	return write(t, filepath.Join(w.dir, name), text)
}

func measure(t *testing.T, program string) [32]byte {
	t.Helper()
	return sha256.Sum256([]byte(read(t, program)))
}

// step has managers sign a step.
func (w *takeover) step(t *testing.T, name string, from, to [32]byte, managers ...int) string {
	t.Helper()
	file := filepath.Join(w.dir, name)
	for i, m := range managers {
		args := []string{"release", "sign-step", file, "--key", w.managers[m]}
		if i == 0 {
			args = append(args, "--from", w.policy(t, "from.json", from), "--to", w.policy(t, "to.json", to))
		}
		must(t, daemon.Signerctl(t), args...)
	}
	return file
}

func (w *takeover) flags(step, from string) []string {
	return w.folder.flags("hand-over", "--from", from, "--step", step)
}

func TestTheNextVersionTakesAFolderOver(t *testing.T) {
	w := newTakeover(t)
	before, after := measure(t, daemon.Program(t)), measure(t, next.program(t))
	right := w.step(t, "right.json", before, after, 0, 2)
	w.refuseOthers(t, before, after)

	must(t, next.program(t), w.flags(right, w.old.URL)...)
	if code := w.old.Wait(); code != 0 {
		t.Errorf("the old version ends with exit %d\n%s", code, w.old.Log())
	}
	if out := must(t, next.program(t), w.flags(right, w.old.URL)...); !strings.Contains(out, "already") {
		t.Errorf("a second time it says:\n%s", out)
	}
	refuses(t, "another program", daemon.Program(t), w.folder.flags("serve")...)
	d := w.serve(t, next.program(t))
	remembers(t, d, 100)
	signs(t, d, 200)

	// The way back is another step, which nobody has signed.
	refuses(t, "step", daemon.Program(t), w.flags(right, d.URL)...)
	signs(t, d, 201)
}

// refuseOthers tries every step but the right one. The old version goes on signing.
func (w *takeover) refuseOthers(t *testing.T, before, after [32]byte) {
	t.Helper()
	other := sha256.Sum256([]byte("another program"))
	one := w.step(t, "one.json", before, after, 0)
	tests := []struct {
		name, step string
		says       string
	}{
		{"one has signed", one, "1 of its signatures"},
		{"one has signed twice", twice(t, one), "1 of its signatures"},
		{"a stranger has signed", w.step(t, "stranger.json", before, after, 1, 3), "1 of its signatures"},
		{"the way back", w.step(t, "back.json", after, before, 0, 1), "the step is to another program than this one"},
		{"to another program", w.step(t, "to-other.json", before, other, 0, 1), "the step is to another program than this one"},
		{"from another program", w.step(t, "from-other.json", other, after, 0, 1), "the step is from another program"},
	}
	for i, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			refuses(t, test.says, next.program(t), w.flags(test.step, w.old.URL)...)
			signs(t, w.old, uint64(101+i))
		})
	}
}

// twice repeats the only signature of a step.
func twice(t *testing.T, step string) string {
	t.Helper()
	var s struct {
		Statement  json.RawMessage   `json:"statement"`
		Signatures []json.RawMessage `json:"signatures"`
	}
	if err := json.Unmarshal([]byte(read(t, step)), &s); err != nil || len(s.Signatures) != 1 {
		t.Fatalf("%v, %d signatures", err, len(s.Signatures))
	}
	s.Signatures = append(s.Signatures, s.Signatures[0])
	text, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	return write(t, step+".twice", string(text))
}

// A thief stands between the two, and keeps or changes what passes.
type thief struct {
	old   string
	lose  bool   // the answer
	offer []byte // seen last
	token string
}

func (s *thief) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	status, answer := s.pass(r.URL.Path, r.Header.Get("Authorization"), body)
	if !strings.HasSuffix(r.URL.Path, "/nonce") {
		s.offer, s.token = body, r.Header.Get("Authorization")
		if s.lose {
			panic(http.ErrAbortHandler)
		}
	}
	w.WriteHeader(status)
	_, _ = w.Write(answer)
}

func (s *thief) pass(path, token string, body []byte) (int, []byte) {
	r, err := http.NewRequest(http.MethodPost, s.old+path, bytes.NewReader(body))
	if err != nil {
		panic(err)
	}
	r.Header.Set("Authorization", token)
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		return http.StatusBadGateway, nil
	}
	defer response.Body.Close()
	answer, _ := io.ReadAll(response.Body)
	return response.StatusCode, answer
}

// TestAnAnswerThatIsLostLosesNothing: the old version has stopped, opens the folder
// again with what it has signed, and hands over at the next try.
func TestAnAnswerThatIsLostLosesNothing(t *testing.T) {
	w := newTakeover(t)
	right := w.step(t, "right.json", measure(t, daemon.Program(t)), measure(t, next.program(t)), 0, 1)
	between := &thief{old: w.old.URL, lose: true}
	proxy := httptest.NewServer(between)
	defer proxy.Close()
	refuses(t, "ask the old program", next.program(t), w.flags(right, proxy.URL)...)
	if code := w.old.Wait(); code != 0 {
		t.Errorf("the old version ends with exit %d\n%s", code, w.old.Log())
	}
	refuses(t, "another program", next.program(t), w.folder.flags("serve")...)

	w.old = w.serve(t, "")
	remembers(t, w.old, 100)
	signs(t, w.old, 101)
	if status, answer := (&thief{old: w.old.URL}).pass("/signer/v1/hand-over", between.token, between.offer); status != http.StatusForbidden || !bytes.Contains(answer, []byte("nonce")) {
		t.Errorf("the offer that was seen, replayed: %d %s", status, answer)
	}
	signs(t, w.old, 102)
	must(t, next.program(t), w.flags(right, w.old.URL)...)
	w.old.Wait()
	d := w.serve(t, next.program(t))
	remembers(t, d, 102)
	signs(t, d, 103)
}

// TestACopyOfTheFolderSignsNothingThatItHasForgotten: an image takes over a copy of
// the old one's disk, which lacks what was signed since.
func TestACopyOfTheFolderSignsNothingThatItHasForgotten(t *testing.T) {
	w := newTakeover(t)
	right := w.step(t, "right.json", measure(t, daemon.Program(t)), measure(t, next.program(t)), 0, 1)
	copied := folder{filepath.Join(t.TempDir(), "data"), w.root}
	if err := os.CopyFS(copied.path, os.DirFS(w.path)); err != nil {
		t.Fatal(err)
	}
	signs(t, w.old, 101)
	out := must(t, next.program(t), copied.flags("hand-over", "--from", w.old.URL, "--step", right)...)
	if !strings.Contains(out, "older copy") {
		t.Errorf("it does not say that the folder is an older copy:\n%s", out)
	}
	d := copied.serve(t, next.program(t))
	for _, target := range []uint64{101, 200} {
		if status, reason := vote(t, d, target, 2); status != 412 || reason != "below_floor" {
			t.Errorf("a vote for epoch %d: %d %s, want 412 below_floor", target, status, reason)
		}
	}
}

// TestTheSettingsCannotChangeOnTheWay: whoever owns the machine edits config.yaml
// before the next version reads it.
func TestTheSettingsCannotChangeOnTheWay(t *testing.T) {
	w := newTakeover(t)
	right := w.step(t, "right.json", measure(t, daemon.Program(t)), measure(t, next.program(t)), 0, 1)
	config := filepath.Join(w.path, "config.yaml")
	whole := read(t, config)
	write(t, config, strings.Replace(whole, "threshold: 2", "threshold: 1", 1))
	refuses(t, "was config.yaml changed?", next.program(t), w.flags(right, w.old.URL)...)
	w.old.Wait()
	write(t, config, whole)
	remembers(t, w.serve(t, ""), 100)
}

// TestOnlyWhoHasTheTokenAsks for a hand-over at all.
func TestOnlyWhoHasTheTokenAsks(t *testing.T) {
	w := newTakeover(t)
	for _, route := range []string{"/signer/v1/hand-over/nonce", "/signer/v1/hand-over"} {
		if status, answer := (&thief{old: w.old.URL}).pass(route, "", []byte("{}")); status != http.StatusUnauthorized {
			t.Errorf("%s: %d %s", route, status, answer)
		}
	}
	if err := os.WriteFile(filepath.Join(w.path, "api-token.txt"), []byte("another\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	right := w.step(t, "right.json", measure(t, daemon.Program(t)), measure(t, next.program(t)), 0, 1)
	refuses(t, "403", next.program(t), w.flags(right, w.old.URL)...)
	signs(t, w.old, 101)
}
