package kill_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/secure-signer/secure-signer/test/internal/daemon"
	"github.com/secure-signer/secure-signer/test/internal/interop"
)

// importPlaces are the calls by which a key comes in with its history, in their
// order.
var importPlaces = []struct {
	name, call, path string
}{
	{"the write of the history", "pwrite64", ""},
	{"the fsync of the history", "fsync", ""},
	{"the cut of the vault at its end", "ftruncate", "vault"},
	{"the write of the key", "write", "vault"},
	{"the fsync of the key", "fsync", "vault"},
}

// history says that the key has voted from 10 to 20 somewhere else.
const history = `{"metadata":{"interchange_format_version":"5","genesis_validators_root":` +
	`"0x4b363db94e286120d76eb905340fdd4e54bfe9f06bf33ff6cf5ad27f511bfe95"},"data":[{"pubkey":%q,` +
	`"signed_blocks":[{"slot":"640"}],"signed_attestations":[{"source_epoch":"10","target_epoch":"20"}]}]}`

// TestAnImportOnAFailingDiskBringsNoKeyWithoutItsHistory lets one system call of
// an import fail, or kills the daemon there. Whatever is left, the new key never
// signs what its history forbids, and the others go on where they were.
func TestAnImportOnAFailingDiskBringsNoKeyWithoutItsHistory(t *testing.T) {
	needStrace(t)
	old, added := interop.New(0), interop.New(1)
	whole := folder(t, []interop.Key{old})
	hows := []string{kill, eio, enospc}
	for i, place := range importPlaces {
		for j, how := range hows {
			if os.Getenv("SECURE_SIGNER_LONG") == "" && how != kill && 1+i%2 != j {
				continue
			}
			t.Run(place.name+" "+how, func(t *testing.T) {
				t.Parallel()
				fault{place.call, place.path, how, 1}.strikeImport(t, copied(t, whole), old, added)
			})
		}
	}
}

func (f fault) strikeImport(t *testing.T, on daemon.Folder, old, added interop.Key) {
	d := daemon.Serve(t, on, withoutAudit()...)
	w := newWorld([]interop.Key{old, added})
	w.begin()
	w.mustSign(t, d, 0, vote(1, 2, 1))
	w.mustSign(t, d, 0, block(64, 1))
	trace := f.inject(t, d, on.Path)
	answer, err := push(d, on, added)
	if f.how == kill {
		if code := d.Wait(); code != killed {
			t.Errorf("exit %d, want it killed", code)
		}
	} else {
		code := d.Stop()
		if err != nil || code > 1 || strings.Contains(answer, `"imported"`) {
			t.Errorf("the import is answered by %s, %v; exit %d", answer, err, code)
		}
	}
	if !trace.hit(t) {
		t.Error("aimed badly: the call did not come")
	}

	d = daemon.Serve(t, on, unbound...)
	w.remembers(t, d)
	served := true
	for _, a := range []ask{vote(10, 20, 1), vote(9, 21, 1), block(640, 1)} {
		switch got, _ := sign(t, d, added, a); {
		case got.Status == http.StatusNotFound:
			served = false
		case got.Status != http.StatusPreconditionFailed || got.Reason() != "below_floor":
			t.Errorf("%v, which the history of the key forbids: %d %s", a, got.Status, got.Body)
		}
	}
	if answer, err = push(d, on, added); err != nil || !strings.Contains(answer, `"imported"`) && !strings.Contains(answer, `"duplicate"`) {
		t.Errorf("the import once more: %s, %v", answer, err)
	}
	w.mustSign(t, d, 1, vote(20, 21, 1))
	w.judge(t)
	t.Logf("%s; in service after the next start: %t", strings.TrimSpace(answer), served)
}

// push imports a key with its history, and returns the answer.
func push(d *daemon.Daemon, f daemon.Folder, key interop.Key) (answer string, err error) {
	token, err := os.ReadFile(filepath.Join(f.Path, "api-token.txt"))
	if err != nil {
		return "", err
	}
	const password = "a password for tests only"
	body, err := json.Marshal(map[string]any{
		"keystores": []string{key.Keystore(password)}, "passwords": []string{password},
		"slashing_protection": fmt.Sprintf(history, key.Hex()),
	})
	if err != nil {
		return "", err
	}
	request, err := http.NewRequest(http.MethodPost, d.URL+"/eth/v1/keystores", bytes.NewReader(body))
	if err != nil {
		return "", err
	}
	request.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	return string(text), err
}

func sign(t *testing.T, d *daemon.Daemon, key interop.Key, a ask) (daemon.Answer, error) {
	t.Helper()
	got, err := d.Sign(key.Public, a.body())
	if err != nil {
		t.Errorf("%v: %v", a, err)
	}
	return got, err
}

// mustSign asks for what must be signed, and keeps it for the judge.
func (w *world) mustSign(t *testing.T, d *daemon.Daemon, key int, a ask) {
	t.Helper()
	c, err := dial(d)
	if err != nil {
		t.Fatal(err)
	}
	defer c.conn.Close()
	if got, _ := w.try(c, key, a); got.Status != http.StatusOK {
		t.Errorf("%v: %d %s", a, got.Status, got.Body)
	}
}
