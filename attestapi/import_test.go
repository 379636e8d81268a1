package attestapi

import (
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/secure-signer/secure-signer/attest"
	"github.com/secure-signer/secure-signer/bls"
	"github.com/secure-signer/secure-signer/custody"
	"github.com/secure-signer/secure-signer/eth2"
)

// interchange says that pub has signed a block at slot and a vote.
func (w *world) interchange(pub bls.PublicKey, genesis eth2.Root) string {
	return fmt.Sprintf(`{"metadata":{"interchange_format_version":"5","genesis_validators_root":%q},"data":[
		{"pubkey":%q,"signed_blocks":[{"slot":"7000"}],"signed_attestations":[{"source_epoch":"218","target_epoch":"219"}]}]}`, genesis, pub)
}

func pointer[T any](v T) *T { return &v }

// imports sends a request that must succeed, and returns what its receipt says.
func (w *world) imports(a Attested, req ImportRequest) (Receipt, Imported) {
	w.t.Helper()
	got := w.post(RouteImport, req)
	var out Imported
	if err := json.Unmarshal(got.body, &out); err != nil || got.status != http.StatusOK {
		w.t.Fatalf("%d %s: %v", got.status, got.body, err)
	}
	d, err := ReadDocument(a.Evidence.Claims.Config)
	if err != nil {
		w.t.Fatal(err)
	}
	r, err := out.Verify(d.ReceiptKey)
	if err != nil {
		w.t.Fatal(err)
	}
	return r, out
}

func TestAnImportBringsTheKeyIntoServiceAndSaysSo(t *testing.T) {
	w := newWorld(t)
	a, _ := w.ask(attest.Nonce{1})
	sk := newKey(t)
	history := History{SlashingProtection: w.interchange(sk.PublicKey(), w.Network.GenesisValidatorsRoot)}
	r, imported := w.imports(a, w.sealFor(a, sk, history))
	want := Receipt{
		Pubkey: sk.PublicKey(), Status: custody.Imported, GenesisValidatorsRoot: w.Network.GenesisValidatorsRoot,
		Horizon: Keeper{Kind: NoKeeper}, History: true,
		Floors:      Floors{pointer(eth2.Slot(7000)), pointer(eth2.Epoch(218)), pointer(eth2.Epoch(219))},
		ImportNonce: a.ImportNonce, Evidence: digest(a.Evidence), Time: r.Time,
	}
	if diff := cmp.Diff(want, r); diff != "" || r.Time.IsZero() {
		t.Error(diff, r.Time)
	}
	if !w.serves(sk.PublicKey()) {
		t.Error("the key is not in service")
	}

	// The nonce in the answer is good for the next key, which has no history: it
	// starts at the clock.
	a.ImportNonce = imported.ImportNonce
	next := newKey(t)
	r, imported = w.imports(a, w.sealFor(a, next, History{None: true}))
	if want := (Floors{pointer(eth2.Slot(epochNow*32 + 1)), pointer(eth2.Epoch(epochNow - 1)), pointer(eth2.Epoch(epochNow))}); !cmp.Equal(r.Floors, want) || r.History {
		t.Errorf("without history: %s", cmp.Diff(want, r.Floors))
	}
	a.ImportNonce = imported.ImportNonce
	if r, _ = w.imports(a, w.sealFor(a, next, History{None: true})); r.Status != custody.Duplicate {
		t.Errorf("again: %s", r.Status)
	}
}

func TestAnImportThatIsReplayedIsRefused(t *testing.T) {
	w := newWorld(t)
	now := time.Now()
	w.nonces = newNonces(func() time.Time { return now })
	a, _ := w.ask(attest.Nonce{1})
	sk := newKey(t)
	req := w.sealFor(a, sk, History{None: true})
	w.imports(a, req)
	if _, err := w.Custody.Delete(t.Context(), sk.PublicKey()); err != nil {
		t.Fatal(err)
	}
	refused := func(what string, req ImportRequest) {
		t.Helper()
		if got := w.post(RouteImport, req); got.status != http.StatusConflict || got.reason() != ReasonImportNonce {
			t.Errorf("%s: %d %s", what, got.status, got.body)
		}
		if w.serves(sk.PublicKey()) {
			t.Errorf("%s: the key is in service", what)
		}
	}
	refused("the same request again", req)
	a, _ = w.ask(attest.Nonce{2})
	late := w.sealFor(a, sk, History{None: true})
	now = now.Add(ImportTime)
	refused("a nonce that has expired", late)
	b, _ := newWorld(t).ask(attest.Nonce{3})
	refused("a nonce of another run", w.sealFor(b, sk, History{None: true}))
	a, _ = w.ask(attest.Nonce{4})
	for range maxNonces { // a flood drives out what was there before it
		w.nonces.draw(attest.Digest{})
	}
	refused("a nonce that a flood has driven out", w.sealFor(a, sk, History{None: true}))
	if n := len(w.nonces.open); n > maxNonces {
		t.Errorf("%d nonces are remembered", n)
	}
}

