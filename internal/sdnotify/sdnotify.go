// Package sdnotify tells the service manager that started this process how far it
// is, by the protocol of sd_notify(3): one datagram for each change, to the socket
// that NOTIFY_SOCKET names.
//
// The socket is opened once, by [Open]: a process that gives up opening sockets and
// files later goes on telling through it. Each message is whole or an error, and
// waits for nobody longer than [patience].
//
// Not guaranteed: that anybody heard. The protocol has no answer, and a manager that
// has not been told kills the process when its time is up.
package sdnotify

import (
	"fmt"
	"net"
	"os"
	"strings"
	"time"
)

// Variable names the socket in the environment of a service of Type=notify.
const Variable = "NOTIFY_SOCKET"

// patience is how long a manager that does not read may hold a message up.
const patience = time.Second

// A Manager is who started this process. A nil Manager, where nobody has to be told,
// takes every message and does nothing.
type Manager struct {
	conn *net.UnixConn
}

// Open opens the socket at address: a path, or @ and a name that no file has. It
// returns nil if the address is empty.
func Open(address string) (*Manager, error) {
	if address == "" {
		return nil, nil
	}
	if !strings.HasPrefix(address, "/") && !strings.HasPrefix(address, "@") {
		return nil, fmt.Errorf("%s=%s is neither a path nor @name", Variable, address)
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Net: "unixgram", Name: address})
	if err != nil {
		return nil, fmt.Errorf("reach the service manager at %s=%s: %w", Variable, address, err)
	}
	return &Manager{conn}, nil
}

// FromEnvironment opens the socket of this process's manager.
func FromEnvironment() (*Manager, error) { return Open(os.Getenv(Variable)) }

// Ready says that the service does its work, after its start as after a reload; the
// status is for a person who asks the manager.
func (m *Manager) Ready(status string) error {
	return m.send("READY=1", "STATUS="+line(status))
}

// Reloading says that settings are being read again, until the next Ready. A manager
// that has asked for it knows by the time that this is the answer, not an older one.
func (m *Manager) Reloading() error {
	if m == nil {
		return nil
	}
	now, err := monotonic()
	if err != nil {
		return fmt.Errorf("read the clock of the service manager: %w", err)
	}
	return m.send("RELOADING=1", fmt.Sprintf("MONOTONIC_USEC=%d", now.Microseconds()))
}

// Stopping says that the service ends, by itself or because it was asked to.
func (m *Manager) Stopping(status string) error {
	return m.send("STOPPING=1", "STATUS="+line(status))
}

// Close gives the socket back.
func (m *Manager) Close() error {
	if m == nil {
		return nil
	}
	return m.conn.Close()
}

func (m *Manager) send(assignments ...string) error {
	if m == nil {
		return nil
	}
	if err := m.conn.SetWriteDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	_, err := m.conn.Write([]byte(strings.Join(assignments, "\n")))
	return err
}

// line keeps a text from being taken for more assignments than one.
func line(text string) string { return strings.ReplaceAll(text, "\n", " ") }
