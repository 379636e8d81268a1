package main

import (
	"fmt"
	"log/slog"

	"github.com/secure-signer/secure-signer/internal/sdnotify"
)

// A notifier tells the service manager, where one has started this process, what a
// person would ask it. That it cannot be told is logged, and no reason to sign
// nothing. The zero notifier has nobody to tell.
type notifier struct {
	manager *sdnotify.Manager
	log     *slog.Logger
	status  func() string // of a service that is ready
}

// notifyManager opens the way to the manager. It comes before the hardening, which
// leaves open what is open.
func notifyManager(log *slog.Logger, status func() string) notifier {
	m, err := sdnotify.FromEnvironment()
	if err != nil {
		log.Warn("the service manager will not learn that the start has succeeded", "error", err)
	}
	return notifier{manager: m, log: log, status: status}
}

func (n notifier) ready() {
	if n.manager != nil {
		n.told(n.manager.Ready(n.status()))
	}
}

func (n notifier) reloading() { n.told(n.manager.Reloading()) }

func (n notifier) stopping() { n.told(n.manager.Stopping("finishing what is in flight")) }

func (n notifier) told(err error) {
	if err != nil {
		n.log.Warn("the service manager could not be told", "error", err)
	}
}

// working is what the manager shows of a signer that is ready.
func (d *daemon) working() string {
	return fmt.Sprintf("%d keys in service, of %d held, on %s", d.keyring.Len(), d.vault.Len(), d.network.Name)
}
