package main

import (
	"net"
	"sync"
	"syscall"
)

// A boundedListener has at most so many connections open at a time; further
// ones wait, unaccepted. Clients that keep connections open would otherwise
// take the file descriptors that the journal needs for its next segment, and
// without that the store fails.
type boundedListener struct {
	net.Listener
	open   chan struct{} // a token for each connection
	closed chan struct{}
	close  func() error
}

// bounded bounds the connections of l by n.
func bounded(l net.Listener, n int) net.Listener {
	b := &boundedListener{Listener: l, open: make(chan struct{}, n), closed: make(chan struct{})}
	b.close = sync.OnceValue(func() error {
		close(b.closed)
		return l.Close()
	})
	return b
}

func (b *boundedListener) Accept() (net.Conn, error) {
	select {
	case b.open <- struct{}{}:
	case <-b.closed:
		return nil, net.ErrClosed
	}
	conn, err := b.Listener.Accept()
	if err != nil {
		<-b.open
		return nil, err
	}
	return boundedConn{conn, sync.OnceFunc(func() { <-b.open })}, nil
}

func (b *boundedListener) Close() error { return b.close() }

type boundedConn struct {
	net.Conn
	release func()
}

func (c boundedConn) Close() error {
	defer c.release()
	return c.Conn.Close()
}

const (
	// maxConnections is far more than validator clients open, and bounds the
	// memory of idle connections to some 100 MB.
	maxConnections = 8192
	// maxScrapes bounds those to the metrics.
	maxScrapes = 16
)

// connectionLimit leaves half of the file descriptors that this process may have
// to everything else.
func connectionLimit() int {
	var files syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err != nil || files.Cur/2 > maxConnections {
		return maxConnections
	}
	return max(1, int(files.Cur/2))
}
