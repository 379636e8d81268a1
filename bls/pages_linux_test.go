package bls

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"slices"
	"syscall"
	"testing"
	"unsafe"

	"github.com/secure-signer/secure-signer/internal/secretmem"
)

// kinds are the memories that an arena may come to lie in.
var kinds = []struct {
	name  string
	pages mapper
}{
	{"pages that the kernel cannot read", secretmem.MapSecret},
	{"locked pages, where it refuses those", secretmem.MapLocked},
	{"what a keyring gets here", secretmem.Map},
}

// TestReportedProtectionsAreTheKernels compares Protections with what the kernel
// says of the arena's pages. Source: proc_pid_smaps(5), VmFlags.
func TestReportedProtectionsAreTheKernels(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind.name, func(t *testing.T) {
			k := openKeyringOver(t, Config{}, orSkip(t, kind.pages))
			name, flags := mapping(t, uint64(uintptr(k.arena.chunks[0].address)))
			for protection, actual := range map[string]bool{
				ProtectionLocked: slices.Contains(flags, "lo"),
				ProtectionNoDump: slices.Contains(flags, "dd"),
				ProtectionNoFork: slices.Contains(flags, "wf") || slices.Contains(flags, "dc"),
				ProtectionSecret: name == "/secretmem",
			} {
				if reported := slices.Contains(k.Protections(), protection); reported != actual {
					t.Errorf("%s: reported %v, the kernel says %q %v", protection, reported, name, flags)
				}
			}
			t.Logf("protections: %v", k.Protections())
		})
	}
}

// TestEveryKindOfMemoryServesAKeyring signs out of more than one chunk of each.
func TestEveryKindOfMemoryServesAKeyring(t *testing.T) {
	for _, kind := range kinds {
		t.Run(kind.name, func(t *testing.T) {
			k := openKeyringOver(t, Config{Workers: 1}, orSkip(t, kind.pages))
			for range len(chunk{}) {
				if _, err := k.arena.take(); err != nil {
					t.Fatal(err)
				}
			}
			sk := interopKey(t, 7)
			key, err := k.Add(sk.PublicKey(), sk)
			if err != nil {
				t.Fatal(err)
			}
			sig, err := k.Sign(t.Context(), key, [32]byte{1})
			if err != nil || !Verify(sk.PublicKey(), [32]byte{1}, sig) {
				t.Errorf("signature over %s: %v", kind.name, err)
			}
			if got := len(k.arena.chunks); got != 2 {
				t.Errorf("%d chunks, want 2", got)
			}
		})
	}
}

// TestSecretPagesCannotBeReadThroughTheKernel asks as root, where the test runs
// as root: nobody has more rights to a process's memory than that process.
func TestSecretPagesCannotBeReadThroughTheKernel(t *testing.T) {
	memory, err := os.Open("/proc/self/mem")
	if err != nil {
		t.Skipf("no /proc: %v", err)
	}
	defer memory.Close()
	for _, kind := range kinds[:2] {
		pages, protections, err := orSkip(t, kind.pages)(1 << 16)
		if err != nil {
			t.Fatal(err)
		}
		copy(pages, "a secret")
		got := make([]byte, len("a secret"))
		_, err = memory.ReadAt(got, int64(uintptr(unsafe.Pointer(unsafe.SliceData(pages)))))
		if secret := slices.Contains(protections, ProtectionSecret); secret != errors.Is(err, syscall.EIO) || secret == (string(got) == "a secret") {
			t.Errorf("%s: read %q, %v", kind.name, got, err)
		}
		if err := secretmem.Unmap(pages); err != nil {
			t.Error(err)
		}
	}
}

// orSkip skips where the kernel has no such memory, as before Linux 5.14 or in a
// container that forbids it.
func orSkip(t *testing.T, pages mapper) mapper {
	t.Helper()
	probe, _, err := pages(1 << 16)
	if err != nil {
		t.Skipf("this kernel has no such memory: %v", err)
	}
	if err := secretmem.Unmap(probe); err != nil {
		t.Fatal(err)
	}
	return pages
}

// mapping returns the name and the kernel's flags of the mapping that holds an
// address.
func mapping(t *testing.T, address uint64) (name string, flags []string) {
	t.Helper()
	smaps, err := os.ReadFile("/proc/self/smaps")
	if err != nil || !bytes.Contains(smaps, []byte("VmFlags:")) {
		t.Skipf("this kernel does not tell: %v", err)
	}
	inside := false
	for line := range bytes.Lines(smaps) {
		var from, to uint64
		var access, offset, device, inode string
		if n, _ := fmt.Sscanf(string(line), "%x-%x %s %s %s %s", &from, &to, &access, &offset, &device, &inode); n == 6 {
			inside = from <= address && address < to
			if fields := bytes.Fields(line); inside && len(fields) > 5 {
				name = string(fields[5])
			}
		}
		if list, ok := bytes.CutPrefix(line, []byte("VmFlags:")); ok && inside {
			for _, f := range bytes.Fields(list) {
				flags = append(flags, string(f))
			}
			return name, flags
		}
	}
	t.Fatalf("no mapping holds %#x", address)
	return "", nil
}
