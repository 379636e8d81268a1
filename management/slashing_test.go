package management

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"github.com/secure-signer/secure-signer/bls"
	"github.com/secure-signer/secure-signer/eth2"
	"github.com/secure-signer/secure-signer/slashing"
)

type object = map[string]any

const hoodiRoot = "0x212f13fc4df078b6cb7db228f1c8307566dcecf900867401a92023d7ba99cb5f"

// file is an interchange of some entries.
func file(entries ...string) string {
	return fmt.Sprintf(`{"metadata":{"interchange_format_version":"5","genesis_validators_root":%q},"data":[%s]}`, hoodiRoot, strings.Join(entries, ","))
}

// entry is one key's block and vote.
func entry(pub bls.PublicKey, slot, source, target int) string {
	return fmt.Sprintf(`{"pubkey":%q,"signed_blocks":[{"slot":"%d"}],"signed_attestations":[{"source_epoch":"%d","target_epoch":"%d"}]}`, pub, slot, source, target)
}

// generate brings a key into service.
func (s *testSigner) generate(t *testing.T) bls.PublicKey {
	t.Helper()
	pub, err := s.custody.Generate(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return pub
}

func (s *testSigner) signBlock(t *testing.T, pub bls.PublicKey, slot eth2.Slot) error {
	t.Helper()
	return s.guard.Record(t.Context(), pub, &eth2.Block{Header: &eth2.BeaconBlockHeader{Slot: slot}}, eth2.Root{byte(slot)})
}

func (s *testSigner) vote(t *testing.T, pub bls.PublicKey, source, target eth2.Epoch) error {
	t.Helper()
	m := &eth2.Attestation{Data: eth2.AttestationData{Source: eth2.Checkpoint{Epoch: source}, Target: eth2.Checkpoint{Epoch: target}}}
	return s.guard.Record(t.Context(), pub, m, eth2.Root{byte(target)})
}

var stranger = bls.PublicKey{0: 0xaa, 47: 1}

func TestAnImportedHistoryRaisesAndWaits(t *testing.T) {
	s := newSigner(t)
	s.load(t)
	held := s.generate(t)
	var got object
	if code := s.ask(t, "POST", "/signer/v1/slashing", file(entry(held, 70, 5, 6), entry(stranger, 80, 7, 8)), &got); code != http.StatusOK {
		t.Fatalf("%d %v", code, got)
	}
	want := object{"keys": []any{
		object{"pubkey": held.String(), "status": "raised"},
		object{"pubkey": stranger.String(), "status": "waiting"},
	}}
	if held.String() > stranger.String() {
		keys := want["keys"].([]any)
		keys[0], keys[1] = keys[1], keys[0]
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("answer (-want +got):\n%s", diff)
	}
	if err := s.signBlock(t, held, 70); !errors.Is(err, slashing.ErrSlashable) {
		t.Errorf("a block at the imported slot: %v", err)
	}
	if err := s.signBlock(t, held, 71); err != nil {
		t.Errorf("a block after the imported slot: %v", err)
	}

	// An older history lowers nothing.
	s.ask(t, "POST", "/signer/v1/slashing", file(entry(stranger, 1, 0, 1)), &got)
	var shown object
	if code := s.ask(t, "GET", "/signer/v1/slashing/"+stranger.String(), "", &shown); code != http.StatusOK {
		t.Errorf("status %d", code)
	}
	want = object{"pubkey": stranger.String(), "held": false, "record": object{
		"disabled": true, "floors": object{"slot": "80", "source_epoch": "7", "target_epoch": "8"},
	}}
	if diff := cmp.Diff(want, shown); diff != "" {
		t.Errorf("a key that waits (-want +got):\n%s", diff)
	}
}

func TestAnImportIsRefusedAsAWhole(t *testing.T) {
	s := newSigner(t)
	s.load(t)
	held := s.generate(t)
	good := entry(held, 70, 5, 6)
	for _, tt := range []struct{ name, body, reason, message string }{
		{"nothing", ``, "malformed_request", "nothing was imported"},
		{"no JSON", `]`, "malformed_request", "nothing was imported"},
		{"a file that breaks off", file(good)[:100], "malformed_request", "nothing was imported"},
		{"a bad entry after a good one", file(good, `{"pubkey":"0x12"}`), "malformed_request", "/data/1"},
		{"more behind the end", file(good) + "{}", "malformed_request", "more follows"},
		{"another network", strings.Replace(file(good), "212f", "ffff", 1), "foreign_chain", "nothing was imported"},
		{"another version", strings.Replace(file(good), `"5"`, `"4"`, 1), "malformed_request", "interchange_format_version"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s.wantError(t, "POST", "/signer/v1/slashing", tt.body, http.StatusBadRequest, tt.reason, tt.message)
		})
	}
	if err := s.signBlock(t, held, 1); err != nil {
		t.Errorf("a refused file raised a floor: %v", err)
	}
}

