package http_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/secure-signer/secure-signer/test/internal/daemon"
	"github.com/secure-signer/secure-signer/test/internal/interop"
)

// An interchange is EIP-3076's format 5.
type interchange struct {
	Metadata struct {
		Version string `json:"interchange_format_version"`
		Root    string `json:"genesis_validators_root"`
	} `json:"metadata"`
	Data []history `json:"data"`
}

type history struct {
	Pubkey string  `json:"pubkey"`
	Blocks []entry `json:"signed_blocks"`
	Votes  []entry `json:"signed_attestations"`
}

type entry struct {
	Slot   string `json:"slot,omitempty"`
	Source string `json:"source_epoch,omitempty"`
	Target string `json:"target_epoch,omitempty"`
}

func TestADeletedKeyStaysAwayAndItsHistoryGoesWithIt(t *testing.T) {
	t.Parallel()
	keys := interop.Keys(2)
	gone, stays := keys[0], keys[1]
	f := initMainnet(t)
	d := serveKeys(t, f, keys, unbound...)
	mustSign(t, d, gone, attestation(3, 4, 1))
	mustSign(t, d, gone, attestation(5, 6, 1))
	mustSign(t, d, gone, block(77, 1))
	mustSign(t, d, stays, attestation(8, 9, 1))

	status, slashingData := deleted(t, d, gone)
	if status != "deleted" {
		t.Errorf("status %q", status)
	}
	var got interchange
	if err := json.Unmarshal([]byte(slashingData), &got); err != nil {
		t.Fatalf("%v in %s", err, slashingData)
	}
	var want interchange
	want.Metadata.Version = "5"
	want.Metadata.Root = "0x4b363db94e286120d76eb905340fdd4e54bfe9f06bf33ff6cf5ad27f511bfe95"
	want.Data = []history{{gone.Hex(), []entry{{Slot: "77"}}, []entry{{Source: "5", Target: "6"}}}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("interchange (-want +got):\n%s", diff)
	}

	for _, start := range []string{"before a restart", "after it"} {
		if diff := cmp.Diff([]string{stays.Hex()}, listed(t, d)); diff != "" {
			t.Errorf("keys %s (-want +got):\n%s", start, diff)
		}
		mustRefuse(t, d, gone, attestation(6, 7, 1), http.StatusNotFound, "key_not_found")
		mustRefuse(t, d, gone, randao(7), http.StatusNotFound, "key_not_found")
		if status, again := deleted(t, d, gone); status != "not_active" || again != slashingData {
			t.Errorf("deleted again %s: %s with the history\n%s\nwant not_active with\n%s", start, status, again, slashingData)
		}
		if start == "before a restart" {
			d.Kill()
			d = daemon.Serve(t, f, unbound...)
		}
	}
	mustRefuse(t, d, stays, attestation(8, 9, 2), http.StatusPreconditionFailed, "double_vote")

	// Back again, with or without its history, it does not forget.
	d.Import(t, []interop.Key{gone}, "")
	mustRefuse(t, d, gone, attestation(5, 6, 2), http.StatusPreconditionFailed, "double_vote")
	mustSign(t, d, gone, attestation(6, 7, 1))

	// Elsewhere it knows what was signed here.
	elsewhere := daemon.Serve(t, initMainnet(t), unbound...)
	elsewhere.Import(t, []interop.Key{gone}, slashingData)
	mustRefuse(t, elsewhere, gone, attestation(5, 6, 2), http.StatusPreconditionFailed, "below_floor")
	mustRefuse(t, elsewhere, gone, attestation(4, 7, 2), http.StatusPreconditionFailed, "below_floor")
	mustRefuse(t, elsewhere, gone, block(77, 2), http.StatusPreconditionFailed, "below_floor")
	mustSign(t, elsewhere, gone, attestation(5, 7, 2))
	mustSign(t, elsewhere, gone, block(78, 2))
}

