package http_test

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/secure-signer/secure-signer/test/internal/daemon"
	"github.com/secure-signer/secure-signer/test/internal/interop"
)

// TestAFullDiskStopsTheSignerAndLosesNothing fills the disk under a running
// daemon.
func TestAFullDiskStopsTheSignerAndLosesNothing(t *testing.T) {
	t.Parallel()
	disk := smallDisk(t)
	key := interop.New(0)
	f := daemon.InitAt(t, disk, mainnet)
	d := serveKeys(t, f, []interop.Key{key}, unbound...)
	ballast := fill(t, disk)

	// Room for some records is allocated before they need it. The store fails
	// when it makes room for more, and the daemon stops listening.
	request := hold(t, d, key, attestation(1, 1<<40, 1))
	last, err := signUntilGone(t, d, key)
	if last == 0 {
		t.Errorf("nothing was signed on a full disk: %v\n%s", err, ending(d))
	}
	if answer := request.finish(t); answer.Status != http.StatusServiceUnavailable || answer.Reason() != "store_unavailable" {
		t.Errorf("in flight when the store failed: %+v", answer)
	}
	if code := d.Wait(); code != 1 || !strings.Contains(d.Log(), "no space left on device") {
		t.Errorf("exit %d, want 1 and the reason in the log\n%s", code, ending(d))
	}

	if code, _, stderr := daemon.Run(t, f.ServeArgs(unbound...)...); code != 1 || !strings.Contains(stderr, "no space left on device") {
		t.Errorf("a start on a full disk: exit %d, %s", code, stderr)
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	d = daemon.Serve(t, f, unbound...)
	mustRefuse(t, d, key, attestation(last-1, last, 2), http.StatusPreconditionFailed, "double_vote")
	mustSign(t, d, key, attestation(last-1, last, 1))
	mustSign(t, d, key, attestation(last, last+1, 1))
	t.Logf("%d signatures on a full disk", last)
}

// TestADiskThatIsFullForAMomentCostsNothing frees the disk before the store needs
// the room.
func TestADiskThatIsFullForAMomentCostsNothing(t *testing.T) {
	t.Parallel()
	disk := smallDisk(t)
	key := interop.New(0)
	d := serveKeys(t, daemon.InitAt(t, disk, mainnet), []interop.Key{key}, unbound...)
	ballast := fill(t, disk)
	const full, enough = 100, 1000 // enough for several segments
	for epoch := uint64(1); epoch <= enough; epoch++ {
		if epoch == full {
			if err := os.Remove(ballast); err != nil {
				t.Fatal(err)
			}
		}
		mustSign(t, d, key, attestation(epoch-1, epoch, 1))
	}
	if code := d.Stop(); code != 0 {
		t.Errorf("exit %d\n%s", code, ending(d))
	}
}

// TestAReadOnlyDiskStopsTheSignerAndLosesNothing makes the folder read-only under
// a running daemon, for all but the files that are open: a file system with open
// files becomes read-only in no other way. Then it does so under none.
func TestAReadOnlyDiskStopsTheSignerAndLosesNothing(t *testing.T) {
	t.Parallel()
	disk := smallDisk(t)
	key := interop.New(0)
	f := daemon.InitAt(t, disk, mainnet)
	d := serveKeys(t, f, []interop.Key{key}, unbound...)
	mount(t, disk, disk, syscall.MS_BIND)
	mount(t, "", disk, syscall.MS_REMOUNT|syscall.MS_BIND|syscall.MS_RDONLY)

	request := hold(t, d, key, attestation(1, 1<<40, 1))
	last, err := signUntilGone(t, d, key)
	if last == 0 {
		t.Errorf("nothing was signed before the store needed a new file: %v\n%s", err, ending(d))
	}
	if answer := request.finish(t); answer.Status != http.StatusServiceUnavailable || answer.Reason() != "store_unavailable" {
		t.Errorf("in flight when the store failed: %+v", answer)
	}
	if code := d.Wait(); code != 1 || !strings.Contains(d.Log(), "read-only file system") {
		t.Errorf("exit %d, want 1 and the reason in the log\n%s", code, ending(d))
	}
	mustFailToServe(t, f, "read-only file system")
	if err := syscall.Unmount(disk, 0); err != nil {
		t.Fatal(err)
	}

	mount(t, "", disk, syscall.MS_REMOUNT|syscall.MS_RDONLY)
	mustFailToServe(t, f, "read-only file system")
	mount(t, "", disk, syscall.MS_REMOUNT)
	d = daemon.Serve(t, f, unbound...)
	mustRefuse(t, d, key, attestation(last-1, last, 2), http.StatusPreconditionFailed, "double_vote")
	mustSign(t, d, key, attestation(last-1, last, 1))
	mustSign(t, d, key, attestation(last, last+1, 1))
	t.Logf("%d signatures on a read-only disk", last)
}

func mount(t *testing.T, source, target string, flags uintptr) {
	t.Helper()
	if err := syscall.Mount(source, target, "", flags, ""); err != nil {
		t.Fatalf("mount %s: %v", target, err)
	}
}

// signUntilGone returns the target of the last vote that was signed before the
// daemon answered no more.
func signUntilGone(t *testing.T, d *daemon.Daemon, key interop.Key) (last uint64, err error) {
	t.Helper()
	const enough = 4096 // many times what fits into the room that is allocated
	for epoch := uint64(1); epoch < enough; epoch++ {
		answer, err := d.Sign(key.Public, []byte(attestation(epoch-1, epoch, 1)))
		if err != nil {
			return last, err
		}
		if answer.Status == http.StatusOK {
			last = epoch
		} else if answer.Reason() != "store_unavailable" && answer.Reason() != "shutting_down" {
			t.Errorf("on a full disk: %+v", answer)
		}
	}
	t.Fatalf("%d signatures on a full disk: it is not full", last)
	return 0, nil
}

// smallDisk mounts a small file system.
func smallDisk(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=8m"); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatalf("no small disk can be mounted: %v", err)
		}
		t.Skipf("a full disk needs one that is small, and to mount it needs root: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Errorf("unmount: %v", err)
		}
	})
	return dir
}

// fill takes all that is free and returns the file that holds it.
func fill(t *testing.T, disk string) string {
	t.Helper()
	path := filepath.Join(disk, "ballast")
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for block := make([]byte, 4096); ; {
		if _, err := file.Write(block); errors.Is(err, syscall.ENOSPC) {
			return path
		} else if err != nil {
			t.Fatal(err)
		}
	}
}
