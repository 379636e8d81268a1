package packaging_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/secure-signer/secure-signer/test/internal/daemon"
)

// user is that of the image.
const user = 10000

// TestTheImageServes builds the image and runs it without an engine, with the
// settings of the compose example: it makes a data folder, serves, and answers to the
// names that it was given alone.
func TestTheImageServes(t *testing.T) {
	if testing.Short() {
		t.Skip("builds an image; the race detector would see nothing of it")
	}
	if _, err := exec.LookPath("buildah"); err != nil {
		t.Skip("apt-get install buildah")
	}
	if os.Getuid() != 0 {
		t.Skip("only root runs an image without an engine")
	}
	b := storage(t)
	build := exec.Command("scripts/image.sh", "secure-signer:test")
	build.Dir, build.Env = root(t), append(b, "VERSION=v0.0.0-image")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("image.sh: %v\n%s", err, out)
	}
	container := strings.TrimSpace(buildah(t, b, "from", "--pull-never", "localhost/secure-signer:test"))

	data, secrets := owned(t, "data"), owned(t, "secrets")
	passphrase := filepath.Join(secrets, "passphrase")
	if err := os.WriteFile(passphrase, []byte("a passphrase for tests only"), 0o400); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(passphrase, user, user); err != nil {
		t.Fatal(err)
	}
	port := strconv.Itoa(daemon.FreePort(t))
	run := []string{"run", "-v", data + ":/data", "-v", secrets + ":/run/secrets"}
	for name, value := range example(t) {
		run = append(run, "-e", name+"="+value)
	}
	run = append(run, "-e", "SECURE_SIGNER_METRICS_LISTEN_PORT=0", "-e", "SECURE_SIGNER_MANAGEMENT_LISTEN_HOST=off", "-e", "SECURE_SIGNER_HTTP_LISTEN_PORT="+port, container, "--", "/secure-signer")
	buildah(t, b, append(run, "init", "--data-dir", "/data", "--network", "hoodi")...)

	var said bytes.Buffer
	serve := exec.Command("buildah", append(run, "serve", "--data-dir", "/data")...)
	serve.Env, serve.Stdout, serve.Stderr = b, &said, &said
	if err := serve.Start(); err != nil {
		t.Fatal(err)
	}
	told := answers(port, "signer:"+port)
	if got := answers(port, "elsewhere"); told && got {
		t.Error("the signer answers to a name that it was not given")
	}
	if err := serve.Process.Signal(os.Interrupt); err != nil { // at which buildah, other than an engine, kills
		t.Error(err)
	}
	if err := serve.Wait(); !told {
		t.Errorf("the container does not answer: %v\n%s", err, &said)
	}
}

// storage is the environment of a buildah that keeps everything in a folder of the
// test's and needs no more than a chroot.
func storage(t *testing.T) []string {
	t.Helper()
	dir := t.TempDir()
	conf := filepath.Join(dir, "storage.conf")
	text := fmt.Sprintf("[storage]\ndriver = \"vfs\"\ngraphroot = %q\nrunroot = %q\n", filepath.Join(dir, "graph"), filepath.Join(dir, "run"))
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return append(os.Environ(), "CONTAINERS_STORAGE_CONF="+conf, "STORAGE_DRIVER=vfs", "BUILDAH_ISOLATION=chroot")
}

func buildah(t *testing.T, env []string, args ...string) string {
	t.Helper()
	cmd := exec.Command("buildah", args...)
	cmd.Env = env
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("buildah %q: %v\n%s%s", args, err, out, &stderr)
	}
	return string(out)
}

// example returns the variables of the compose example.
func example(t *testing.T) map[string]string {
	t.Helper()
	text := string(read(t, filepath.Join(root(t), "packaging", "image", "compose.yaml")))
	env := map[string]string{}
	for _, line := range regexp.MustCompile(`(?m)^      (SECURE_SIGNER_\w+): (.+)$`).FindAllStringSubmatch(text, -1) {
		env[line[1]] = line[2]
	}
	if env["SECURE_SIGNER_PASSPHRASE_FILE"] == "" {
		t.Fatal("the compose example names no passphrase")
	}
	return env
}

func owned(t *testing.T, name string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), name)
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(dir, user, user); err != nil {
		t.Fatal(err)
	}
	return dir
}

// answers asks whoever listens at port under a name, until it is up.
func answers(port, name string) bool {
	request, err := http.NewRequest(http.MethodGet, "http://127.0.0.1:"+port+"/upcheck", nil)
	if err != nil {
		return false
	}
	request.Host = name
	for deadline := time.Now().Add(patience / 3); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			continue
		}
		text, err := io.ReadAll(response.Body)
		response.Body.Close()
		switch {
		case err != nil || response.StatusCode == http.StatusForbidden:
			return false
		case response.StatusCode == http.StatusOK:
			return strings.TrimSpace(string(text)) == "OK"
		}
	}
	return false
}