func TestAClientThatHangsUpDuringAnImportChangesNothing(t *testing.T) {
	s := newSigner(t)
	s.load(t)
	held := s.generate(t)
	w := httptest.NewRecorder()
	text := file(entry(held, 70, 5, 6))
	s.ServeHTTP(w, httptest.NewRequest("POST", "/signer/v1/slashing", io.MultiReader(strings.NewReader(text[:len(text)-2]), iotest.ErrReader(io.ErrUnexpectedEOF))))
	if w.Code != http.StatusBadRequest {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if err := s.signBlock(t, held, 1); err != nil {
		t.Errorf("it raised a floor: %v", err)
	}
}

func TestAnImportThatCannotBeMadeDurableNamesTheKeys(t *testing.T) {
	s := newSigner(t)
	s.load(t)
	held := s.generate(t)
	s.store.room.Store(0) // a record that is there can still be replaced
	var got struct {
		errorBody
		Keys []HistoryOf `json:"keys"`
	}
	code := s.ask(t, "POST", "/signer/v1/slashing", file(entry(held, 70, 5, 6), entry(stranger, 80, 7, 8)), &got)
	if code != http.StatusServiceUnavailable || got.Reason != "store_unavailable" || !strings.Contains(got.Message, "1 of 2 keys not imported") {
		t.Errorf("%d %+v", code, got)
	}
	statuses := map[bls.PublicKey]HistoryStatus{}
	for _, k := range got.Keys {
		statuses[k.Pubkey] = k.Status
		if (k.Status == HistoryError) != strings.Contains(k.Message, "no space left") {
			t.Errorf("%+v", k)
		}
	}
	if want := (map[bls.PublicKey]HistoryStatus{held: HistoryRaised, stranger: HistoryError}); !cmp.Equal(want, statuses) {
		t.Errorf("statuses %v", statuses)
	}
}

func TestAnExportHoldsAllOrWhatWasAskedFor(t *testing.T) {
	s := newSigner(t)
	s.load(t)
	a, b := s.generate(t), s.generate(t)
	for _, pub := range []bls.PublicKey{a, b} {
		if err := s.signBlock(t, pub, 9); err != nil {
			t.Fatal(err)
		}
	}
	keys := func(query string) []string {
		t.Helper()
		var got struct {
			Metadata object   `json:"metadata"`
			Data     []object `json:"data"`
		}
		if code := s.ask(t, "GET", "/signer/v1/slashing"+query, "", &got); code != http.StatusOK || got.Metadata["genesis_validators_root"] != hoodiRoot {
			t.Errorf("%s: %d %v", query, code, got)
		}
		var pubs []string
		for _, d := range got.Data {
			pubs = append(pubs, d["pubkey"].(string))
		}
		return pubs
	}
	if got := keys(""); len(got) != 2 {
		t.Errorf("all: %v", got)
	}
	if got := keys("?pubkey=" + strings.TrimPrefix(a.String(), "0x")); !cmp.Equal(got, []string{a.String()}) {
		t.Errorf("one: %v", got)
	}
	if got := keys("?pubkey=" + a.String() + "&pubkey=" + b.String()); len(got) != 2 {
		t.Errorf("two: %v", got)
	}
	s.wantError(t, "GET", "/signer/v1/slashing?pubkey="+a.String()+"&pubkey="+stranger.String(), "", http.StatusNotFound, "no_record", stranger.String())
	s.wantError(t, "GET", "/signer/v1/slashing?pubkey=", "", http.StatusBadRequest, "malformed_request", "pubkey")
	s.store.unreadable.Store(true)
	s.wantError(t, "GET", "/signer/v1/slashing", "", http.StatusServiceUnavailable, "store_unavailable", errFull.Error())
}

// TestAnExportThatFailsHalfWayIsBrokenOff: half a history must not pass for one.
func TestAnExportThatFailsHalfWayIsBrokenOff(t *testing.T) {
	s := newSigner(t)
	s.load(t)
	s.store.damaged = bls.PublicKey{0: 0xff} // sorted behind all others
	var entries []string
	for i := range 2000 {
		entries = append(entries, entry(bls.PublicKey{0: 0xaa, 46: byte(i >> 8), 47: byte(i)}, 70, 5, 6))
	}
	var got object
	if code := s.ask(t, "POST", "/signer/v1/slashing", file(append(entries, entry(s.store.damaged, 1, 1, 2))...), &got); code != http.StatusOK {
		t.Fatal(code)
	}
	server := httptest.NewServer(s)
	defer server.Close()
	resp, err := server.Client().Get(server.URL + "/signer/v1/slashing")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if text, err := io.ReadAll(resp.Body); err == nil {
		t.Errorf("%d bytes pass for a whole answer", len(text))
	}
}

func TestFloorsAreRaisedByHand(t *testing.T) {
	s := newSigner(t)
	s.load(t)
	a, b := s.generate(t), s.generate(t)
	raise := func(body string) object {
		t.Helper()
		var got object
		if code := s.ask(t, "POST", "/signer/v1/slashing/raise", body, &got); code != http.StatusOK {
			t.Fatalf("%s: %d %v", body, code, got)
		}
		return got
	}
	got := raise(fmt.Sprintf(`{"pubkeys":[%q],"slot":"100","source_epoch":2,"target_epoch":"3"}`, a))
	if diff := cmp.Diff(object{"keys": 1.0, "floors": object{"slot": "100", "source_epoch": "2", "target_epoch": "3"}}, got); diff != "" {
		t.Errorf("answer (-want +got):\n%s", diff)
	}
	if err := s.signBlock(t, b, 5); err != nil {
		t.Errorf("another key was raised: %v", err)
	}
	for _, refused := range []error{s.signBlock(t, a, 100), s.vote(t, a, 1, 4), s.vote(t, a, 2, 3)} {
		if !errors.Is(refused, slashing.ErrSlashable) {
			t.Errorf("at the floor: %v", refused)
		}
	}
	raise(`{"slot":"50"}`) // every key, and lowers none
	if err := s.signBlock(t, a, 100); !errors.Is(err, slashing.ErrSlashable) {
		t.Errorf("a floor was lowered: %v", err)
	}
	if err := s.signBlock(t, b, 50); !errors.Is(err, slashing.ErrSlashable) {
		t.Errorf("b was not raised: %v", err)
	}
}

func TestFloorsAreRaisedToNow(t *testing.T) {
	s := newSignerThat(t, slashing.Config{MaxFutureEpochs: 1})
	s.load(t)
	pub := s.generate(t)
	var got Raised
	if code := s.ask(t, "POST", "/signer/v1/slashing/raise", `{"to":"now"}`, &got); code != http.StatusOK || got.Keys != 1 {
		t.Fatalf("%d %+v", code, got)
	}
	network, _ := eth2.Builtin("hoodi")
	// Whatever this signer would have signed a moment ago it does not sign now.
	if err := s.vote(t, pub, *got.Floors.TargetEpoch-1, *got.Floors.TargetEpoch); !errors.Is(err, slashing.ErrSlashable) {
		t.Errorf("a vote of now: %v", err)
	}
	if network.EpochOf(*got.Floors.Slot) != *got.Floors.TargetEpoch || *got.Floors.SourceEpoch != *got.Floors.TargetEpoch-1 {
		t.Errorf("floors of different moments: slot %d, source %d, target %d", *got.Floors.Slot, *got.Floors.SourceEpoch, *got.Floors.TargetEpoch)
	}
}

func TestARaiseThatIsNotClearIsRefused(t *testing.T) {
	s := newSigner(t)
	s.load(t)
	pub := s.generate(t)
	for _, tt := range []struct {
		name, body string
		status     int
		reason     string
		message    string
	}{
		{"nothing", ``, 400, "malformed_request", "empty"},
		{"no numbers", `{}`, 400, "malformed_request", "at least one of"},
		{"now and a number", `{"to":"now","slot":"1"}`, 400, "malformed_request", "either to"},
		{"to another time", `{"to":"tomorrow"}`, 400, "malformed_request", `want "now"`},
		{"no keys at all", `{"pubkeys":[],"slot":"1"}`, 400, "malformed_request", "leave it out"},
		{"a slot below 0", `{"slot":"-1"}`, 400, "malformed_request", "slot"},
		{"a slot twice", `{"slot":"1","slot":"2"}`, 400, "malformed_request", "duplicate member"},
		{"a key that is none", `{"pubkeys":["0x12"],"slot":"1"}`, 400, "malformed_request", "pubkeys[0]"},
		{"a key that is unknown", fmt.Sprintf(`{"pubkeys":[%q,%q],"slot":"9"}`, pub, stranger), 404, "no_record", stranger.String()},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s.wantError(t, "POST", "/signer/v1/slashing/raise", tt.body, tt.status, tt.reason, tt.message)
		})
	}
	if err := s.signBlock(t, pub, 1); err != nil {
		t.Errorf("a refused request raised a floor: %v", err)
	}
	s.store.unreadable.Store(true)
	s.wantError(t, "POST", "/signer/v1/slashing/raise", `{"slot":"9"}`, 503, "store_unavailable", errFull.Error())
}

