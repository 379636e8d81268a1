// Package image_test builds the image of a confidential VM and boots it in a machine
// that is emulated, with the same firmware interface and devices, and without what
// makes it confidential: no test machine has that.
package image_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/secure-signer/secure-signer/test/mutant"
)

const firmware = "/usr/share/ovmf/OVMF.fd"

// bootTime is how long an emulated machine may take on a crowded one.
const bootTime = 3 * time.Minute

// TestTheImageBoots starts the image on an empty disk, switches it off by its button,
// starts it again on what it left, and then on what no signer may be started on.
//
//	SECURE_SIGNER_LONG=1 KERNEL=/boot/vmlinuz-6.12… go test -v ./image
func TestTheImageBoots(t *testing.T) {
	if os.Getenv("SECURE_SIGNER_LONG") == "" {
		t.Skip("boots an emulated machine four times, for minutes: set SECURE_SIGNER_LONG")
	}
	for _, tool := range []string{"qemu-system-x86_64", "mkfs.ext4", "cpio", "objcopy", "xz"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("%v: apt-get install qemu-system-x86 ovmf e2fsprogs cpio binutils xz-utils systemd-boot-efi", err)
		}
	}
	if _, err := os.Stat(firmware); err != nil {
		t.Skipf("%v: apt-get install ovmf", err)
	}
	image := build(t)
	disk := makeDisk(t)

	m := boot(t, image, disk)
	m.serves(t)
	if !strings.Contains(m.console(), "Created /data/signer") {
		t.Errorf("no new data folder on an empty disk:\n%s", m.console())
	}
	m.button(t)
	m.ends(t, "stopping: finishing what is in flight", "reboot: Power down")

	m = boot(t, image, disk)
	m.serves(t)
	if strings.Contains(m.console(), "Created /data/signer") {
		t.Errorf("the data folder was made anew:\n%s", m.console())
	}
	m.button(t)
	m.ends(t, "reboot: Power down")

	boot(t, image).ends(t, "there are 0 disks with the label secure-signer", "reboot: Power down")
	boot(t, image, disk, copyOf(t, disk)).ends(t, "there are 2 disks with the label secure-signer", "reboot: Power down")
}

// build makes the image, twice: whoever builds it again must get the same.
func build(t *testing.T) string {
	t.Helper()
	root, err := mutant.Root()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	etc := filepath.Join(dir, "etc")
	if err := os.Mkdir(etc, 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(etc, "secure-signer.yaml"), "network: hoodi\npassphrase-file: /data/passphrase\nhttp-listen-host: 0.0.0.0\n")
	run := func(env string, args ...string) {
		cmd := exec.Command(filepath.Join(root, args[0]), args[1:]...)
		cmd.Env = append(os.Environ(), env)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", args[0], err, out)
		}
	}
	run("VERSION=v0.0.0-image", "scripts/release.sh", dir, "secure-signer")
	var images [2][]byte
	for i := range images {
		out := filepath.Join(dir, fmt.Sprint(i))
		run("SIGNER="+filepath.Join(dir, "secure-signer"), "hardware/vm/build.sh", etc, out)
		if images[i], err = os.ReadFile(filepath.Join(out, "secure-signer.efi")); err != nil {
			t.Fatal(err)
		}
		time.Sleep(1100 * time.Millisecond) // or the same second would hide a date
	}
	if !bytes.Equal(images[0], images[1]) {
		t.Error("two images of the same inputs differ")
	}
	return filepath.Join(dir, "0", "secure-signer.efi")
}

func makeDisk(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	content, disk := filepath.Join(dir, "content"), filepath.Join(dir, "disk")
	if err := os.Mkdir(content, 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(content, "network"), "10.0.2.15/24 10.0.2.2\n")
	write(t, filepath.Join(content, "passphrase"), "a passphrase for an emulated machine\n")
	write(t, disk, "")
	if err := os.Truncate(disk, 64<<20); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("mkfs.ext4", "-q", "-L", "secure-signer", "-d", content, disk).CombinedOutput(); err != nil {
		t.Fatalf("mkfs.ext4: %v\n%s", err, out)
	}
	return disk
}

func copyOf(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	to := filepath.Join(t.TempDir(), "copy")
	write(t, to, string(b))
	return to
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// A machine is an emulated one.
type machine struct {
	address string // of the signing port
	monitor string
	ended   chan error

	mu  sync.Mutex // guards what it prints
	out bytes.Buffer
}

func (m *machine) Write(p []byte) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.out.Write(p)
}

func (m *machine) console() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.out.String()
}

func boot(t *testing.T, image string, disks ...string) *machine {
	t.Helper()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	m := &machine{address: free.Addr().String(), monitor: filepath.Join(t.TempDir(), "monitor"), ended: make(chan error, 1)}
	free.Close()
	args := []string{
		"-machine", "q35", "-accel", "tcg", "-cpu", "max", "-m", "1024", "-smp", "2", "-nographic", "-no-reboot",
		"-bios", firmware, "-kernel", image, "-serial", "stdio", "-monitor", "unix:" + m.monitor + ",server,nowait",
		"-netdev", "user,id=n,hostfwd=tcp:" + m.address + "-10.0.2.15:9000", "-device", "virtio-net-pci,netdev=n",
	}
	for _, disk := range disks {
		args = append(args, "-drive", "file="+disk+",format=raw,if=virtio")
	}
	cmd := exec.Command("qemu-system-x86_64", args...)
	cmd.Stdout, cmd.Stderr = m, m
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	go func() { m.ended <- cmd.Wait() }()
	return m
}

// serves waits until the signer in the machine answers.
func (m *machine) serves(t *testing.T) {
	t.Helper()
	client := &http.Client{Timeout: 2 * time.Second}
	for deadline := time.Now().Add(bootTime); time.Now().Before(deadline); time.Sleep(time.Second) {
		response, err := client.Get("http://" + m.address + "/upcheck")
		if err != nil {
			continue
		}
		text, err := io.ReadAll(response.Body)
		response.Body.Close()
		if err == nil && response.StatusCode == http.StatusOK && strings.TrimSpace(string(text)) == "OK" {
			return
		}
	}
	t.Fatalf("the signer does not answer:\n%s", m.console())
}

// button presses the button that switches the machine off.
func (m *machine) button(t *testing.T) {
	t.Helper()
	c, err := net.Dial("unix", m.monitor)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.WriteString(c, "system_powerdown\n"); err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Second) // until the monitor has read it
}

// ends waits until the machine is off, and expects texts on its console.
func (m *machine) ends(t *testing.T, texts ...string) {
	t.Helper()
	select {
	case <-m.ended:
	case <-time.After(bootTime):
		t.Fatalf("the machine does not end:\n%s", m.console())
	}
	for _, text := range texts {
		if !strings.Contains(m.console(), text) {
			t.Errorf("the console does not say %q:\n%s", text, m.console())
		}
	}
}
