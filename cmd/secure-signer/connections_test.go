package main

import (
	"errors"
	"net"
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