func TestWithoutATimeOfGenesisThereIsNoNow(t *testing.T) {
	network := *must(eth2.Builtin("hoodi"))
	network.GenesisTime = 0
	s := newSignerThat(t, slashing.Config{Network: &network})
	s.load(t)
	s.wantError(t, "POST", "/signer/v1/slashing/raise", `{"to":"now"}`, 400, "malformed_request", "time of genesis is unknown")
}

func must[T any](v T, ok bool) T {
	if !ok {
		panic("not there")
	}
	return v
}

func TestRecordsTellWhatWasSignedFromWhatIsFloored(t *testing.T) {
	s := newSignerThat(t, slashing.Config{Unbounded: true, HighWatermark: slashing.HighWatermark{Set: true, Slot: 1 << 63, Epoch: 1 << 60}})
	s.load(t)
	pub := s.generate(t)
	if err := errors.Join(s.signBlock(t, pub, 9), s.vote(t, pub, 0, 0)); err != nil {
		t.Fatal(err)
	}
	var raised Raised
	s.ask(t, "POST", "/signer/v1/slashing/raise", `{"slot":"9"}`, &raised)
	record := object{
		"disabled":         false,
		"last_block":       object{"slot": "9", "signing_root": "0x09" + strings.Repeat("00", 31)},
		"last_attestation": object{"source_epoch": "0", "target_epoch": "0", "signing_root": "0x" + strings.Repeat("00", 32)},
		"floors":           object{"slot": "9"},
	}
	mark := object{"slot": "9223372036854775808", "epoch": "1152921504606846976"}
	var got object
	s.ask(t, "GET", "/signer/v1/slashing/"+pub.String(), "", &got)
	if diff := cmp.Diff(object{"pubkey": pub.String(), "held": true, "record": record, "high_watermark": mark}, got); diff != "" {
		t.Errorf("one (-want +got):\n%s", diff)
	}
	if _, err := s.custody.Delete(t.Context(), pub); err != nil {
		t.Fatal(err)
	}
	record["disabled"] = true
	got = nil
	s.ask(t, "GET", "/signer/v1/slashing/records", "", &got)
	want := object{"records": []any{object{"pubkey": pub.String(), "held": false, "record": record}}, "high_watermark": mark}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("all (-want +got):\n%s", diff)
	}
	got = nil
	s.ask(t, "GET", "/signer/v1/status", "", &got)
	if !cmp.Equal(got["high_watermark"], any(mark)) {
		t.Errorf("status: %v", got["high_watermark"])
	}

	s.wantError(t, "GET", "/signer/v1/slashing/"+stranger.String(), "", http.StatusNotFound, "no_record", "neither the key nor its history")
	s.wantError(t, "GET", "/signer/v1/slashing/0x12", "", http.StatusBadRequest, "malformed_request", "pubkey")
	s.wantError(t, "PUT", "/signer/v1/slashing/raise", "", http.StatusMethodNotAllowed, "method_not_allowed", "POST")
	s.wantError(t, "POST", "/signer/v1/slashing/records", "", http.StatusMethodNotAllowed, "method_not_allowed", "GET")
	s.store.unreadable.Store(true)
	s.wantError(t, "GET", "/signer/v1/slashing/records", "", http.StatusServiceUnavailable, "store_unavailable", errFull.Error())
	s.wantError(t, "GET", "/signer/v1/slashing/"+pub.String(), "", http.StatusServiceUnavailable, "store_unavailable", errFull.Error())
}

