//go:build !race

package bls

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"slices"
	"syscall"
	"testing"
	"unsafe"

	blst "github.com/supranational/blst/bindings/go"

	"github.com/secure-signer/secure-signer/internal/secretmem"
)

// TestMemoryHoldsASecretOnceAndThenNever searches all that this process can
// read, C's stacks and Go's dead objects included, for a secret that was made,
// read back, parsed, added, signed with and removed. (The race detector's shadow
// memory is too large to search.)
func TestMemoryHoldsASecretOnceAndThenNever(t *testing.T) {
	k := openKeyringOver(t, Config{}, secretmem.MapLocked) // secret pages would not be found at all
	made, err := GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	disguised := disguise(made.secret())
	pub := made.PublicKey()
	b := made.Bytes()
	if got := occurrences(t, disguised); got != 2 {
		t.Fatalf("found %d times, want the key and its bytes: the search is broken", got)
	}
	made.Wipe()
	parsed, err := ParseSecretKey(b)
	clear(b)
	if err != nil {
		t.Fatal(err)
	}
	key, err := k.Add(pub, parsed)
	if err != nil {
		t.Fatal(err)
	}
	parsed.Wipe()
	for i := range byte(200) {
		if _, err := k.Sign(t.Context(), key, [32]byte{i}); err != nil {
			t.Fatal(err)
		}
	}
	if got := occurrences(t, disguised); got != 1 {
		t.Errorf("found %d times while in service, want once", got)
	}
	k.Remove(pub)
	if got := occurrences(t, disguised); got != 0 {
		t.Errorf("found %d times after removal, want never", got)
	}
}

const mask = 0x5c

// disguise returns a secret in a form that a search for it does not find.
func disguise(s *blst.Scalar) (d [32]byte) {
	for i, b := range (*[32]byte)(unsafe.Pointer(s)) {
		d[i] = b ^ mask
	}
	return d
}

// occurrences counts where half of a secret lies in this process's memory, in
// either order of its bytes.
func occurrences(t *testing.T, disguised [32]byte) int {
	t.Helper()
	maps, err := os.Open("/proc/self/maps")
	if err != nil {
		t.Skipf("no /proc: %v", err)
	}
	defer maps.Close()
	memory, err := os.Open("/proc/self/mem")
	if err != nil {
		t.Skipf("no /proc: %v", err)
	}
	defer memory.Close()
	// What is read would be found again: it goes to shared memory, which is left
	// out.
	buf, err := syscall.Mmap(-1, 0, 1<<20, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED|syscall.MAP_ANON)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Munmap(buf)

	little := disguised[:16]
	big := slices.Clone(little)
	slices.Reverse(big)
	found := 0
	for lines := bufio.NewScanner(maps); lines.Scan(); {
		var from, to uint64
		var access string
		if _, err := fmt.Sscanf(lines.Text(), "%x-%x %s", &from, &to, &access); err != nil {
			t.Fatal(err)
		}
		if access != "rw-p" {
			continue
		}
		for at := from; at < to; at += uint64(len(buf) - len(little)) {
			part := buf[:min(uint64(len(buf)), to-at)]
			n, _ := memory.ReadAt(part, int64(at)) // some mappings cannot be read
			found += count(part[:n], little) + count(part[:n], big)
			clear(part)
		}
	}
	return found
}

// count counts the places where memory holds what pattern disguises.
func count(memory, pattern []byte) int {
	n := 0
	for {
		i := bytes.IndexByte(memory, pattern[0]^mask)
		if i < 0 || i+len(pattern) > len(memory) {
			return n
		}
		memory = memory[i:]
		j := 1
		for j < len(pattern) && memory[j]^mask == pattern[j] {
			j++
		}
		if j == len(pattern) {
			n++
		}
		memory = memory[1:]
	}
}
