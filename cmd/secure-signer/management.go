package main

import (
	"syscall"

	"github.com/secure-signer/secure-signer/internal/cli"
	"github.com/secure-signer/secure-signer/management"
)

// management is what the management API and the status page tell of this daemon,
// once it is hardened.
func (d *daemon) management() management.Config {
	return management.Config{
		Custody: d.custody, Guard: d.guard, Network: d.network, Release: cli.Release(), Started: d.started,
		Platform: d.platform.status(), Horizon: d.horizon.status,
		Hardening: management.Hardening{Took: d.hardened.took(), Missing: d.hardened.missing()},
		StoreErr:  d.journal.Err, Head: d.journal.Head, Size: d.storeSize,
		Backup: d.backup, Log: d.log,
	}
}

// storeSize is what the journal takes, and what its disk has left for those who
// are not root.
func (d *daemon) storeSize() management.Size {
	stats := d.journal.Stats()
	size := management.Size{Records: stats.Keys, FileBytes: uint64(stats.FileBytes)}
	var disk syscall.Statfs_t
	if err := syscall.Statfs(d.dir.Journal(), &disk); err == nil {
		free := disk.Bavail * uint64(disk.Bsize)
		size.DiskFreeBytes = &free
	}
	return size
}
