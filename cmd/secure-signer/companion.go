package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/pflag"

	"github.com/secure-signer/secure-signer/internal/tlsfiles"
	"github.com/secure-signer/secure-signer/record/journal"
)

// companionFlags are those of a server that signs no duties and on which signers
// rely: a witness, or a key keeper.
type companionFlags struct {
	host string
	port uint16
	tls  tlsfiles.Config
	log  logFlags
}

// define names the flags. What is said of answers tells why TLS is not what makes
// them true.
func (f *companionFlags) define(flags *pflag.FlagSet, port uint16, who, answers string) {
	flags.StringVar(&f.host, "http-listen-host", "127.0.0.1", "`address` to listen at; 0.0.0.0 for all of this machine")
	flags.Uint16Var(&f.port, "http-listen-port", port, "its `port`; 0 takes a free one")
	flags.StringVar(&f.tls.CertFile, "tls-cert-file", "", "PEM `file` with a certificate: the "+who+" then speaks HTTPS only. "+answers)
	flags.StringVar(&f.tls.KeyFile, "tls-key-file", "", "PEM `file` with its private key")
	f.log.define(flags)
}

// A companion is such a server.
type companion struct {
	flags    companionFlags
	log      *slog.Logger
	access   access
	hangup   chan os.Signal
	hardened *hardening
	store    *journal.Store // nil where nothing is recorded
}

// open does what comes before the first secret is read.
func (f companionFlags) open(stderr io.Writer) (*companion, error) {
	c := &companion{flags: f, hangup: make(chan os.Signal, 1)}
	var err error
	if c.log, err = f.log.logger(stderr); err != nil {
		return nil, err
	}
	if c.access.tls, err = (accessFlags{tls: f.tls}).openTLS(); err != nil {
		return nil, err
	}
	c.access.warnTLS(c.log)
	if c.hardened, err = beginHardening(hardenBestEffort); err != nil {
		return nil, err
	}
	signal.Notify(c.hangup, syscall.SIGHUP) // from now on: unheeded, it ends the process
	return c, nil
}

func (c *companion) close() { signal.Stop(c.hangup) }

// serve answers with h until ctx is done or the store fails. The status is what the
// service manager shows; announce is told where it listens.
func (c *companion) serve(ctx context.Context, h http.Handler, status string, announce func(at net.Addr)) error {
	l, err := bind(c.flags.host, c.flags.port, "http", connectionLimit())
	if err != nil {
		return err
	}
	defer l.Close()
	manager := notifyManager(c.log, func() string { return status })
	c.hardened.seclude(c.log)
	s := server(l, h, c.log)
	failed := make(chan error, 1)
	go func() { failed <- s.Serve(c.access.secure(l, c.log)) }()

	announce(l.Addr())
	manager.ready()
	defer drain([]*http.Server{s}, c.log)
	defer manager.stopping()
	return c.wait(ctx, failed)
}

// url is where it is reached on this machine.
func (c *companion) url(at net.Addr) string { return c.access.scheme() + "://" + at.String() }

// wait returns when it is time to stop, and why. A hang-up reads the certificate
// again and nothing else, which it says: whoever has struck a program off a policy
// must not believe it done.
func (c *companion) wait(ctx context.Context, failed <-chan error) error {
	var broken <-chan struct{}
	if c.store != nil {
		broken = c.store.Failed()
	}
	for {
		select {
		case <-ctx.Done():
			c.log.Info("stopping: finishing what is in flight")
			return nil
		case err := <-failed:
			return err
		case <-broken:
			return fmt.Errorf("the store failed and a restart is needed: %w", c.store.Err())
		case <-c.hangup:
			c.reload()
		}
	}
}

func (c *companion) reload() {
	tls := c.access.tls
	if tls == nil {
		c.log.Warn("nothing was read again: for other settings restart")
		return
	}
	if err := tls.Reload(); err != nil {
		c.log.Error("the certificate stays as it was", "error", err)
		return
	}
	c.log.Info("the certificate was read again: for other settings restart", "expires", tls.Expires())
}