func TestABundleThatIsNotWhatItWasSentForIsRefused(t *testing.T) {
	sk, other := newKey(t), newKey(t)
	none := History{None: true}
	tests := []struct {
		name   string
		reason string
		change func(w *world, a Attested) ImportRequest
	}{
		{"a byte has changed", ReasonBundleRefused, func(w *world, a Attested) ImportRequest {
			r := w.sealFor(a, sk, none)
			r.Sealed[len(r.Sealed)-1] ^= 1
			return r
		}},
		{"cut off", ReasonBundleRefused, func(w *world, a Attested) ImportRequest {
			r := w.sealFor(a, sk, none)
			r.Sealed = r.Sealed[:100]
			return r
		}},
		{"sent for another key", ReasonBundleRefused, func(w *world, a Attested) ImportRequest {
			r := w.sealFor(a, sk, none)
			r.Pubkey = other.PublicKey()
			return r
		}},
		{"sent under another nonce", ReasonBundleRefused, func(w *world, a Attested) ImportRequest {
			r := w.sealFor(a, sk, none)
			again, _ := w.ask(attest.Nonce{7})
			r.ImportNonce = again.ImportNonce
			return r
		}},
		{"sealed under other evidence", ReasonBundleRefused, func(w *world, a Attested) ImportRequest {
			a.Evidence.Value = append([]byte{0}, a.Evidence.Value...)
			return w.sealFor(a, sk, none)
		}},
		{"sealed for another chain", ReasonBundleRefused, func(w *world, a Attested) ImportRequest {
			sealed, err := Seal(a.Evidence.Claims.HPKEKey, Address{eth2.Root{9}, digest(a.Evidence), a.ImportNonce, sk.PublicKey()}, Bundle{sk, none})
			if err != nil {
				t.Fatal(err)
			}
			return ImportRequest{a.ImportNonce, sk.PublicKey(), sealed}
		}},
		{"sealed to another key", ReasonBundleRefused, func(w *world, a Attested) ImportRequest {
			inbox, err := attest.NewInbox()
			if err != nil {
				t.Fatal(err)
			}
			a.Evidence.Claims.HPKEKey = inbox.PublicKey()
			return w.sealFor(a, sk, none)
		}},
		{"another secret than that of its public key", ReasonBundleRefused, func(w *world, a Attested) ImportRequest {
			sealed, err := Seal(a.Evidence.Claims.HPKEKey, Address{w.Network.GenesisValidatorsRoot, digest(a.Evidence), a.ImportNonce, other.PublicKey()}, Bundle{sk, none})
			if err != nil {
				t.Fatal(err)
			}
			return ImportRequest{a.ImportNonce, other.PublicKey(), sealed}
		}},
		{"silent on its history", ReasonBundleRefused, func(w *world, a Attested) ImportRequest { return w.sealFor(a, sk, History{}) }},
		{"with history and without", ReasonBundleRefused, func(w *world, a Attested) ImportRequest {
			return w.sealFor(a, sk, History{w.interchange(sk.PublicKey(), w.Network.GenesisValidatorsRoot), true})
		}},
		{"history of another key", ReasonBundleRefused, func(w *world, a Attested) ImportRequest {
			return w.sealFor(a, sk, History{SlashingProtection: w.interchange(other.PublicKey(), w.Network.GenesisValidatorsRoot)})
		}},
		{"history of another chain", reasonForeignChain, func(w *world, a Attested) ImportRequest {
			return w.sealFor(a, sk, History{SlashingProtection: w.interchange(sk.PublicKey(), eth2.Root{9})})
		}},
		{"history that is none", ReasonBundleRefused, func(w *world, a Attested) ImportRequest {
			return w.sealFor(a, sk, History{SlashingProtection: "{}"})
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			a, _ := w.ask(attest.Nonce{1})
			req := tt.change(w, a)
			got := w.post(RouteImport, req)
			if got.status != http.StatusBadRequest || got.reason() != tt.reason {
				t.Errorf("%d %s", got.status, got.body)
			}
			for _, pub := range []bls.PublicKey{sk.PublicKey(), other.PublicKey()} {
				if _, err := w.Guard.State(t.Context(), pub); err == nil || w.serves(pub) {
					t.Error("something has changed")
				}
			}
			if got := w.post(RouteImport, req); got.reason() != ReasonImportNonce {
				t.Errorf("its nonce was not taken: %d %s", got.status, got.body)
			}
		})
	}
}

