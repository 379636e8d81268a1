package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// diskLabel is the name of the only file system that is mounted.
const diskLabel = "secure-signer"

// prepareMachine is what an operating system does at its start, as far as the
// signer needs it. The button that switches a machine off sends to stop.
func prepareMachine(stop chan<- os.Signal) error {
	for _, m := range []struct {
		kind, at string
		flags    uintptr
	}{
		{"proc", "/proc", unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC},
		{"sysfs", "/sys", unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC},
		{"devtmpfs", "/dev", unix.MS_NOSUID | unix.MS_NOEXEC},
		{"tmpfs", "/tmp", unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC},
	} {
		if err := mount(m.kind, m.kind, m.at, m.flags); err != nil {
			return err
		}
	}
	if err := loadModules("/modules"); err != nil {
		return err
	}
	if err := mount("configfs", "configfs", "/sys/kernel/config", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC); err != nil {
		return err
	}
	disk, err := findDisk("/sys/class/block", "/dev")
	if err != nil {
		return err
	}
	if err := mount(disk, "ext4", dataMount, unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC|unix.MS_NOATIME); err != nil {
		return err
	}
	text, err := os.ReadFile(filepath.Join(dataMount, "network"))
	if err != nil {
		return fmt.Errorf("how to reach this machine: %w: write a line such as \"10.0.0.2/24 10.0.0.1\" there, address and gateway", err)
	}
	address, err := parseAddress(string(text))
	if err != nil {
		return err
	}
	if err := address.configure(); err != nil {
		return err
	}
	return watchButtons("/dev/input", stop)
}

func mount(what, kind, at string, flags uintptr) error {
	if err := os.MkdirAll(at, 0o755); err != nil {
		return err
	}
	if err := unix.Mount(what, at, kind, flags, ""); err != nil {
		return fmt.Errorf("mount %s at %s: %w", what, at, err)
	}
	return nil
}

// loadModules loads the kernel's modules in the order of their names. Those of the
// other kind of hardware refuse: that is said, and no error.
func loadModules(dir string) error {
	names, err := filepath.Glob(filepath.Join(dir, "*.ko"))
	if err != nil || len(names) == 0 {
		return fmt.Errorf("no kernel modules in %s: the image is incomplete", dir)
	}
	for _, name := range slices.Sorted(slices.Values(names)) {
		file, err := os.Open(name)
		if err != nil {
			return err
		}
		err = unix.FinitModule(int(file.Fd()), "", 0)
		file.Close()
		if err != nil {
			fmt.Fprintf(os.Stderr, "boot: module %s: %v\n", filepath.Base(name), err)
		}
	}
	return nil
}

// findDisk returns the only block device that holds an ext4 file system of our
// label. Two are an error: which of them is the older is not for the host to say.
func findDisk(classes, devices string) (string, error) {
	blocks, err := os.ReadDir(classes)
	if err != nil {
		return "", err
	}
	var found []string
	for _, block := range blocks {
		path := filepath.Join(devices, block.Name())
		if label, err := ext4Label(path); err == nil && label == diskLabel {
			found = append(found, path)
		}
	}
	if len(found) != 1 {
		return "", fmt.Errorf("there are %d disks with the label %s, want one: mkfs.ext4 -L %s DISK", len(found), diskLabel, diskLabel)
	}
	return found[0], nil
}

// ext4Label reads the label from the superblock. Source: the kernel's
// Documentation/filesystems/ext4/super.rst.
func ext4Label(path string) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer file.Close()
	super := make([]byte, 1024)
	if _, err := file.ReadAt(super, 1024); err != nil {
		return "", err
	}
	if binary.LittleEndian.Uint16(super[0x38:]) != 0xef53 {
		return "", errors.New("no ext4")
	}
	label, _, _ := bytes.Cut(super[0x78:0x88], []byte{0})
	return string(label), nil
}

// keyPower is the code of the button that switches a machine off, and eventSize the
// length of an event. Source: linux/input-event-codes.h, linux/input.h.
const (
	eventKey  = 1
	keyPower  = 116
	eventSize = 24
)

// watchButtons sends SIGTERM once a button says that the machine is to be switched
// off, so that the signer stops cleanly and loses no epoch at the next start.
func watchButtons(dir string, stop chan<- os.Signal) error {
	names, err := filepath.Glob(filepath.Join(dir, "event*"))
	if err != nil {
		return err
	}
	for _, name := range names {
		file, err := os.Open(name)
		if err != nil {
			return err
		}
		go func() { // until the machine ends
			defer file.Close()
			if pressed(file) {
				stop <- syscall.SIGTERM
			}
		}()
	}
	if len(names) == 0 {
		fmt.Fprintln(os.Stderr, "boot: no power button: this machine cannot be stopped cleanly")
	}
	return nil
}

// pressed waits until the power button is.
func pressed(events io.Reader) bool {
	event := make([]byte, eventSize)
	for {
		if _, err := io.ReadFull(events, event); err != nil {
			return false
		}
		kind, code, value := binary.LittleEndian.Uint16(event[16:]), binary.LittleEndian.Uint16(event[18:]), binary.LittleEndian.Uint32(event[20:])
		if kind == eventKey && code == keyPower && value == 1 {
			return true
		}
	}
}

// interfaceName returns the only network interface besides loopback.
func interfaceName(dir string) (string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return "", err
	}
	var names []string
	for _, e := range entries {
		if e.Name() != "lo" {
			names = append(names, e.Name())
		}
	}
	if len(names) != 1 {
		return "", fmt.Errorf("network interfaces besides loopback: %q, want one", strings.Join(names, " "))
	}
	return names[0], nil
}
