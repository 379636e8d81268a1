package main

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// An address is how this machine is reached. It comes from the host, which carries
// every packet anyway: it is no secret, and nothing is believed because of it.
type address struct {
	prefix  netip.Prefix
	gateway netip.Addr
}

// parseAddress reads "10.0.0.2/24 10.0.0.1".
func parseAddress(line string) (a address, err error) {
	fields := strings.Fields(line)
	if len(fields) != 2 {
		return a, fmt.Errorf("network %q: want address and gateway, such as 10.0.0.2/24 10.0.0.1", line)
	}
	if a.prefix, err = netip.ParsePrefix(fields[0]); err != nil {
		return a, fmt.Errorf("network: %w", err)
	}
	if a.gateway, err = netip.ParseAddr(fields[1]); err != nil {
		return a, fmt.Errorf("network: %w", err)
	}
	if !a.prefix.Addr().Is4() || !a.gateway.Is4() || !a.prefix.Contains(a.gateway) {
		return a, fmt.Errorf("network %q: want IPv4, and the gateway on the same network", line)
	}
	return a, nil
}

// configure brings loopback and the only other interface up. Source: netdevice(7).
func (a address) configure() error {
	name, err := interfaceName("/sys/class/net")
	if err != nil {
		return err
	}
	if err := up("lo"); err != nil {
		return err
	}
	s, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer closeSocket(s)
	mask := net.CIDRMask(a.prefix.Bits(), 32)
	for _, set := range []struct {
		request uint
		value   []byte
	}{{unix.SIOCSIFADDR, a.prefix.Addr().AsSlice()}, {unix.SIOCSIFNETMASK, mask}} {
		request, err := unix.NewIfreq(name)
		if err != nil {
			return err
		}
		if err := request.SetInet4Addr(set.value); err != nil {
			return err
		}
		if err := unix.IoctlIfreq(s, set.request, request); err != nil {
			return fmt.Errorf("address of %s: %w", name, err)
		}
	}
	if err := up(name); err != nil {
		return err
	}
	return a.route(s)
}

// up switches an interface on.
func up(name string) error {
	s, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer closeSocket(s)
	request, err := unix.NewIfreq(name)
	if err != nil {
		return err
	}
	request.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	if err := unix.IoctlIfreq(s, unix.SIOCSIFFLAGS, request); err != nil {
		return fmt.Errorf("switch %s on: %w", name, err)
	}
	return nil
}

// A routeEntry is the kernel's struct rtentry on 64-bit machines. Source: route(4).
type routeEntry struct {
	_       uint64
	dst     unix.RawSockaddrInet4
	gateway unix.RawSockaddrInet4
	mask    unix.RawSockaddrInet4
	flags   uint16
	_       int16
	_       uint64
	_       uint64 // type of service, class
	metric  int16
	_       [6]byte
	device  uintptr
	mtu     uint64
	window  uint64
	irtt    uint16
	_       [6]byte
}

// route sends everything else to the gateway.
func (a address) route(s int) error {
	entry := routeEntry{flags: unix.RTF_UP | unix.RTF_GATEWAY}
	entry.dst.Family, entry.gateway.Family, entry.mask.Family = unix.AF_INET, unix.AF_INET, unix.AF_INET
	entry.gateway.Addr = a.gateway.As4()
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(s), unix.SIOCADDRT, uintptr(unsafe.Pointer(&entry))); errno != 0 && !errors.Is(errno, unix.EEXIST) {
		return fmt.Errorf("route to %v: %w", a.gateway, errno)
	}
	return nil
}
