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

	const segments = 4096 // many times what fits into the room that is allocated already
	var last uint64
	var refused daemon.Answer
	for epoch := uint64(1); refused.Status == 0; epoch++ {
		answer, err := d.Sign(key.Public, []byte(attestation(epoch-1, epoch, 1)))
		switch {
		case err != nil || epoch == segments:
			t.Fatalf("after %d signatures on a full disk: %v\n%s", last, err, ending(d))
		case answer.Status == http.StatusOK:
			last = epoch
		default:
			refused = answer
		}
	}
	if last == 0 {
		t.Error("nothing was signed: room for some records is allocated before it is needed")
	}
	if refused.Status != http.StatusServiceUnavailable || refused.Reason() != "store_unavailable" {
		t.Errorf("on a full disk: %+v", refused)
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

// smallDisk mounts a small file system.
func smallDisk(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=8m"); err != nil {
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
