package harden

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/secure-signer/secure-signer/bls"
	"github.com/secure-signer/secure-signer/test/internal/daemon"
	"github.com/secure-signer/secure-signer/test/internal/interop"
	"github.com/secure-signer/secure-signer/vault"
)

// TestNoKeyLiesOutsideTheArena has a daemon take keys in, draw some itself, delete
// one, sign with the others, be restarted and sign again, and searches its memory
// after each.
func TestNoKeyLiesOutsideTheArena(t *testing.T) {
	for _, kind := range []struct {
		name   string
		under  []string
		copies int // of each key that is in service, in all that can be read
	}{
		{"memory that the kernel cannot read", nil, 0},
		{"locked memory, where the search finds them", noSecretMemory, 1},
	} {
		t.Run(kind.name, func(t *testing.T) {
			f := initMainnet(t)
			d := daemon.Start(t, f, daemon.Options{Under: kind.under})
			if kind.copies == 0 && !strings.Contains(d.Out(), "memory    keys secret,") {
				t.Skip("this kernel has no such memory")
			}
			d.Import(t, interop.Keys(8), "")
			generate(t, d, f, 4)
			secrets := secretsOf(t, f)
			look(t, d, "right after an import", secrets, kind.copies)

			deleted := interop.New(0)
			var gone any
			d.Keymanager(t, http.MethodDelete, map[string][]string{"pubkeys": {deleted.Hex()}}, &gone)
			signWithEach(t, d)
			secrets = slices.DeleteFunc(secrets, func(s secret) bool { return s.name == "key "+deleted.Hex() })
			look(t, d, "after signing", secrets, kind.copies)
			key := deleted.Secret()
			if places := search(t, d, []secret{{name: "the deleted key", bytes: key[:]}}); len(places) > 0 {
				t.Errorf("a key that was deleted lies in memory: %v", places)
			}

			d.Stop()
			d = daemon.Start(t, f, daemon.Options{Under: kind.under})
			look(t, d, "right after a start", secrets, kind.copies)
			signWithEach(t, d)
			look(t, d, "after a start and signing", secrets, kind.copies)
		})
	}
}

// look searches for every key, and for the passphrase, which was needed at the
// start alone. Of the rest it says what there is: package vault keeps its data key,
// and what a client has sent lies where it was received until that is used again.
func look(t *testing.T, d *daemon.Daemon, when string, secrets []secret, copies int) {
	t.Helper()
	keys := make(map[string][]place)
	rest := make(map[string]int)
	for _, p := range search(t, d, append(secrets, secret{"the keystores' password", []byte("a password for tests only"), true})) {
		switch {
		case strings.HasPrefix(p.secret, "key "):
			keys[p.secret] = append(keys[p.secret], p)
		case p.secret == "the passphrase":
			t.Errorf("%s: %v", when, p)
		default:
			rest[p.secret]++
		}
	}
	arenas := make(map[string]bool)
	for _, s := range secrets {
		places := keys[s.name]
		if strings.HasPrefix(s.name, "key ") && len(places) != 2*copies { // two halves each
			t.Errorf("%s: %s lies in %d places, want %d: %v", when, s.name, len(places), 2*copies, places)
		}
		for _, p := range places {
			arenas[p.mapping] = true
		}
	}
	if len(arenas) != copies {
		t.Errorf("%s: keys lie in %d mappings, want %d: %q", when, len(arenas), copies, slices.Collect(maps.Keys(arenas)))
	}
	t.Logf("%s: of %d secrets, besides: %v", when, len(secrets), rest)
}

// secretsOf returns every secret of a data folder: its keys, those drawn inside
// too, what opens the vault, and what is derived from that.
func secretsOf(t *testing.T, f daemon.Folder) []secret {
	t.Helper()
	passphrase, err := os.ReadFile(f.Passphrase)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(f.Path, "vault")
	sealer := vault.Passphrase(passphrase)
	v, err := vault.Open(path, sealer)
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	all := []secret{{"the passphrase", bytes.Clone(passphrase), true}}
	err = v.Keys(func(pub bls.PublicKey, sk *bls.SecretKey) bool {
		all = append(all, secret{name: "key " + pub.String(), bytes: sk.Bytes()})
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	file, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	const wrapped = 64 // where the header has the wrapped data key, behind its size: vault/format.go
	dataKey, err := sealer.Unwrap(file[wrapped:][:binary.BigEndian.Uint32(file[wrapped-4:])])
	if err != nil {
		t.Fatal(err)
	}
	journal := v.DeriveKey("secure-signer journal v1")
	return append(all, secret{name: "the vault's data key", bytes: dataKey}, secret{name: "the journal's key", bytes: journal[:]})
}

// generate has the daemon draw keys.
func generate(t *testing.T, d *daemon.Daemon, f daemon.Folder, count int) {
	t.Helper()
	token, err := os.ReadFile(filepath.Join(f.Path, "api-token.txt"))
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, d.URL+"/signer/v1/keys", strings.NewReader(fmt.Sprintf(`{"count":%d}`, count)))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	r.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		t.Fatalf("generate: %s", response.Status)
	}
}

const randao = `{"type":"RANDAO_REVEAL","fork_info":{"fork":{"previous_version":"0x05000000","current_version":"0x06000000","epoch":"411392"},` +
	`"genesis_validators_root":"0x4b363db94e286120d76eb905340fdd4e54bfe9f06bf33ff6cf5ad27f511bfe95"},"randao_reveal":{"epoch":"%d"}}`

// signWithEach has every key sign a hundred times.
func signWithEach(t *testing.T, d *daemon.Daemon) {
	t.Helper()
	var pubs []string
	if err := json.Unmarshal(d.Get(t, "/api/v1/eth2/publicKeys"), &pubs); err != nil {
		t.Fatal(err)
	}
	for i := range 100 * len(pubs) {
		pub, err := hex.DecodeString(strings.TrimPrefix(pubs[i%len(pubs)], "0x"))
		if err != nil {
			t.Fatal(err)
		}
		answer, err := d.Sign([48]byte(pub), fmt.Appendf(nil, randao, 411392+i))
		if err != nil || answer.Status != http.StatusOK {
			t.Fatalf("%v %+v", err, answer)
		}
	}
}
