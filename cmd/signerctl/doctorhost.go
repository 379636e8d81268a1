package main

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// A host is what this machine tells of itself.
type host struct {
	proc   string                                      // where the kernel shows its processes
	statfs func(path string) (syscall.Statfs_t, error) // of a file system
	synced func() (synced, known bool)                 // whether something keeps the clock right
}

func thisHost() host {
	return host{
		proc: "/proc",
		statfs: func(path string) (fs syscall.Statfs_t, err error) {
			err = syscall.Statfs(path, &fs)
			return fs, err
		},
		synced: func() (bool, bool) {
			const unsynced = 5 // adjtimex(2): TIME_ERROR
			state, err := syscall.Adjtimex(&syscall.Timex{})
			return state != unsynced, err == nil
		},
	}
}

// Kinds of file system that a data folder should not be on.
// Source: linux/include/uapi/linux/magic.h.
var (
	remote   = map[uint32]string{0x6969: "NFS", 0x517b: "SMB", 0xff534d42: "CIFS", 0xfe534d42: "SMB2", 0x65735546: "FUSE", 0x01021997: "9P", 0x00c36400: "Ceph", 0x5346414f: "AFS"}
	volatile = map[uint32]string{0x01021994: "tmpfs", 0x858458f6: "ramfs"}
)

// What a disk should have free. A journal that cannot grow stops the signer.
const (
	littleSpace = 1 << 30
	noSpace     = 64 << 20
)

func (e *examination) examineDisk(folder string) {
	fs, err := e.host.statfs(folder)
	if err != nil {
		e.fail("disk", "is the disk mounted, and does --data-dir name the folder?", "%s: %v", folder, err)
		return
	}
	const readOnly = 1 // statfs(2): ST_RDONLY
	free := fs.Bavail * uint64(fs.Bsize)
	kind := uint32(fs.Type)
	switch {
	case fs.Flags&readOnly != 0:
		e.fail("disk", "look at the kernel's log for errors of the disk; mount it again to write", "the file system of %s is mounted read-only", folder)
	case free < noSpace:
		e.fail("disk", "make room", "%d MB are free: the signer is about to stop", free>>20)
	case free < littleSpace:
		e.warn("disk", "make room", "%d MB are free", free>>20)
	default:
		e.ok("disk", "%d GB are free", free>>30)
	}
	if name, ok := remote[kind]; ok {
		e.warn("filesystem", "move the folder to a local disk, as docs/operations.md moves a signer", "%s: over a network locks may fail to exclude a second signer, and what was written may not be durable", name)
	}
	if name, ok := volatile[kind]; ok {
		e.fail("filesystem", "move the folder to a disk, as docs/operations.md moves a signer", "%s: keys and slashing protection are gone after a restart of the machine", name)
	}
}

// examineClock holds the clock against genesis, and asks whether anything keeps it
// right.
func (e *examination) examineClock() {
	const fix = "set the clock, and run chrony or systemd-timesyncd"
	if e.folder != nil {
		genesis := e.folder.Network.GenesisTime
		slot, started := e.folder.Network.SlotAt(e.now.Unix())
		switch {
		case genesis == 0:
			e.warn("clock", "make the folder with init --from-beacon, or a config.yaml that has it", "the time of genesis is not known, so nothing bounds what is signed ahead of time")
		case !started:
			e.warn("clock", fix+", unless the chain has not begun yet", "it is before genesis, %s", time.Unix(int64(genesis), 0).UTC().Format(time.RFC3339))
		default:
			e.ok("clock", "slot %d, epoch %d", slot, e.folder.Network.EpochOf(slot))
		}
	}
	switch synced, known := e.host.synced(); {
	case !known:
		e.ok("ntp", "the kernel does not tell whether the clock is kept right")
	case !synced:
		e.warn("ntp", fix+"; in a container or a virtual machine look at its host", "nothing keeps the clock right, as far as the kernel knows")
	default:
		e.ok("ntp", "the clock is kept right")
	}
}

// A running is a signer that serves on this machine.
type running struct {
	pid    int
	folder string // "" where it is not known
}

// signers returns the signers on this machine that this user may look at.
func (h host) signers() []running {
	var found []running
	files, _ := filepath.Glob(filepath.Join(h.proc, "[0-9]*", "cmdline"))
	for _, file := range files {
		text, err := os.ReadFile(file)
		args := strings.Split(strings.TrimSuffix(string(text), "\x00"), "\x00")
		if err != nil || filepath.Base(args[0]) != "secure-signer" || !slices.Contains(args, "serve") {
			continue
		}
		dir := filepath.Dir(file)
		pid, _ := strconv.Atoi(filepath.Base(dir))
		folder := flagOf(args, "--data-dir")
		if folder != "" && !filepath.IsAbs(folder) {
			cwd, err := os.Readlink(filepath.Join(dir, "cwd"))
			if err != nil {
				folder = ""
			} else {
				folder = filepath.Join(cwd, folder)
			}
		}
		found = append(found, running{pid, folder})
	}
	return found
}

func flagOf(args []string, name string) string {
	for i, arg := range args {
		if value, ok := strings.CutPrefix(arg, name+"="); ok {
			return value
		}
		if arg == name && i+1 < len(args) {
			return args[i+1]
		}
	}
	return ""
}

// listener says which process listens on a TCP port, as far as this user may know.
// It is false if none does.
func (h host) listener(port int) (string, bool) {
	inode := ""
	for _, table := range []string{"net/tcp", "net/tcp6"} {
		text, err := os.ReadFile(filepath.Join(h.proc, table))
		if err != nil {
			continue
		}
		for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
			const local, state, node, listen = 1, 3, 9, "0A" // proc_net_tcp(5)
			f := strings.Fields(lines.Text())
			if len(f) > node && f[state] == listen && strings.HasSuffix(f[local], fmt.Sprintf(":%04X", port)) {
				inode = f[node]
			}
		}
	}
	if inode == "" {
		return "", false
	}
	links, _ := filepath.Glob(filepath.Join(h.proc, "[0-9]*", "fd", "*"))
	for _, link := range links {
		if to, err := os.Readlink(link); err == nil && to == "socket:["+inode+"]" {
			dir := filepath.Dir(filepath.Dir(link))
			name, _ := os.ReadFile(filepath.Join(dir, "comm"))
			return fmt.Sprintf("process %s (%s)", filepath.Base(dir), strings.TrimSpace(string(name))), true
		}
	}
	return "a process of another user", true
}

// limit returns a soft limit of a process, in the unit of proc_pid_limits(5).
func (h host) limit(pid int, name string) (uint64, bool) {
	text, err := os.ReadFile(filepath.Join(h.proc, strconv.Itoa(pid), "limits"))
	if err != nil {
		return 0, false
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, name); ok {
			soft, _, _ := strings.Cut(strings.TrimSpace(rest), " ")
			n, err := strconv.ParseUint(soft, 10, 64)
			return n, err == nil // "unlimited" limits nothing
		}
	}
	return 0, false
}
