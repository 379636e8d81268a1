package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unsafe"
)

func TestAddresses(t *testing.T) {
	a, err := parseAddress("10.0.2.15/24 10.0.2.2\n")
	if err != nil || a.prefix.String() != "10.0.2.15/24" || a.gateway.String() != "10.0.2.2" {
		t.Errorf("got %v, %v", a, err)
	}
	for _, line := range []string{"", "10.0.2.15/24", "10.0.2.15 10.0.2.2", "10.0.2.15/24 10.0.3.2", "fd00::2/64 fd00::1", "10.0.2.15/33 10.0.2.2", "a b"} {
		if a, err := parseAddress(line); err == nil {
			t.Errorf("%q is taken for %v", line, a)
		}
	}
}

// The kernel's struct rtentry has 120 bytes on 64-bit machines.
func TestRouteEntryIsTheKernels(t *testing.T) {
	var e routeEntry
	if got := unsafe.Sizeof(e); got != 120 {
		t.Errorf("size %d", got)
	}
	if unsafe.Offsetof(e.flags) != 56 || unsafe.Offsetof(e.metric) != 80 || unsafe.Offsetof(e.device) != 88 || unsafe.Offsetof(e.irtt) != 112 {
		t.Error("fields lie elsewhere")
	}
}

// disk writes a file with the superblock of ext4 and a label.
func disk(t *testing.T, path, label string) {
	t.Helper()
	b := make([]byte, 4096)
	binary.LittleEndian.PutUint16(b[1024+0x38:], 0xef53)
	copy(b[1024+0x78:], label)
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestTheOnlyDiskWithTheLabelIsTaken(t *testing.T) {
	classes, devices := t.TempDir(), t.TempDir()
	add := func(name, label string) {
		disk(t, filepath.Join(devices, name), label)
		if err := os.Mkdir(filepath.Join(classes, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	add("vda", "root")
	if err := os.WriteFile(filepath.Join(devices, "vdb"), []byte("short"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(classes, "vdb"), 0o755); err != nil {
		t.Fatal(err)
	}
	if got, err := findDisk(classes, devices); err == nil {
		t.Errorf("took %s", got)
	}
	add("vdc", diskLabel)
	if got, err := findDisk(classes, devices); err != nil || filepath.Base(got) != "vdc" {
		t.Errorf("got %s, %v", got, err)
	}
	add("vdd", diskLabel)
	if got, err := findDisk(classes, devices); err == nil || !strings.Contains(err.Error(), "2 disks") {
		t.Errorf("took %s, %v", got, err)
	}
}

func TestThePowerButtonIsHeard(t *testing.T) {
	event := func(kind, code uint16, value uint32) []byte {
		b := make([]byte, eventSize)
		binary.LittleEndian.PutUint16(b[16:], kind)
		binary.LittleEndian.PutUint16(b[18:], code)
		binary.LittleEndian.PutUint32(b[20:], value)
		return b
	}
	other := append(event(0, 0, 0), event(eventKey, 30, 1)...)
	if pressed(bytes.NewReader(append(other, event(eventKey, keyPower, 0)...))) {
		t.Error("a release, or another key, ends the machine")
	}
	if !pressed(bytes.NewReader(append(other, event(eventKey, keyPower, 1)...))) {
		t.Error("the button was not heard")
	}
}

func TestOneInterfaceIsUsed(t *testing.T) {
	dir := t.TempDir()
	for i, name := range []string{"lo", "eth0", "eth1"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
		if got, err := interfaceName(dir); (err == nil) != (i == 1) || err == nil && got != "eth0" {
			t.Errorf("after %s: %q, %v", name, got, err)
		}
	}
}

func TestAnImageWithoutModulesIsIncomplete(t *testing.T) {
	if err := loadModules(t.TempDir()); err == nil || !strings.Contains(err.Error(), "incomplete") {
		t.Errorf("got %v", err)
	}
}

// A parent hands in what it has, as the enclave takes it.
type parent map[uint32]string

func (p parent) dial(port uint32) (io.ReadCloser, error) {
	text, ok := p[port]
	if !ok {
		return nil, errors.New("connection reset")
	}
	return io.NopCloser(strings.NewReader(text)), nil
}

func TestWhatTheParentHandsIn(t *testing.T) {
	for _, tt := range []struct {
		name   string
		parent parent
		made   string // how the folder was made, and of what
		token  string
		failed bool
	}{
		{"a backup and a token", parent{backupPort: "the backup", tokenPort: "the token"}, "restore the backup", "the token", false},
		{"a backup alone keeps the token that was made", parent{backupPort: "the backup", tokenPort: ""}, "restore the backup", "made", false},
		{"a token alone, the first time", parent{backupPort: "", tokenPort: "the token"}, "init", "the token", false},
		{"no parent", parent{}, "", "", true},
		{"a parent that goes away", parent{backupPort: "the backup"}, "restore the backup", "made", true},
		{"a backup that is none", parent{backupPort: "damaged", tokenPort: "the token"}, "restore damaged", "made", true},
		{"too long a token", parent{backupPort: "the backup", tokenPort: strings.Repeat("x", maxToken+1)}, "restore the backup", "made", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir, made := t.TempDir(), ""
			token := filepath.Join(dir, "signer", "api-token.txt")
			err := takeIn(tt.parent.dial, func(args ...string) error {
				made = args[0]
				if len(args) == 2 {
					b, err := os.ReadFile(args[1])
					if err != nil {
						t.Fatal(err)
					}
					made += " " + string(b)
				}
				if err := os.Mkdir(filepath.Dir(token), 0o700); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(token, []byte("made"), 0o600); err != nil {
					t.Fatal(err)
				}
				if strings.Contains(made, "damaged") {
					return errors.New("no backup")
				}
				return nil
			}, dir)
			got, _ := os.ReadFile(token)
			if (err != nil) != tt.failed || made != tt.made || string(got) != tt.token {
				t.Errorf("error %v, made by %q, token %q", err, made, got)
			}
		})
	}
}

// Bytes go both ways, and the end of one side is the end of both.
func TestForwardsJoinTwoConnections(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	far, ours := net.Pipe()
	ended := make(chan struct{})
	go func() {
		forward(func() (io.ReadWriteCloser, error) { return listener.Accept() }, func() (io.ReadWriteCloser, error) { return far, nil })
		close(ended)
	}()
	near, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	read := func(c net.Conn) string {
		b := make([]byte, 4)
		if _, err := io.ReadFull(c, b); err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	if _, err := near.Write([]byte("ping")); err != nil || read(ours) != "ping" {
		t.Fatal("not there")
	}
	if _, err := ours.Write([]byte("pong")); err != nil || read(near) != "pong" {
		t.Fatal("not back")
	}
	near.Close()
	if _, err := ours.Read(make([]byte, 1)); err == nil {
		t.Error("the other side stays open")
	}
	listener.Close()
	<-ended
}

// A socket that nobody listens to is an error and no wait for ever. This kernel may
// have no vsock at all.
func TestNobodyListensOnVsock(t *testing.T) {
	if c, err := dialVsock(1, 1); err == nil {
		c.Close()
		t.Error("connected")
	} else if !strings.Contains(err.Error(), "vsock") {
		t.Errorf("got %v", err)
	}
}

func TestModesAreTwo(t *testing.T) {
	for _, args := range [][]string{nil, {"shell"}, {"vm", "enclave"}} {
		if err := run(args); err == nil {
			t.Errorf("%q is a mode", args)
		}
	}
}