// TestNoKeySignsWithoutTheHistoryThatCameWithIt sends histories that cannot be
// used: the key must not come into service.
func TestNoKeySignsWithoutTheHistoryThatCameWithIt(t *testing.T) {
	t.Parallel()
	key := interop.New(0)
	f := initMainnet(t)
	d := daemon.Serve(t, f, unbound...)
	for name, slashingData := range map[string]string{
		"of another chain": fmt.Sprintf(`{"metadata":{"interchange_format_version":"5","genesis_validators_root":%q},"data":[]}`, root(9)),
		"of no chain":      `{"metadata":{"interchange_format_version":"5"},"data":[]}`,
		"cut short":        `{"metadata":{"interchange_format_version":"5","genesis_validators_root":`,
		"of another kind":  `[]`,
	} {
		if status := post(t, d, "Bearer "+token(t, f), importOf(t, key, slashingData)); status != http.StatusBadRequest {
			t.Errorf("a history %s: %d, want 400", name, status)
		}
		mustRefuse(t, d, key, attestation(1, 2, 1), http.StatusNotFound, "key_not_found")
	}
	d.Import(t, []interop.Key{key}, "") // nothing else was wrong with the request
	mustSign(t, d, key, attestation(1, 2, 1))
}

func TestNobodyWithoutTheTokenChangesKeys(t *testing.T) {
	t.Parallel()
	key := interop.New(0)
	f := initMainnet(t)
	d := daemon.Serve(t, f, unbound...)
	body := importOf(t, key, "")
	for name, test := range map[string]struct {
		authorization string
		want          int
	}{
		"no token":                   {"", http.StatusUnauthorized},
		"another token":              {"Bearer api-token-0x" + strings.Repeat("0", 64), http.StatusForbidden},
		"the token cut short":        {"Bearer " + token(t, f)[:40], http.StatusForbidden},
		"the token as a password":    {"Basic " + token(t, f), http.StatusUnauthorized},
		"the token with a character": {"Bearer " + token(t, f) + "0", http.StatusForbidden},
	} {
		if got := post(t, d, test.authorization, body); got != test.want {
			t.Errorf("%s: %d, want %d", name, got, test.want)
		}
	}
	if keys := listed(t, d); len(keys) != 0 {
		t.Errorf("keys %v came into service", keys)
	}
	if got := post(t, d, "Bearer "+token(t, f), body); got != http.StatusOK {
		t.Errorf("with the token: %d", got)
	}
}

// deleted asks for the deletion of one key.
func deleted(t *testing.T, d *daemon.Daemon, key interop.Key) (status, slashingData string) {
	t.Helper()
	var answer struct {
		Data               []struct{ Status string } `json:"data"`
		SlashingProtection string                    `json:"slashing_protection"`
	}
	d.Keymanager(t, http.MethodDelete, map[string][]string{"pubkeys": {key.Hex()}}, &answer)
	if len(answer.Data) != 1 {
		t.Fatalf("delete: %d answers for one key", len(answer.Data))
	}
	return answer.Data[0].Status, answer.SlashingProtection
}

func listed(t *testing.T, d *daemon.Daemon) (pubkeys []string) {
	t.Helper()
	var answer struct {
		Data []struct {
			Pubkey string `json:"validating_pubkey"`
		} `json:"data"`
	}
	response, err := http.Get(d.URL + "/api/v1/eth2/publicKeys")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if err := json.NewDecoder(response.Body).Decode(&pubkeys); err != nil {
		t.Fatal(err)
	}
	d.Keymanager(t, http.MethodGet, nil, &answer)
	var managed []string
	for _, k := range answer.Data {
		managed = append(managed, k.Pubkey)
	}
	if strings.Join(managed, " ") != strings.Join(pubkeys, " ") {
		t.Errorf("the keymanager API lists %v, publicKeys %v", managed, pubkeys)
	}
	return pubkeys
}

// importOf is the body of a request to import one key.
func importOf(t *testing.T, key interop.Key, slashingData string) string {
	t.Helper()
	members := map[string]any{"keystores": []string{key.Keystore("p")}, "passwords": []string{"p"}}
	if slashingData != "" {
		members["slashing_protection"] = slashingData
	}
	body, err := json.Marshal(members)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// post sends an import and returns the status.
func post(t *testing.T, d *daemon.Daemon, authorization, body string) int {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, d.URL+"/eth/v1/keystores", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	if authorization != "" {
		request.Header.Set("Authorization", authorization)
	}
	answer, err := do(http.DefaultClient, request)
	if err != nil {
		t.Fatal(err)
	}
	return answer.Status
}

func token(t *testing.T, f daemon.Folder) string {
	t.Helper()
	return strings.TrimSpace(string(read(t, filepath.Join(f.Path, "api-token.txt"))))
}
