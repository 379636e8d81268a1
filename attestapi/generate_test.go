package attestapi

import (
	"encoding/json"
	"errors"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/secure-signer/secure-signer/attest"
	"github.com/secure-signer/secure-signer/eth2"
)

const gwei = 1_000_000_000 // in one Ether

// credentials of an execution address, of this type.
func credentials(kind byte) eth2.Root { return eth2.Root{0: kind, 31: 1} }

func TestAKeyIsMadeInsideWithItsDepositAndEvidenceForAPool(t *testing.T) {
	w := newWorld(t)
	nonce := attest.Nonce{5} // the pool's
	got := w.post(RouteGenerate, GenerateRequest{nonce, credentials(2), 2048 * gwei})
	var g Generated
	if err := json.Unmarshal(got.body, &g); err != nil || got.status != http.StatusOK {
		t.Fatalf("%d %s: %v", got.status, got.body, err)
	}
	if !w.serves(g.Pubkey) {
		t.Error("the key is not in service")
	}
	if err := w.judge(g.Evidence, nonce, nil, StatesGenerated); err != nil {
		t.Error(err)
	}
	d, err := ReadDocument(g.Evidence.Claims.Config)
	if err != nil || d.Generated == nil {
		t.Fatal(d, err)
	}
	if diff := cmp.Diff(g.DepositData, d.Generated); diff != "" {
		t.Errorf("the deposit is not that of the evidence: %s", diff)
	}
	if err := d.Generated.Check(); err != nil {
		t.Error(err)
	}
	if d.Generated.Pubkey.String() != g.Pubkey.String()[2:] || d.Generated.WithdrawalCredentials.String() != credentials(2).String()[2:] || d.Generated.Amount != 2048*gwei {
		t.Errorf("%+v", d.Generated)
	}

	// The pool's nonce alone makes it fresh, and one kind of evidence is not another.
	for name, err := range map[string]error{
		"another pool's nonce":        w.judge(g.Evidence, attest.Nonce{6}, nil, StatesGenerated),
		"taken for that of a channel": w.judge(g.Evidence, nonce, nil, StatesReceiptKey),
	} {
		if !errors.Is(err, attest.ErrNotAcceptable) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestTermsThatWouldLockEtherUpMakeNoKey(t *testing.T) {
	w := newWorld(t)
	for _, tt := range []struct {
		name        string
		credentials eth2.Root
		amount      uint64
	}{
		{"credentials of a BLS key", credentials(0), 32 * gwei},
		{"credentials of a type that does not exist", credentials(3), 32 * gwei},
		{"no address", eth2.Root{0: 1}, 32 * gwei},
		{"something between type and address", eth2.Root{0: 1, 11: 1, 31: 1}, 32 * gwei},
		{"too little", credentials(1), gwei - 1},
		{"more than earns", credentials(1), 32*gwei + 1},
		{"more than earns by compounding", credentials(2), 2048*gwei + 1},
		{"Wei for Gwei", credentials(2), 32 * gwei * gwei / 100},
	} {
		got := w.post(RouteGenerate, GenerateRequest{attest.Nonce{5}, tt.credentials, tt.amount})
		if got.status != http.StatusBadRequest || got.reason() != "malformed_request" {
			t.Errorf("%s: %d %s", tt.name, got.status, got.body)
		}
	}
	if n := len(w.Custody.List()); n > 0 {
		t.Errorf("%d keys were made", n)
	}
}

// The text of the settings is what policies are written by: a change of it makes
// every policy refuse.
func TestTheTextOfTheSettingsStaysAsItIs(t *testing.T) {
	w := newWorld(t, func(c *Config) {
		c.Settings.Horizon = Keeper{Kind: "witness", Identity: json.RawMessage(`{"witnesses":["a"]}`)}
		c.Settings.Release = Release{2, []attest.Hex{{2}, {1}}}
		c.Settings.Allow = []string{"VOLUNTARY_EXIT", "DEPOSIT"}
		c.Settings.HighWatermark.Epoch = pointer(eth2.Epoch(9))
	})
	got, err := Document{Settings: w.Settings, ReceiptKey: attest.Hex{7}}.encode()
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"settings":{"network":"hoodi","genesis_validators_root":"0x212f13fc4df078b6cb7db228f1c8307566dcecf900867401a92023d7ba99cb5f",` +
		`"genesis_time":1742213400,"genesis_fork_version":"0x10000910","seconds_per_slot":12,"slots_per_epoch":32,` +
		`"horizon":{"kind":"witness","identity":{"witnesses":["a"]}},"sealing":{"kind":"none"},"release":{"threshold":2,"keys":["01","02"]},` +
		`"new_key_floor":"clock","max_future_epochs":"2","allow":["DEPOSIT","VOLUNTARY_EXIT"],"high_watermark":{"epoch":"9","slot":null},"key_export":"none","hardening":"require"},` +
		`"receipt_key":"07"}`
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Error(diff)
	}
	back, err := ReadDocument(got)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(Document{Settings: w.Settings, ReceiptKey: attest.Hex{7}}, back); diff != "" {
		t.Error(diff)
	}
	for _, text := range []string{`{}{}`, `{"extra":1}`, `{"settings":{"network":"a","network":"b"}}`, `[]`} {
		if _, err := ReadDocument([]byte(text)); err == nil {
			t.Errorf("%s was read", text)
		}
	}
}
