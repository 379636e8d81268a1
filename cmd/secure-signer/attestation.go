package main

import (
	"encoding/json"
	"net/http"
	"strconv"

	"github.com/secure-signer/secure-signer/attest"
	"github.com/secure-signer/secure-signer/attestapi"
	"github.com/secure-signer/secure-signer/eth2"
	"github.com/secure-signer/secure-signer/internal/datadir"
	"github.com/secure-signer/secure-signer/internal/tlsfiles"
)

// attestation is the attestation API over this daemon's parts. On a platform that is
// none it only says so.
func (f serveFlags) attestation(d *daemon) (attestapi.Routes, error) {
	settings, err := f.settings(d.dir.Binding)
	if err != nil {
		return attestapi.Routes{}, err
	}
	c := attestapi.Config{
		TLSKey:   func(r *http.Request) []byte { return tlsfiles.ShownKey(r.Context()) },
		Settings: settings, Network: d.network,
		Custody: d.custody, Guard: d.guard, Keys: d.keyring, Log: d.log,
	}
	if d.platform.Platform != nil {
		c.Evidence = d.platform.Evidence
	}
	return attestapi.New(c)
}

// settings are what evidence tells of the flags and of the folder's binding, in one
// form for each meaning.
func (f serveFlags) settings(b datadir.Binding) (attestapi.Settings, error) {
	_, allowed, _, err := f.parse()
	if err != nil {
		return attestapi.Settings{}, err
	}
	s := attestapi.Settings{
		Horizon:         keptBy(b.Horizon),
		Sealing:         keptBy(b.Sealing),
		Release:         attestapi.Release{Threshold: b.Release.Threshold},
		NewKeyFloor:     f.newKeyFloor,
		MaxFutureEpochs: "off",
		HighWatermark:   attestapi.HighWatermark{Epoch: f.stopEpoch.value, Slot: f.stopSlot.value},
		KeyExport:       attestapi.KeyExportOwner,
		Hardening:       f.hardening,
	}
	if guards(b.Platform) {
		s.KeyExport = attestapi.KeyExportNone
	}
	if epochs, unbounded, err := parseBound(f.maxFutureEpochs); err != nil {
		return s, err
	} else if !unbounded {
		s.MaxFutureEpochs = strconv.FormatUint(epochs, 10)
	}
	for _, key := range b.Release.Keys {
		s.Release.Keys = append(s.Release.Keys, attest.Hex(key))
	}
	s.Allow = kindNames(allowed)
	return s, nil
}

func kindNames(kinds []eth2.Kind) []string {
	names := make([]string, len(kinds))
	for i, k := range kinds {
		names[i] = k.String()
	}
	return names
}

func keptBy(k datadir.Keeper) attestapi.Keeper {
	if k.Kind == "" {
		return attestapi.Keeper{Kind: attestapi.NoKeeper}
	}
	return attestapi.Keeper{Kind: k.Kind, Identity: json.RawMessage(k.Identity)}
}
