package main

import (
	"bufio"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestIdleConnectionsLeaveFilesForTheJournal: clients that only connected once
// took every file descriptor, and the store failed at its next segment.
func TestIdleConnectionsLeaveFilesForTheJournal(t *testing.T) {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := bounded(inner, 2)
	accepted := make(chan net.Conn)
	ended := make(chan error, 1)
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				ended <- err
				return
			}
			accepted <- conn
		}
	}()
	for range 4 {
		client, err := net.Dial("tcp", inner.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
	}
	first, second := <-accepted, <-accepted
	select {
	case <-accepted:
		t.Fatal("a third connection was accepted while two were open")
	case <-time.After(50 * time.Millisecond):
	}
	for range 2 { // closing twice makes room for one
		first.Close()
	}
	third := <-accepted
	select {
	case <-accepted:
		t.Fatal("a connection that was closed twice made room for two")
	case <-time.After(50 * time.Millisecond):
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if err := <-ended; !errors.Is(err, net.ErrClosed) {
		t.Errorf("an Accept that waits for room ends with %v, want %v", err, net.ErrClosed)
	}
	second.Close()
	third.Close()
}

// TestWhoeverKnocksTakesThePlaceOfWhoeverWaits: a few thousand connections that
// sent nothing kept every new client out for minutes.
func TestWhoeverKnocksTakesThePlaceOfWhoeverWaits(t *testing.T) {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	const limit = 3
	l := bounded(inner, limit)
	working, done := make(chan struct{}), make(chan struct{})
	s := server(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/work" {
			close(working)
			<-done
		}
	}), slog.New(slog.DiscardHandler))
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(l) }()

	dial := func() net.Conn {
		conn, err := net.Dial("tcp", inner.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		return conn
	}
	ask := func(conn net.Conn, path string) {
		if _, err := io.WriteString(conn, "GET "+path+" HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
	}
	answered := func(conn net.Conn) bool {
		if err := conn.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
			t.Fatal(err)
		}
		line, err := bufio.NewReader(conn).ReadString('\n')
		return err == nil && strings.HasPrefix(line, "HTTP/1.1 200")
	}
	busy := dial()
	ask(busy, "/work")
	<-working
	kept := dial()
	ask(kept, "/")
	if !answered(kept) {
		t.Fatal("the first client of two was not answered")
	}
	for range limit { // each of those that stay silent has its second
		dial()
	}
	last := dial()
	ask(last, "/")
	if !answered(last) {
		t.Error("a new client was kept out by connections that wait")
	}
	ask(kept, "/")
	if !answered(kept) {
		t.Error("a client that keeps its connection gave way to silent ones")
	}
	for range 2 { // now one has to
		conn := dial()
		ask(conn, "/")
		if !answered(conn) {
			t.Error("a new client was kept out by idle connections")
		}
	}
	close(done)
	if !answered(busy) {
		t.Error("a connection was closed in the middle of a request")
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
		t.Error(err)
	}
}

// TestTheWholeAnswerReachesWhoeverSendsTooMuch: behind the bounded listener the
// server could not half-close, and the client's own bytes reset the connection
// before it had read the answer to its end.
func TestTheWholeAnswerReachesWhoeverSendsTooMuch(t *testing.T) {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := bounded(inner, 10)
	s := server(l, http.NotFoundHandler(), slog.New(slog.DiscardHandler))
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(l) }()
	conn, err := net.Dial("tcp", inner.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\nX: "+strings.Repeat("x", 200<<10)); err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(conn)
	if err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 431") {
		t.Errorf("got %q, %v", answer, err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	<-ended
}

func TestConnectionsTakeAtMostHalfOfTheFiles(t *testing.T) {
	var before syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &before); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &before); err != nil {
			t.Error(err)
		}
	}()
	few := syscall.Rlimit{Cur: 256, Max: before.Max}
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &few); err != nil {
		t.Fatal(err)
	}
	if n := connectionLimit(); n != 128 {
		t.Errorf("of 256 files %d connections, want 128", n)
	}
}
