package main

import (
	"crypto/ed25519"
	"reflect"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/secure-signer/secure-signer/attestapi"
	"github.com/secure-signer/secure-signer/internal/datadir"
)

// told are the settings of serve with these flags.
func told(t *testing.T, b datadir.Binding, flags ...string) attestapi.Settings {
	t.Helper()
	var f serveFlags
	cmd := &cobra.Command{}
	f.define(cmd)
	if err := cmd.ParseFlags(flags); err != nil {
		t.Fatal(err)
	}
	s, err := f.settings(b)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// matters are the flags of serve that change what evidence binds, with a value that
// does.
var matters = map[string]string{
	"new-key-floor":        "none",
	"max-future-epochs":    "off",
	"high-watermark-epoch": "0",
	"high-watermark-slot":  "0",
	"allow":                "DEPOSIT",
	"hardening":            "off",
}

// indifferent are those that do not, and why they need not.
var indifferent = map[string]string{
	"data-dir":        "what is in it is sealed, and bound by its own settings",
	"passphrase-file": "with trusted hardware there is none",

	"platform":         "evidence says itself what it is of",
	"attestation-dir":  "where the hardware is: another place gives no genuine evidence",
	"nsm-device":       "the same",
	"tsm-dir":          "the same",
	"sev-guest-device": "it gives the sealing key, and not the evidence; but nothing else than AMD's driver answers what it is asked",
	"tpm":              "the same",
	"tpm-ak-chain":     "a certificate that the verifier judges",
	"tpm-pcrs":         "of a folder that is being made; the vault remembers",
	"collateral-dir":   "signed by its maker, and judged by the verifier",
	"key-keeper":       "where it is: who it is stands in the folder's binding",
	"dev-root":         "the verifier names the root",
	"dev-debug":        "evidence says so itself",

	"horizon-claim-until": "epochs that are claimed too early are lost, never signed in twice",

	"http-listen-host": "who reaches it may ask for duties: the host decides, whatever flags say", "http-listen-port": "the same",
	"http-host-allowlist": "the same", "http-cors-origins": "the same", "tls-known-clients-file": "the same", "tls-client-ca-file": "the same",
	"tls-cert-file": "evidence names the key of each connection", "tls-key-file": "the same",
	"keymanager-auth": "whoever gets in may add keys of his own and delete keys, which the host can, too, and no more",

	"metrics-listen-host": "counts", "metrics-listen-port": "counts", "metrics-host-allowlist": "counts",
	"management-listen-host": "public keys, and when they last signed", "management-listen-port": "the same", "management-host-allowlist": "the same",
	"audit-log": "nothing that is signed rests on it, and the host can take it away at any time", "audit-log-megabytes": "the same",
	"log-level": "no secret is logged", "log-format": "no secret is logged",
}

// A flag that is new is in neither list: whoever adds it decides.
func TestEveryFlagIsBoundByEvidenceOrNeedNotBe(t *testing.T) {
	plain := told(t, datadir.Binding{})
	var f serveFlags
	cmd := &cobra.Command{}
	f.define(cmd)
	cmd.Flags().VisitAll(func(flag *pflag.Flag) {
		value, bound := matters[flag.Name]
		if bound == (indifferent[flag.Name] != "") {
			t.Errorf("--%s: say whether evidence must bind it: in settings, or in this test why not", flag.Name)
		}
		if bound && reflect.DeepEqual(plain, told(t, datadir.Binding{}, "--"+flag.Name, value)) {
			t.Errorf("--%s %s makes no difference to the settings", flag.Name, value)
		}
	})
	if got := told(t, datadir.Binding{}, "--max-future-epochs", "01"); !reflect.DeepEqual(plain, got) {
		t.Errorf("one meaning in two forms: %+v", got)
	}
}

func TestEveryPartOfABindingIsBoundByEvidence(t *testing.T) {
	key := make(ed25519.PublicKey, ed25519.PublicKeySize)
	plain := told(t, datadir.Binding{})
	for name, b := range map[string]datadir.Binding{
		"the horizon":                   {Horizon: datadir.Keeper{Kind: "tpm", Identity: []byte(`{}`)}},
		"who keeps the sealing key":     {Sealing: datadir.Keeper{Kind: "peer", Identity: []byte(`{}`)}},
		"the release keys":              {Release: datadir.Release{Threshold: 1, Keys: []ed25519.PublicKey{key}}},
		"whether its owner has the key": {Platform: "gramine"},
	} {
		if reflect.DeepEqual(plain, told(t, b)) {
			t.Errorf("%s makes no difference to the settings", name)
		}
	}
	if n := reflect.TypeFor[datadir.Binding]().NumField(); n != 4 {
		t.Errorf("a Binding has %d fields: is the new one in the settings?", n)
	}
}
