package main

import (
	"container/list"
	"errors"
	"net"
	"net/http"
	"sync"
	"syscall"
	"time"
)

// A boundedListener has at most so many connections open at a time: clients that
// keep them open would otherwise take the file descriptors that the journal
// needs for its next segment, and without that the store fails.
//
// Where there is no room, whoever knocks takes the place of the connection that
// has waited for its client for longest: of one that has never sent anything, and
// else of one that lies idle between two requests. If all are in the middle of a
// request, whoever knocks waits; the server's time-outs bound for how long.
type boundedListener struct {
	net.Listener
	limit int

	mu     sync.Mutex
	room   sync.Cond // that there may be room
	open   int
	silent list.List // of *boundedConn, the longest first
	idle   list.List // likewise
	closed bool
}

// grace is how long a connection may wait for its client before another takes
// its place: whoever has just connected has a request on its way.
const grace = time.Second

// bounded bounds the connections of l by n.
func bounded(l net.Listener, n int) *boundedListener {
	b := &boundedListener{Listener: l, limit: n}
	b.room.L = &b.mu
	return b
}

func (b *boundedListener) Accept() (net.Conn, error) {
	conn, err := b.Listener.Accept()
	if err != nil {
		return nil, err
	}
	if err := b.takeRoom(); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return &boundedConn{Conn: conn, release: sync.OnceFunc(b.giveRoom)}, nil
}

func (b *boundedListener) takeRoom() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	for b.open >= b.limit && !b.closed {
		longest := b.longest()
		if longest == nil {
			b.room.Wait()
			continue
		}
		if early := grace - time.Since(longest.since); early > 0 {
			wake := time.AfterFunc(early, b.room.Signal)
			b.room.Wait()
			wake.Stop()
			continue
		}
		b.forget(longest)
		b.mu.Unlock() // closing it gives its room
		_ = longest.Close()
		b.mu.Lock()
	}
	if b.closed {
		return net.ErrClosed
	}
	b.open++
	return nil
}

// longest is the connection to close first, nil if none waits for its client. It
// is called with the lock held.
func (b *boundedListener) longest() *boundedConn {
	first := b.silent.Front()
	if first == nil {
		first = b.idle.Front()
	}
	if first == nil {
		return nil
	}
	return first.Value.(*boundedConn)
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
	switch state {
	case http.StateNew:
		c.list = &b.silent
	case http.StateIdle:
		c.list = &b.idle
	default:
		return
	}
	c.since, c.place = time.Now(), c.list.PushBack(c)
	b.room.Signal()
}

// forget is called with the lock held.
func (b *boundedListener) forget(c *boundedConn) {
	if c.place != nil {
		c.list.Remove(c.place)
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

	// While it waits for its client; the listener's lock guards them.
	list  *list.List
	place *list.Element
	since time.Time
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
	// maxViewers bounds those to the status page: a browser takes up to six.
	maxViewers = 32
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
