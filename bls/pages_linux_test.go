package bls

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"testing"
)

// TestReportedProtectionsAreTheKernels compares Protections with what the kernel
// says of the arena's pages. Source: proc_pid_smaps(5), VmFlags.
func TestReportedProtectionsAreTheKernels(t *testing.T) {
	smaps, err := os.ReadFile("/proc/self/smaps")
	if err != nil || !bytes.Contains(smaps, []byte("VmFlags:")) {
		t.Skipf("this kernel does not tell: %v", err)
	}
	k := openKeyring(t, Config{})
	flags := vmFlags(t, uint64(uintptr(k.arena.chunks[0].address)))
	for protection, flag := range map[string]string{
		ProtectionLocked: "lo", ProtectionNoDump: "dd", ProtectionNoFork: "wf",
	} {
		reported, actual := slices.Contains(k.Protections(), protection), slices.Contains(flags, flag)
		if reported != actual {
			t.Errorf("%s: reported %v, the kernel's flags are %v", protection, reported, flags)
		}
	}
	t.Logf("protections: %v", k.Protections())
}

// vmFlags returns the kernel's flags of the mapping that holds an address.
func vmFlags(t *testing.T, address uint64) []string {
	t.Helper()
	smaps, err := os.ReadFile("/proc/self/smaps")
	if err != nil {
		t.Fatal(err)
	}
	inside := false
	for line := range bytes.Lines(smaps) {
		var from, to uint64
		if n, _ := fmt.Sscanf(string(line), "%x-%x ", &from, &to); n == 2 {
			inside = from <= address && address < to
		}
		if flags, ok := bytes.CutPrefix(line, []byte("VmFlags:")); ok && inside {
			var names []string
			for _, f := range bytes.Fields(flags) {
				names = append(names, string(f))
			}
			return names
		}
	}
	t.Fatalf("no mapping holds %#x", address)
	return nil
}
