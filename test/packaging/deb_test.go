// Package packaging_test builds what operators install, and starts the signer from
// there: the Debian package, the services, alarms and dashboards.
package packaging_test

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/secure-signer/secure-signer/test/internal/daemon"
	"github.com/secure-signer/secure-signer/test/mutant"
)

func TestMain(m *testing.M) { os.Exit(daemon.Main(m)) }

// patience is how long a crowded machine may take for one step.
const patience = time.Minute

func root(t *testing.T) string {
	t.Helper()
	root, err := mutant.Root()
	if err != nil {
		t.Fatal(err)
	}
	return root
}

// TestTheDebianPackage builds it twice, which must give the same bytes, and installs
// it on a copy of this machine.
func TestTheDebianPackage(t *testing.T) {
	if testing.Short() {
		t.Skip("builds and installs a package; the race detector would see nothing of it")
	}
	once := build(t, "TZ=UTC", "umask 022")
	again := build(t, "TZ=Pacific/Auckland", "umask 077")
	if a, b := read(t, once), read(t, again); !bytes.Equal(a, b) {
		t.Errorf("two builds of the same tree differ, of %d and %d bytes", len(a), len(b))
	}
	if name := filepath.Base(once); !strings.HasPrefix(name, "secure-signer_1.2.3~rc1_") {
		t.Errorf("the package is called %s", name)
	}
	t.Run("lintian has nothing to say", func(t *testing.T) {
		need(t, "lintian")
		out, err := exec.Command("lintian", "--allow-root", "--fail-on=error,warning", once).CombinedOutput()
		if err != nil || len(bytes.TrimSpace(out)) > 0 {
			t.Errorf("lintian: %v\n%s", err, out)
		}
	})
	t.Run("an installed signer serves and a purge leaves its keys", func(t *testing.T) { installs(t, once) })
}

// build returns the package, built under other circumstances.
func build(t *testing.T, zone, mask string) string {
	t.Helper()
	out := t.TempDir()
	cmd := exec.Command("sh", "-c", mask+` && exec scripts/deb.sh "$1"`, "sh", out)
	cmd.Dir = root(t)
	cmd.Env = append(os.Environ(), "VERSION=v1.2.3-rc1", zone)
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("deb.sh: %v\n%s", err, text)
	}
	made, err := filepath.Glob(filepath.Join(out, "*.deb"))
	if err != nil || len(made) != 1 {
		t.Fatalf("made %v, %v", made, err)
	}
	return made[0]
}

// copied puts all that is below the root into a mount namespace of its own, where
// what is written goes to memory, then installs the package $1 there, makes a data
// folder, purges the package, installs it again, and becomes the service's command.
const copied = `
set -e
mount -t tmpfs none "$2"
mkdir "$2/written" "$2/work" "$2/root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$2/written,workdir=$2/work" "$2/root"
for system in /proc /dev; do mount --rbind $system "$2/root$system"; done
cp "$1" "$2/root/tmp/package.deb"
as="setpriv --reuid=secure-signer --regid=secure-signer --init-groups"
in="chroot $2/root"

$in dpkg -i /tmp/package.deb
echo "a passphrase for tests only" | $in install -m 0400 -o secure-signer /dev/stdin /etc/secure-signer/passphrase
$in $as secure-signer init --data-dir /var/lib/secure-signer --network hoodi --passphrase-file /etc/secure-signer/passphrase
$in dpkg -P secure-signer
$in test -e /var/lib/secure-signer/vault -a -e /etc/secure-signer/passphrase
$in dpkg -i /tmp/package.deb
$in install -d -o secure-signer /run/credentials
$in install -m 0400 -o secure-signer /etc/secure-signer/passphrase /run/credentials/secure-signer-passphrase
exec $in $as $3 --http-listen-port 0 --metrics-listen-port 0
`

func installs(t *testing.T, deb string) {
	if os.Getuid() != 0 {
		t.Skip("only root can mount a copy of this machine")
	}
	if out, err := exec.Command("unshare", "-m", "sh", "-c", `mount -t tmpfs none /mnt && mkdir /mnt/u /mnt/w /mnt/m && mount -t overlay overlay -o lowerdir=/,upperdir=/mnt/u,workdir=/mnt/w /mnt/m`).CombinedOutput(); err != nil {
		t.Skipf("this machine lets nobody mount: %v: %s", err, out)
	}
	address := fmt.Sprintf("@secure-signer-packaging-%d", os.Getpid())
	manager, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Net: "unixgram", Name: address})
	if err != nil {
		t.Fatal(err)
	}
	defer manager.Close()

	said, err := os.Create(filepath.Join(t.TempDir(), "said"))
	if err != nil {
		t.Fatal(err)
	}
	defer said.Close()
	cmd := exec.Command("unshare", "-m", "sh", "-c", copied, "sh", deb, t.TempDir(), setting(t, "secure-signer.service", "ExecStart"))
	cmd.Stdout, cmd.Stderr = said, said
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "NOTIFY_SOCKET=" + address, "CREDENTIALS_DIRECTORY=/run/credentials", "DEBIAN_FRONTEND=noninteractive"}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() {
		ended <- cmd.Wait()
		manager.Close() // so that nobody waits for what will not come
	}()
	defer cmd.Process.Kill() // it may have ended

	if err := manager.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	message := make([]byte, 4096)
	n, err := manager.Read(message)
	if err != nil || !strings.HasPrefix(string(message[:n]), "READY=1\n") {
		t.Fatalf("the service manager was told %q, %v\n%s", message[:n], err, read(t, said.Name()))
	}
	banner := string(read(t, said.Name()))
	for _, want := range []string{"keys      0 in service, of 0 held in /var/lib/secure-signer", "hardening core-dumps, programs"} {
		if !strings.Contains(banner, want) {
			t.Errorf("the installed signer does not say %q:\n%s", want, banner)
		}
	}
	if strings.Contains(banner, "level=WARN") {
		t.Errorf("the installed signer warns:\n%s", banner)
	}
	up(t, regexp.MustCompile(`signing +(http://\S+)`).FindStringSubmatch(banner)[1])
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err != nil {
		t.Errorf("the stop: %v\n%s", err, read(t, said.Name()))
	}
}

// up fails the test unless the signer at url says that it is up.
func up(t *testing.T, url string) {
	t.Helper()
	response, err := http.Get(url + "/upcheck")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		t.Errorf("upcheck says %s", response.Status)
	}
}

// setting returns the last value of a setting of one of our services.
func setting(t *testing.T, service, name string) string {
	t.Helper()
	text := read(t, filepath.Join(root(t), "packaging", "systemd", service))
	all := regexp.MustCompile(`(?m)^`+name+`=(.*)$`).FindAllSubmatch(text, -1)
	if all == nil {
		t.Fatalf("%s has no %s", service, name)
	}
	return string(all[len(all)-1][1])
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