func TestAKeyWhoseHistoryIsNotDurableDoesNotSign(t *testing.T) {
	w := newWorld(t)
	a, _ := w.ask(attest.Nonce{1})
	sk := newKey(t)
	req := w.sealFor(a, sk, History{SlashingProtection: w.interchange(sk.PublicKey(), w.Network.GenesisValidatorsRoot)})
	w.store.failures = 1 // the next write would succeed
	got := w.post(RouteImport, req)
	if got.status != http.StatusServiceUnavailable || got.reason() != reasonStoreUnavailable || w.serves(sk.PublicKey()) {
		t.Errorf("%d %s, in service: %t", got.status, got.body, w.serves(sk.PublicKey()))
	}
}

func TestAReceiptOfAStrangerOrChangedIsNone(t *testing.T) {
	w := newWorld(t)
	signed, err := w.sign(Receipt{Status: custody.Imported})
	if err != nil {
		t.Fatal(err)
	}
	key := attest.Hex(w.receipt.Public().(ed25519.PublicKey))
	if _, err := signed.Verify(key); err != nil {
		t.Fatal(err)
	}
	changed := signed
	changed.Receipt = strings.Replace(signed.Receipt, `"history":false`, `"history":true`, 1)
	if changed.Receipt == signed.Receipt {
		t.Fatal("nothing has changed")
	}
	stranger := newWorld(t)
	for name, err := range map[string]error{
		"changed":     second(changed.Verify(key)),
		"a stranger":  second(signed.Verify(attest.Hex(stranger.receipt.Public().(ed25519.PublicKey)))),
		"no key":      second(signed.Verify(nil)),
		"no receipt":  second(SignedReceipt{}.Verify(key)),
		"half a key":  second(signed.Verify(key[:16])),
		"other words": second(SignedReceipt{signed.Receipt + " ", signed.Signature}.Verify(key)),
	} {
		if err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestFloorsAreComparedOneByOne(t *testing.T) {
	slot, epoch := pointer(eth2.Slot(5)), pointer(eth2.Epoch(5))
	all := Floors{slot, epoch, epoch}
	for _, tt := range []struct {
		f, g Floors
		want bool
	}{
		{all, all, true},
		{all, Floors{}, true},
		{Floors{}, Floors{}, true},
		{Floors{}, Floors{Slot: pointer(eth2.Slot(0))}, false},
		{Floors{pointer(eth2.Slot(4)), epoch, epoch}, all, false},
		{Floors{slot, pointer(eth2.Epoch(4)), epoch}, all, false},
		{Floors{slot, epoch, pointer(eth2.Epoch(4))}, all, false},
	} {
		if got := tt.f.AtLeast(tt.g); got != tt.want {
			t.Errorf("%+v at least %+v: %t", tt.f, tt.g, got)
		}
	}
}

func second[T any](_ T, err error) error { return err }

// Whatever was sealed is read without a panic, and a key that comes out of it is the
// one that was named.
func FuzzBundle(f *testing.F) {
	sk, err := bls.ParseSecretKey(append(make([]byte, 31), 1))
	if err != nil {
		f.Fatal(err)
	}
	pub := sk.PublicKey()
	f.Add(append(sk.Bytes(), `{"none":true}`...))
	f.Add(append(sk.Bytes(), `{"slashing_protection":"{}"}`...))
	f.Add(append(make([]byte, 32), `{"none":true}`...))
	f.Add([]byte("short"))
	f.Fuzz(func(t *testing.T, text []byte) {
		b, err := parseBundle(pub, text)
		if err == nil && (b.Secret.PublicKey() != pub || b.History.None == (b.History.SlashingProtection != "")) {
			t.Errorf("%x", text)
		}
	})
}

// No body makes the routes panic, answer with what is no JSON, or bring a key into
// service.
func FuzzBodies(f *testing.F) {
	w := newWorld(f)
	a, _ := w.ask(attest.Nonce{1})
	sk := newKey(f)
	seal := w.sealFor(a, sk, History{None: true})
	seal.Sealed[0] ^= 1
	for _, body := range []any{seal, AttestRequest{attest.Nonce{1}}, GenerateRequest{}} {
		text, err := json.Marshal(body)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		w.t = t
		for _, route := range []string{RouteAttest, RouteImport} {
			got := w.post(route, body)
			if !json.Valid(got.body) || got.status >= 500 && got.status != http.StatusServiceUnavailable {
				t.Errorf("%s %q: %d %s", route, body, got.status, got.body)
			}
		}
		if n := len(w.Custody.List()); n > 0 {
			t.Errorf("%d keys in service", n)
		}
	})
}
