package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// An enclave has one door, a vsock to its parent. Each forward is a port of the
// signer's loopback that is one of the parent's, or the other way round. The parent
// sees bytes of TLS, or of HTTP where nobody has configured TLS: it is the network.
const (
	parentCID = 3 // source: AWS Nitro Enclaves user guide, "Socket"

	signingPort = 9000 // from the parent in
	firstOut    = 9010 // from the enclave out, to whatever the parent connects: witnesses, key keepers, a beacon node
	lastOut     = 9025

	backupPort = 9003 // where the parent hands in a backup, or closes at once
	tokenPort  = 9004 // and the token of the keymanager and management APIs, which is not to be read from outside
)

// What a parent can hand in, in bytes.
const (
	maxBackup = 4 << 30
	maxToken  = 4 << 10
)

// prepareEnclave opens the door and takes in what the parent has. The data folder
// lies in memory: it ends with the enclave.
func prepareEnclave() error {
	if err := up("lo"); err != nil {
		return err
	}
	in, err := listenVsock(signingPort)
	if err != nil {
		return fmt.Errorf("listen to the parent: %w", err)
	}
	go forward(in.accept, func() (io.ReadWriteCloser, error) {
		return net.Dial("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(signingPort)))
	})
	for port := firstOut; port <= lastOut; port++ {
		out, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err != nil {
			return err
		}
		go forward(func() (io.ReadWriteCloser, error) { return out.Accept() }, func() (io.ReadWriteCloser, error) { return dialVsock(parentCID, uint32(port)) })
	}
	if err := os.MkdirAll(dataMount, 0o700); err != nil {
		return err
	}
	if err := mount("tmpfs", "tmpfs", dataMount, unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC); err != nil {
		return err
	}
	return takeIn(
		func(port uint32) (io.ReadCloser, error) { return dialVsock(parentCID, port) },
		func(args ...string) error {
			signer := exec.Command(signerPath, append(args, "--data-dir", dataFolder, "--config", settingsPath)...)
			signer.Stdout, signer.Stderr, signer.Env = os.Stdout, os.Stderr, []string{}
			return signer.Run()
		},
		dataMount,
	)
}

// takeIn makes the data folder of the backup that the parent hands in, or a new one
// if it has none; whether the backup is the latest, the horizon tells. A parent that
// does not answer, or breaks off what it sends, stops the start.
func takeIn(dial func(port uint32) (io.ReadCloser, error), signer func(args ...string) error, dir string) error {
	backup, token := filepath.Join(dir, "backup"), filepath.Join(dir, "token")
	n, err := receive(dial, backupPort, backup, maxBackup)
	if err != nil {
		return fmt.Errorf("take the backup from the parent: %w", err)
	}
	if n == 0 {
		err = signer("init")
	} else {
		err = signer("restore", backup)
	}
	if err != nil {
		return fmt.Errorf("make the data folder: %w", err)
	}
	if err := os.Remove(backup); err != nil {
		return err
	}
	n, err = receive(dial, tokenPort, token, maxToken)
	switch {
	case err != nil:
		return fmt.Errorf("take the token from the parent: %w", err)
	case n == 0:
		return os.Remove(token) // nobody outside knows the one that was made
	}
	return os.Rename(token, filepath.Join(dir, "signer", "api-token.txt"))
}

// receive writes what the parent sends on a port into a file.
func receive(dial func(port uint32) (io.ReadCloser, error), port uint32, path string, limit int64) (n int64, err error) {
	conn, err := dial(port)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return 0, err
	}
	n, err = io.Copy(file, io.LimitReader(conn, limit+1))
	if err = errors.Join(err, file.Close()); err == nil && n > limit {
		err = fmt.Errorf("more than %d bytes", limit)
	}
	return n, err
}

// forward joins each connection that is accepted with one that is dialled, until
// there are no more.
func forward(accept, dial func() (io.ReadWriteCloser, error)) {
	for {
		near, err := accept()
		if err != nil {
			fmt.Fprintf(os.Stderr, "boot: a port is closed: %v\n", err)
			return
		}
		go func() {
			defer near.Close()
			far, err := dial()
			if err != nil {
				return // as if nobody listened
			}
			defer far.Close()
			join(near, far)
		}()
	}
}

// join copies both ways until one side ends.
func join(a, b io.ReadWriter) {
	done := make(chan struct{}, 2)
	carry := func(to io.Writer, from io.Reader) {
		_, _ = io.Copy(to, from) // an end, of whatever kind, ends both
		done <- struct{}{}
	}
	go carry(a, b)
	go carry(b, a)
	<-done
}
