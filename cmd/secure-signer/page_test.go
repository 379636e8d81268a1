package main

import (
	"bytes"
	"log/slog"
	"net"
	"strings"
	"testing"
)

// TestThePagesPortIsNotWorthADuty: whoever runs two signers on one machine, each on
// ports of its own, did so before there was a page.
func TestThePagesPortIsNotWorthADuty(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	f := serveFlags{httpHost: "127.0.0.1", metricsHost: "127.0.0.1"}
	f.management = pageFlags{host: "127.0.0.1", port: uint16(taken.Addr().(*net.TCPAddr).Port)}
	at, err := f.bind()
	if err != nil {
		t.Fatalf("it does not start: %v", err)
	}
	defer at.close()
	var log bytes.Buffer
	at.page.warn(slog.New(slog.NewTextHandler(&log, nil)))
	if at.page.on() || at.page.address() != noPage || !strings.Contains(log.String(), "--management-listen-port") {
		t.Errorf("page %s, and the log says %q", at.page.address(), log.String())
	}
}
