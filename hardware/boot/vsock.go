package main

import (
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// A vsockListener accepts connections from the machine that this one runs on.
type vsockListener struct{ fd int }

// listenVsock listens on a port, with every CID that this machine has.
func listenVsock(port uint32) (vsockListener, error) {
	fd, err := unix.Socket(unix.AF_VSOCK, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return vsockListener{}, fmt.Errorf("vsock: %w: this kernel has none", err)
	}
	if err := unix.Bind(fd, &unix.SockaddrVM{CID: unix.VMADDR_CID_ANY, Port: port}); err != nil {
		closeSocket(fd)
		return vsockListener{}, fmt.Errorf("vsock port %d: %w", port, err)
	}
	if err := unix.Listen(fd, 128); err != nil {
		closeSocket(fd)
		return vsockListener{}, fmt.Errorf("vsock port %d: %w", port, err)
	}
	return vsockListener{fd}, nil
}

func (l vsockListener) accept() (io.ReadWriteCloser, error) {
	for {
		fd, _, err := unix.Accept4(l.fd, unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK)
		switch err {
		case nil:
			return os.NewFile(uintptr(fd), "vsock"), nil
		case unix.EINTR, unix.ECONNABORTED:
			continue
		}
		return nil, err
	}
}

// dialVsock connects to a port of another machine on the same host.
func dialVsock(cid, port uint32) (io.ReadWriteCloser, error) {
	fd, err := unix.Socket(unix.AF_VSOCK, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("vsock: %w: this kernel has none", err)
	}
	if err := unix.Connect(fd, &unix.SockaddrVM{CID: cid, Port: port}); err != nil {
		closeSocket(fd)
		return nil, fmt.Errorf("vsock %d:%d: %w", cid, port, err)
	}
	if err := unix.SetNonblock(fd, true); err != nil { // or every read would take a thread
		closeSocket(fd)
		return nil, err
	}
	return os.NewFile(uintptr(fd), "vsock"), nil
}

// closeSocket gives a socket back through which nothing went.
func closeSocket(fd int) { _ = unix.Close(fd) }
