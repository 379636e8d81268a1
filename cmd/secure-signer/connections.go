package main

import (
	"container/list"
	"net"
	"net/http"
	"sync"
	"syscall"
)

// A boundedListener has at most so many connections open at a time: clients that
// keep them open would otherwise take the file descriptors that the journal
// needs for its next segment, and without that the store fails.
//
// Where there is no room, whoever knocks takes the place of the connection that
// has been waiting for its client for longest. If none waits, because all are in
// the middle of a request, further ones wait unaccepted; the server's time-outs
// bound for how long.
type boundedListener struct {
	net.Listener
	limit int

	mu      sync.Mutex
	room    sync.Cond // that open has fallen, waiting has grown, or closed is set
	open    int
	waiting list.List // of *boundedConn, the longest first
	closed  bool
}

// bounded bounds the connections of l by n.
func bounded(l net.Listener, n int) *boundedListener {
	b := &boundedListener{Listener: l, limit: n}
	b.room.L = &b.mu
	return b
}

func (b *boundedListener) Accept() (net.Conn, error) {
	if err := b.takeRoom(); err != nil {
		return nil, err
	}
	conn, err := b.Listener.Accept()
	if err != nil {
		b.giveRoom()
		return nil, err
	}
	return &boundedConn{Conn: conn, release: sync.OnceFunc(b.giveRoom)}, nil
}

func (b *boundedListener) takeRoom() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	for b.open >= b.limit && !b.closed {
		longest := b.waiting.Front()
		if longest == nil {
			b.room.Wait()
			continue
		}
		conn := longest.Value.(*boundedConn)
		b.forget(conn)
		b.mu.Unlock() // closing it gives its room
		_ = conn.Close()
		b.mu.Lock()
	}
	if b.closed {
		return net.ErrClosed
	}
	b.open++
	return nil
}

func (b *boundedListener) giveRoom() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.open--
	b.room.Signal()
}

// track is told by the server what a connection is doing. One that is new has
// sent nothing yet.
func (b *boundedListener) track(conn net.Conn, state http.ConnState) {
	if secured, ok := conn.(interface{ NetConn() net.Conn }); ok {
		conn = secured.NetConn()
	}
	c, ok := conn.(*boundedConn)
	if !ok {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.forget(c)
	if state == http.StateNew || state == http.StateIdle {
		c.place = b.waiting.PushBack(c)
		b.room.Signal()
	}
}

// forget is called with the lock held.
func (b *boundedListener) forget(c *boundedConn) {
	if c.place != nil {
		b.waiting.Remove(c.place)
		c.place = nil
	}
}

func (b *boundedListener) Close() error {
	b.mu.Lock()
	b.closed = true
	b.room.Signal()
	b.mu.Unlock()
	return b.Listener.Close()
}

type boundedConn struct {
	net.Conn
	release func()
	place   *list.Element // in the listener's waiting, whose lock guards it
}

func (c *boundedConn) Close() error {
	defer c.release()
	return c.Conn.Close()
}

// CloseWrite lets the server end an answer before it stops listening: a client
// that is still sending would see the connection reset, and not the answer.
func (c *boundedConn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
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
