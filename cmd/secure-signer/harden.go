package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"github.com/secure-signer/secure-signer/bls"
	"github.com/secure-signer/secure-signer/confine"
	"github.com/secure-signer/secure-signer/internal/cli"
	"github.com/secure-signer/secure-signer/web3signer"
)

// The values of --hardening.
const (
	hardenBestEffort = "best-effort"
	hardenRequire    = "require"
	hardenOff        = "off"
)

// A hardening is what this process has given up, part by part, so that whoever
// takes it over gets little.
type hardening struct {
	mode  string
	parts []part
}

type part struct {
	name string
	err  error // why it did not take
}

// beginHardening gives up what not even the start needs. It comes before the first
// secret is read.
func beginHardening(mode string) (*hardening, error) {
	h := &hardening{mode: mode}
	switch mode {
	case hardenOff:
		return h, nil
	case hardenBestEffort, hardenRequire:
		h.add("core-dumps", confine.NoDumps())
		h.add("programs", confine.NoPrograms())
		return h, nil
	}
	return nil, fmt.Errorf("%w: --hardening %q: use %s, %s or %s", cli.ErrUsage, mode, hardenBestEffort, hardenRequire, hardenOff)
}

// harden finishes the hardening of a daemon that has everything open.
func (d *daemon) harden(f serveFlags) error {
	n, err := f.needs(d)
	if err != nil {
		return err
	}
	err = d.hardened.finish(n, d.keyring.Protections())
	d.hardened.log(d.log)
	return err
}

// finish gives up what only the start has needed: everything is open, and the
// first request has not been read yet. An error means that --hardening require
// asks for more than took.
func (h *hardening) finish(n needs, memory []string) error {
	if h.mode == hardenOff {
		return nil
	}
	h.add("memory", protected(memory))
	files, ports := confine.Limit(n.Access)
	h.add("files", files)
	h.add("ports", ports)
	if !n.sockets {
		h.add("sockets", confine.NoSockets())
	}
	if missing := h.missing(); len(missing) > 0 && h.mode == hardenRequire {
		return fmt.Errorf("--hardening require: not everything takes here: %s: allow it in the kernel or the container, or start with --hardening best-effort", strings.Join(missing, "; "))
	}
	return nil
}

// seclude finishes the hardening of a command that answers, and asks nobody: its
// listener is open. It keeps few files and no keys of validators.
func (h *hardening) seclude(log *slog.Logger) {
	h.add("sockets", confine.NoSockets())
	h.log(log)
}

// protected tells whether the memory of the keys is as it should be.
func protected(memory []string) error {
	var lacks []string
	for _, p := range []string{bls.ProtectionLocked, bls.ProtectionNoDump, bls.ProtectionNoFork} {
		if !slices.Contains(memory, p) {
			lacks = append(lacks, p)
		}
	}
	if len(lacks) > 0 {
		return errors.New("the keys lie in memory that is not " + strings.Join(lacks, ", ") + " (more may be locked with: ulimit -l)")
	}
	return nil
}

func (h *hardening) add(name string, err error) { h.parts = append(h.parts, part{name, err}) }

func (h *hardening) took() []string {
	took := []string{} // never null in JSON
	for _, p := range h.parts {
		if p.err == nil {
			took = append(took, p.name)
		}
	}
	return took
}

func (h *hardening) missing() []string {
	missing := []string{}
	if h.mode == hardenOff {
		return append(missing, "everything: --hardening off")
	}
	for _, p := range h.parts {
		if p.err != nil {
			missing = append(missing, fmt.Sprintf("%s: %v", p.name, p.err))
		}
	}
	return missing
}

// log tells at the start what took and what did not, and why.
func (h *hardening) log(log *slog.Logger) {
	level := slog.LevelInfo
	if len(h.missing()) > 0 {
		level = slog.LevelWarn
	}
	log.Log(context.Background(), level, "hardening", "took", h.took(), "missing", h.missing())
}

// banner tells the same to a person.
func (h *hardening) banner() string {
	lines := []string{strings.Join(h.took(), ", ")}
	for _, m := range h.missing() {
		lines = append(lines, "            missing: "+m)
	}
	return strings.TrimSpace(strings.Join(lines, "\n"))
}

// check is what /healthcheck shows of it: what is missing takes nothing down.
func (h *hardening) check() web3signer.Check {
	return web3signer.Check{ID: "hardening", Up: true, Data: map[string]any{"took": h.took(), "missing": h.missing()}}
}
