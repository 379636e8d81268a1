package keymanager

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/secure-signer/secure-signer/eth2"
)

func mustParse(t *testing.T, text string, out any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), out); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
}

// parsed returns the keys of an interchange and their only slot.
func parsed(t *testing.T, text string) map[string]string {
	t.Helper()
	var file struct {
		Metadata struct {
			Version string `json:"interchange_format_version"`
			Root    string `json:"genesis_validators_root"`
		}
		Data []struct {
			Pubkey string
			Blocks []struct{ Slot string } `json:"signed_blocks"`
		}
	}
	mustParse(t, text, &file)
	if file.Metadata.Version != "5" || file.Metadata.Root != hoodi(t).GenesisValidatorsRoot.String() {
		t.Errorf("metadata %+v", file.Metadata)
	}
	slots := make(map[string]string)
	for _, key := range file.Data {
		slot := "none"
		if len(key.Blocks) == 1 {
			slot = key.Blocks[0].Slot
		}
		slots[key.Pubkey] = slot
	}
	return slots
}

func TestDeleteAnswersInTheOrderOfTheRequest(t *testing.T) {
	s := newSigner(t)
	signed, idle, other, unknown := newKey(t, 1), newKey(t, 2), newKey(t, 3), newKey(t, 4)
	s.imports(t, with(request(signed.file, idle.file, other.file), "slashing_protection",
		interchange(t, 7, 5, 6, signed.pub.String(), idle.pub.String(), other.pub.String())), "imported", "imported", "imported")
	block := &eth2.Block{Header: &eth2.BeaconBlockHeader{Slot: 1000}}
	if err := s.guard.Record(t.Context(), signed.pub, block, eth2.Root{1}); err != nil {
		t.Fatal(err)
	}

	_, interchange := s.deletes(t, []string{
		unknown.pub.String(),
		strings.ToUpper(signed.pub.String()[2:]),
		idle.pub.String(),
		signed.pub.String(),
	}, "not_found", "deleted", "deleted", "not_active")
	want := map[string]string{signed.pub.String(): "1000", idle.pub.String(): "7"}
	if diff := cmp.Diff(want, parsed(t, interchange)); diff != "" {
		t.Errorf("last slots in the interchange (-want +got):\n%s", diff)
	}
	if s.serves(signed.pub) || s.serves(idle.pub) || !s.serves(other.pub) {
		t.Error("another set of keys is in service than those not deleted")
	}
	if err := s.guard.Record(t.Context(), signed.pub, &eth2.Block{Header: &eth2.BeaconBlockHeader{Slot: 1001}}, eth2.Root{2}); err == nil {
		t.Error("a deleted key may sign")
	}

	// The same again has the same history to offer.
	_, again := s.deletes(t, []string{signed.pub.String(), idle.pub.String()}, "not_active", "not_active")
	if diff := cmp.Diff(want, parsed(t, again)); diff != "" {
		t.Errorf("the second interchange (-want +got):\n%s", diff)
	}

	// And a signer elsewhere starts where this one has stopped.
	elsewhere := newSigner(t)
	elsewhere.imports(t, with(request(signed.file), "slashing_protection", interchange), "imported")
	if got, want := elsewhere.watermarks(t, signed.pub), s.watermarks(t, signed.pub); got != want {
		t.Errorf("elsewhere the key starts at %+v, want %+v", got, want)
	}
}

func TestAKeyThatCannotBeDeletedIsAnErrorWithoutHistory(t *testing.T) {
	s := newSigner(t)
	good, bad := newKey(t, 1), newKey(t, 2)
	s.imports(t, request(good.file, bad.file), "imported", "imported")
	s.store.set(func() { s.store.broken[bad.pub] = true })
	got, interchange := s.deletes(t, []string{bad.pub.String(), good.pub.String()}, "error", "deleted")
	if want := "still in service"; !strings.Contains(got[0].Message, want) || !s.serves(bad.pub) {
		t.Errorf("message %q, want %q in it; in service %v", got[0].Message, want, s.serves(bad.pub))
	}
	if keys := parsed(t, interchange); len(keys) != 1 || keys[good.pub.String()] == "" {
		t.Errorf("keys in the interchange: %v, want only %v", keys, good.pub)
	}
}

func TestHistoryThatCannotBeReadIsAnErrorForEachKey(t *testing.T) {
	s := newSigner(t)
	k := newKey(t, 1)
	s.imports(t, request(k.file), "imported")
	s.store.set(func() { s.store.unlisted = 1 })
	got, interchange := s.deletes(t, []string{k.pub.String(), newKey(t, 2).pub.String()}, "error", "not_found")
	if want := "repeat the request"; !strings.Contains(got[0].Message, want) || s.serves(k.pub) {
		t.Errorf("message %q, want %q in it; in service %v", got[0].Message, want, s.serves(k.pub))
	}
	if keys := parsed(t, interchange); len(keys) != 0 {
		t.Errorf("keys in the interchange: %v, want none", keys)
	}
	if _, interchange = s.deletes(t, []string{k.pub.String()}, "not_active"); len(parsed(t, interchange)) != 1 {
		t.Error("repeated, the request does not give the history")
	}

	// Without a valid interchange there is no valid answer.
	s.store.set(func() { s.store.unlisted = 2 })
	s.wantError(t, "DELETE", map[string]any{"pubkeys": []string{k.pub.String()}}, http.StatusInternalServerError, "store_unavailable", "repeat the request")
}

func TestADeletionThatIsMalformedDeletesNothing(t *testing.T) {
	s := newSigner(t)
	k := newKey(t, 1)
	s.imports(t, request(k.file), "imported")
	for _, tt := range []struct {
		name, body, message string
	}{
		{"no JSON", ``, "empty"},
		{"no keys", `{}`, "pubkeys: missing"},
		{"keys that are null", `{"pubkeys":null}`, "pubkeys: must not be null"},
		{"one of them too short", `{"pubkeys":["` + k.pub.String() + `","0x1234"]}`, "pubkeys[1]: public key: 4 hex digits"},
		{"one of them a number", `{"pubkeys":["` + k.pub.String() + `",7]}`, "pubkeys[1]: want a string, got a number"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s.wantError(t, "DELETE", tt.body, http.StatusBadRequest, "malformed_request", tt.message)
			if !s.serves(k.pub) {
				t.Error("the key is out of service")
			}
		})
	}
	if _, interchange := s.deletes(t, []string{}); len(parsed(t, interchange)) != 0 {
		t.Error("a deletion of no keys gives history")
	}
}
