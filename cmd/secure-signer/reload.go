package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/secure-signer/secure-signer/custody"
	"github.com/secure-signer/secure-signer/web3signer"
)

// A source is something that may change while the signer runs. If read fails,
// what was read before stays in use, and failed names what is not up to date: a
// source that cannot be read is unknown, never empty.
type source struct {
	name string
	read func(context.Context) (failed []string, err error)
}

// A reloader reads its sources again, one reload at a time.
type reloader struct {
	log     *slog.Logger
	manager notifier
	sources []source
	wanted  chan struct{} // holds a reload that has been started and not begun

	mu   sync.Mutex
	last web3signer.Reload // guarded by mu
}

func newReloader(log *slog.Logger, sources []source) *reloader {
	return &reloader{log: log, sources: sources, wanted: make(chan struct{}, 1), last: web3signer.Reload{State: web3signer.ReloadIdle}}
}

// start has run begin a reload, unless one is running.
func (r *reloader) start() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.last.State == web3signer.ReloadRunning {
		return false
	}
	r.last.State, r.last.Failed = web3signer.ReloadRunning, nil
	r.wanted <- struct{}{}
	return true
}

func (r *reloader) state() web3signer.Reload {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.last
}

// run does the reloads that are started until ctx ends. A hang-up starts one; if
// it comes during another, which may have read a file before it was changed, one
// more follows.
func (r *reloader) run(ctx context.Context, hangup <-chan os.Signal) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-hangup:
			r.start()
		case <-r.wanted:
			r.reload(ctx)
		}
	}
}

// maxNames bounds what GET /reload lists.
const maxNames = 100

func (r *reloader) reload(ctx context.Context) {
	r.log.Info("reload begun")
	r.manager.reloading()
	defer r.manager.ready()
	var names []string
	unread := 0
	for _, s := range r.sources {
		failed, err := s.read(ctx)
		if err != nil {
			unread++
			r.log.Error("reload: what was read before stays in use", "source", s.name, "error", err)
			names = append(names, s.name)
		}
		names = append(names, failed...)
	}
	state := web3signer.ReloadCompleted
	switch {
	case unread == len(r.sources):
		state = web3signer.ReloadFailed
	case len(names) > 0:
		state = web3signer.ReloadCompletedWithErrors
	}
	if len(names) > maxNames {
		names = append(names[:maxNames:maxNames], fmt.Sprintf("%d more", len(names)-maxNames))
	}
	r.log.Info("reload ended", "status", state)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last = web3signer.Reload{State: state, Ended: time.Now(), Failed: names}
}

// sources lists what this daemon reads again.
func (d *daemon) sources() []source {
	all := []source{
		{"api-token", func(context.Context) ([]string, error) { return nil, d.readToken() }},
		{"vault", d.reloadKeys},
	}
	if d.access.tls == nil {
		return all
	}
	return append(all, source{"tls", func(context.Context) ([]string, error) {
		if err := d.access.tls.Reload(); err != nil {
			return nil, err
		}
		d.access.warnTLS(d.log)
		return nil, nil
	}})
}

// readToken reads the token of the keymanager and management APIs.
func (d *daemon) readToken() error {
	token, err := d.dir.Token()
	if err != nil {
		return err
	}
	d.token.Store(&token)
	return nil
}

// reloadKeys reads what other processes have changed in the vault and brings
// into service which of its keys may be. It names those that could not be told
// to be safe to serve; that a key is deleted here is no such doubt.
func (d *daemon) reloadKeys(ctx context.Context) (failed []string, err error) {
	if err := d.vault.Err(); err != nil {
		return nil, fmt.Errorf("the vault takes no more changes until a restart: %w", err)
	}
	if err := d.vault.Refresh(ctx); err != nil {
		return nil, err
	}
	report, err := d.custody.Reload(ctx)
	if err != nil {
		return nil, err
	}
	for _, problem := range report.Problems {
		if !errors.Is(problem.Err, custody.ErrDisabled) {
			d.log.Error("key not in service", "pubkey", problem.PublicKey, "error", problem.Err)
			failed = append(failed, problem.PublicKey.String())
		}
	}
	return failed, nil
}