// FuzzRaise: whatever is sent, no floor falls, and none rises unless the answer is
// 200.
func FuzzRaise(f *testing.F) {
	for _, seed := range []string{`{"to":"now"}`, `{"slot":"1","source_epoch":"2","target_epoch":3}`, `{"pubkeys":[],"slot":"1"}`, `{"pubkeys":null,"slot":18446744073709551615}`, `{"slot":1e3}`, `{`, ``} {
		f.Add(seed)
	}
	s := newSigner(f)
	s.load(f)
	pub, err := s.custody.Generate(f.Context())
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, body string) {
		before := watermarks(t, s, pub)
		var got object
		code := s.ask(t, "POST", "/signer/v1/slashing/raise", body, &got)
		after := watermarks(t, s, pub)
		if code != http.StatusOK && after != before {
			t.Errorf("%d, and floors are %+v, were %+v", code, after, before)
		}
		if after.Slot < before.Slot || after.Source < before.Source || after.Target < before.Target {
			t.Errorf("floors fell to %+v from %+v", after, before)
		}
	})
}

func watermarks(t *testing.T, s *testSigner, pub bls.PublicKey) slashing.Floors {
	t.Helper()
	state, err := s.guard.State(t.Context(), pub)
	if err != nil {
		t.Fatal(err)
	}
	return state.Watermarks()
}
