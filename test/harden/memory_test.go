package harden

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/secure-signer/secure-signer/test/internal/daemon"
)

// A secret is something that must not lie about.
type secret struct {
	name  string
	bytes []byte
	text  bool // it is looked for as it is, and not as a number
}

// A pattern is a secret as it may lie in memory.
type pattern struct {
	secret, form string
	bytes        []byte
}

// patterns are the ways in which a program may have a secret, each cut to what no
// chance repeats: its halves, in either order of the bytes, and in hexadecimal.
func (s secret) patterns() []pattern {
	if s.text {
		return []pattern{{s.name, "text", s.bytes}}
	}
	little := slices.Clone(s.bytes)
	slices.Reverse(little)
	var all []pattern
	for form, whole := range map[string][]byte{
		"big-endian": s.bytes, "little-endian": little,
		"hexadecimal": []byte(hex.EncodeToString(s.bytes)), "HEXADECIMAL": []byte(strings.ToUpper(hex.EncodeToString(s.bytes))),
	} {
		half := len(whole) / 2
		all = append(all, pattern{s.name, form, whole[:half]}, pattern{s.name, form + ", last half", whole[half:]})
	}
	return all
}

// longest is more than the bytes of any pattern.
const longest = 128

// A place is where in a process's memory a secret was found.
type place struct {
	secret, form string
	address      uint64
	mapping      string // the line of /proc/PID/maps
}

func (p place) String() string {
	return fmt.Sprintf("%s, %s, at %#x in %s", p.secret, p.form, p.address, p.mapping)
}

// search looks for secrets in all that root can read of the daemon's memory: its
// heap, with what is free there, all stacks, the C library's too, and files.
func search(t *testing.T, d *daemon.Daemon, secrets []secret) []place {
	t.Helper()
	table, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", d.PID()))
	if err != nil {
		t.Fatal(err)
	}
	memory, pages := open(t, d, "mem"), open(t, d, "pagemap")
	wanted := index(secrets)
	found := make(map[place]bool) // what lies where two blocks overlap is found twice
	read := 0
	block := make([]byte, blockSize+longest)
	for lines := bufio.NewScanner(bytes.NewReader(table)); lines.Scan(); {
		var from, to uint64
		var access string
		if _, err := fmt.Sscanf(lines.Text(), "%x-%x %s", &from, &to, &access); err != nil {
			t.Fatal(err)
		}
		for at := from; at < to && access[0] == 'r'; at += blockSize {
			if !touched(pages, at) {
				continue
			}
			n, _ := memory.ReadAt(block[:min(uint64(len(block)), to-at)], int64(at)) // some mappings cannot be read
			read += n
			wanted.search(block[:n], func(i int, p pattern) {
				found[place{p.secret, p.form, at + uint64(i), lines.Text()}] = true
			})
		}
	}
	if read < 1<<20 {
		t.Fatalf("only %d bytes could be read", read)
	}
	return slices.SortedFunc(maps.Keys(found), func(a, b place) int { return strings.Compare(a.String(), b.String()) })
}

const (
	blockSize = 64 << 10
	pageSize  = 4 << 10 // the smallest there is
)

func open(t *testing.T, d *daemon.Daemon, name string) *os.File {
	t.Helper()
	f, err := os.Open(fmt.Sprintf("/proc/%d/%s", d.PID(), name))
	if err != nil {
		if os.Geteuid() == 0 && os.Getenv("CI") != "" {
			t.Fatal(err)
		}
		t.Skipf("this needs the rights of root: %v", err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// touched tells whether a block has ever been written to or read from: Go reserves
// much more memory than it uses. If in doubt it has. Source: Linux,
// Documentation/admin-guide/mm/pagemap.rst.
func touched(pages *os.File, at uint64) bool {
	entries := make([]byte, 8*(blockSize/pageSize+1))
	if n, err := pages.ReadAt(entries, int64(at/pageSize*8)); err != nil || n < len(entries) {
		return true
	}
	for entry := range slices.Chunk(entries, 8) {
		if binary.NativeEndian.Uint64(entry)>>62 != 0 { // present, or in swap
			return true
		}
	}
	return false
}

// An index finds many patterns in one pass, by their first two bytes.
type patternIndex [1 << 16][]pattern

func index(secrets []secret) *patternIndex {
	all := new(patternIndex)
	for _, s := range secrets {
		for _, p := range s.patterns() {
			first := int(p.bytes[0])<<8 | int(p.bytes[1])
			all[first] = append(all[first], p)
		}
	}
	return all
}

func (all *patternIndex) search(b []byte, found func(int, pattern)) {
	for i := range len(b) - 1 {
		for _, p := range all[int(b[i])<<8|int(b[i+1])] {
			if bytes.HasPrefix(b[i:], p.bytes) {
				found(i, p)
			}
		}
	}
}
