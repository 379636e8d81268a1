package web3signer

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/secure-signer/secure-signer/eth2"
)

// TestEveryMissingMemberIsNamed deletes each member of each body in turn.
func TestEveryMissingMemberIsNamed(t *testing.T) {
	optional := map[string]bool{
		"aggregate_and_proof.version":                       true, // the fork tells
		"aggregate_and_proof.data.aggregate.committee_bits": true, // so that Phase0's shape is valid; hashing refuses it
		"aggregate_and_proof.aggregate.committee_bits":      true,
		"beacon_block.block.body.sync_aggregate":            false,
	}
	r := newRig(t, gloasNetwork(t), 1)
	for name, body := range samples() {
		t.Run(name, func(t *testing.T) {
			checked := 0
			for _, path := range members(t, body) {
				dotted := strings.ReplaceAll(strings.Join(path, "."), ".[", "[")
				if optional[dotted] {
					continue
				}
				want := dotted + ": missing"
				if dotted == "aggregate_and_proof.data" {
					want = "aggregate_and_proof.aggregator_index: missing" // then it is read as the other shape
				}
				checked++
				if got := wantRefused(t, r.post(without(t, body, path)), http.StatusBadRequest, "malformed_request"); got != want {
					t.Errorf("got %q, want %q", got, want)
				}
			}
			if checked < 4 && !strings.HasPrefix(name, "BUILDER") {
				t.Errorf("deleted only %d members", checked)
			}
		})
	}
}

// members returns the path of every member of an object, at any depth. Of an
// array it looks at the first element, which its path calls [0].
func members(t *testing.T, body string) [][]string {
	t.Helper()
	var value any
	if err := json.Unmarshal([]byte(body), &value); err != nil {
		t.Fatal(err)
	}
	var walk func(v any, path []string) [][]string
	walk = func(v any, path []string) (all [][]string) {
		switch v := v.(type) {
		case map[string]any:
			for _, name := range slices.Sorted(maps.Keys(v)) {
				member := append(slices.Clone(path), name)
				all = append(append(all, member), walk(v[name], member)...)
			}
		case []any:
			all = walk(v[0], append(slices.Clone(path), "[0]"))
		}
		return all
	}
	return walk(value, nil)
}

// without returns body with one member less.
func without(t *testing.T, body string, path []string) string {
	t.Helper()
	var value any
	if err := json.Unmarshal([]byte(body), &value); err != nil {
		t.Fatal(err)
	}
	at := value
	for _, step := range path[:len(path)-1] {
		if step == "[0]" {
			at = at.([]any)[0]
		} else {
			at = at.(map[string]any)[step]
		}
	}
	delete(at.(map[string]any), path[len(path)-1])
	b, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestOneMessageManySpellings: all that clients write differently is one
// message with one signing root.
func TestOneMessageManySpellings(t *testing.T) {
	for name, spellings := range map[string]struct {
		sample string
		edit   func(string) string
	}{
		"type in lower case":              {"ATTESTATION", replace("ATTESTATION", "attestation")},
		"type in mixed case":              {"BLOCK_V2 of FULU", replace("BLOCK_V2", "Block_v2")},
		"block version in lower case":     {"BLOCK_V2 of FULU", replace("FULU", "fulu")},
		"aggregate version in lower case": {"AGGREGATE_AND_PROOF_V2", replace("FULU", "fulu")},
		"gloas version in mixed case":     {"PROPOSER_PREFERENCES", replace("GLOAS", "Gloas")},
		"a bare aggregate":                {"AGGREGATE_AND_PROOF_V2", always(samples()["AGGREGATE_AND_PROOF"])},
		"a wrapped aggregate, old type":   {"AGGREGATE_AND_PROOF_V2", always(samples()["AGGREGATE_AND_PROOF in the V2 shape"])},
		"a bare aggregate, new type":      {"AGGREGATE_AND_PROOF_V2", always(samples()["AGGREGATE_AND_PROOF_V2, bare"])},
		"a wrapped one without a version": {"AGGREGATE_AND_PROOF_V2", replace(`"version":"FULU",`, "")},
		"numbers":                         {"ATTESTATION", replace(`"411391"`, "411391", `"411392"`, "411392", `"13164544"`, "13164544", `"0"`, "0")},
		"hex in upper case":               {"ATTESTATION", replace("4b363db94e", "4B363DB94E")},
		"the type last":                   {"ATTESTATION", alphabetical},
		"white space":                     {"ATTESTATION", replace(",", " ,\r\n\t", ":", " : ")},
		"escapes":                         {"ATTESTATION", replace("type", `typ\u0065`, "ATTESTATION", `\u0041TTESTATION`, "0x0101", `0\u007801\u00301`)},
		"unknown members":                 {"ATTESTATION", replace(`"index"`, `"committee":{"index":[1]},"index"`, `{"type"`, `{"proofs":[{"a":null}],"type"`)},
		"null for other types' members":   {"ATTESTATION", replace(`{"type"`, `{"block":null,"beacon_block":null,"signing_root":null,"type"`)},
		"fork_info where none is needed":  {"VALIDATOR_REGISTRATION", replace(`{"type"`, `{"fork_info":`+forkInfo+`,"type"`)},
		"no fork_info, as null":           {"DEPOSIT", replace(`{"type"`, `{"fork_info":null,"type"`)},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, gloasNetwork(t), 1)
			plain := samples()[spellings.sample]
			edited := spellings.edit(plain)
			if edited == plain {
				t.Fatal("not edited")
			}
			if got, want := signatureIn(t, r.post(edited)), signatureIn(t, r.post(plain)); got != want {
				t.Errorf("got %v, want %v", got, want)
			}
		})
	}
}

func replace(oldnew ...string) func(string) string { return strings.NewReplacer(oldnew...).Replace }

func always(body string) func(string) string { return func(string) string { return body } }

// alphabetical writes the members of the body in that order.
func alphabetical(body string) string {
	var m map[string]json.RawMessage
	if err := json.Unmarshal([]byte(body), &m); err != nil {
		panic(err)
	}
	var all []string
	for _, name := range slices.Sorted(maps.Keys(m)) {
		all = append(all, fmt.Sprintf("%q:%s", name, m[name]))
	}
	return "{" + strings.Join(all, ",") + "}"
}

func TestTheClientsRootsMustBeOurs(t *testing.T) {
	r := newRig(t, mainnet(t), 1)
	var req request
	body := samples()["RANDAO_REVEAL"]
	if err := r.request.Decode([]byte(body), &req); err != nil {
		t.Fatal(err)
	}
	m, err := req.message()
	if err != nil {
		t.Fatal(err)
	}
	root, err := m.SigningRoot(r.signer.Network)
	if err != nil {
		t.Fatal(err)
	}
	ours, theirs := root.String(), root1
	for name, tt := range map[string]struct {
		members string
		ok      bool
	}{
		"none":                       {"", true},
		"signing_root":               {`"signing_root":"` + ours + `",`, true},
		"signingRoot":                {`"signingRoot":"` + ours + `",`, true},
		"both":                       {`"signing_root":"` + ours + `","signingRoot":"` + ours + `",`, true},
		"in upper case":              {`"signing_root":"0x` + strings.ToUpper(ours[2:]) + `",`, true},
		"another signing_root":       {`"signing_root":"` + theirs + `",`, false},
		"another signingRoot":        {`"signingRoot":"` + theirs + `",`, false},
		"the second of them another": {`"signing_root":"` + ours + `","signingRoot":"` + theirs + `",`, false},
		"the first of them another":  {`"signing_root":"` + theirs + `","signingRoot":"` + ours + `",`, false},
	} {
		t.Run(name, func(t *testing.T) {
			w := r.post(strings.Replace(body, "{", "{"+tt.members, 1))
			if tt.ok {
				signatureIn(t, w)
			} else {
				wantRefused(t, w, http.StatusBadRequest, "signing_root_mismatch")
			}
		})
	}
}

// TestBadBodies: a clear 400 each, that says where.
func TestBadBodies(t *testing.T) {
	plain := samples()["ATTESTATION"]
	block := samples()["BLOCK_V2 of FULU"]
	for name, tt := range map[string]struct{ body, want string }{
		"empty":                    {"", "the body is empty"},
		"a form":                   {"type=ATTESTATION", "malformed JSON at byte 1"},
		"another literal":          {"null", "must not be null"},
		"an array":                 {"[" + plain + "]", "want an object, got an array"},
		"an empty object":          {"{}", "type: missing"},
		"truncated":                {plain[:len(plain)/2], "the JSON ends early"},
		"trailing data":            {plain + plain, "trailing data"},
		"a byte order mark":        {"\ufeff" + plain, "malformed JSON at byte 0"},
		"a NUL":                    {plain + "\x00", "trailing data"},
		"invalid UTF-8":            {strings.Replace(plain, "ATT", "A\xffT", 1), "type: malformed JSON"},
		"nested deep":              {strings.Replace(plain, "{", `{"x":`+strings.Repeat("[", 1<<20)+",", 1), "more than 32 objects and arrays"},
		"a duplicate type":         {strings.Replace(plain, "{", `{"type":"BLOCK",`, 1), `duplicate member "type"`},
		"a duplicate slot":         {strings.Replace(plain, `"slot":`, `"slot":"1","slot":`, 1), `attestation: duplicate member "slot"`},
		"a duplicate in escapes":   {strings.Replace(plain, `"slot":`, `"\u0073lot":"1","slot":`, 1), `attestation: duplicate member "slot"`},
		"a duplicate unknown":      {strings.Replace(plain, "{", `{"x":1,"x":2,`, 1), `duplicate member "x"`},
		"an unknown type":          {strings.Replace(plain, "ATTESTATION", "EXIT", 1), `type: unknown type "EXIT"`},
		"an empty type":            {strings.Replace(plain, "ATTESTATION", "", 1), `type: unknown type ""`},
		"a very long type":         {strings.Replace(plain, "ATTESTATION", strings.Repeat("A", 100_000), 1), `type: unknown type "AAAA`},
		"a null type":              {strings.Replace(plain, `"ATTESTATION"`, "null", 1), "type: must not be null"},
		"a number for the type":    {strings.Replace(plain, `"ATTESTATION"`, "1", 1), "type: want a string, got a number"},
		"a withdrawal key's type":  {strings.Replace(plain, "ATTESTATION", "BLS_TO_EXECUTION_CHANGE", 1), "type: BLS_TO_EXECUTION_CHANGE is signed by a withdrawal key"},
		"a null object":            {`{"type":"RANDAO_REVEAL","fork_info":` + forkInfo + `,"randao_reveal":null}`, "randao_reveal: missing"},
		"a null fork_info":         {strings.Replace(plain, forkInfo, "null", 1), "fork_info: missing"},
		"a null number":            {strings.Replace(plain, `"13164544"`, "null", 1), "attestation.slot: must not be null"},
		"an object for a number":   {strings.Replace(plain, `"13164544"`, "{}", 1), "attestation.slot: want a string or a number, got an object"},
		"a negative number":        {strings.Replace(plain, `"13164544"`, "-1", 1), "attestation.slot: not a decimal number"},
		"a fraction":               {strings.Replace(plain, `"13164544"`, "1.0", 1), "attestation.slot: not a decimal number"},
		"an exponent":              {strings.Replace(plain, `"13164544"`, "1e3", 1), "attestation.slot: not a decimal number"},
		"a leading zero":           {strings.Replace(plain, `"13164544"`, `"013164544"`, 1), "attestation.slot: not a decimal number"},
		"hex for a number":         {strings.Replace(plain, `"13164544"`, `"0x10"`, 1), "attestation.slot: not a decimal number"},
		"white space in a number":  {strings.Replace(plain, `"13164544"`, `" 1"`, 1), "attestation.slot: not a decimal number"},
		"a number of 65 bits":      {strings.Replace(plain, `"13164544"`, `"18446744073709551616"`, 1), "attestation.slot: 18446744073709551616 is more than a uint64 holds"},
		"a JSON number of 65 bits": {strings.Replace(plain, `"13164544"`, "18446744073709551616", 1), "attestation.slot: 18446744073709551616 is more than a uint64 holds"},
		"a short root":             {strings.Replace(plain, root1, root1[:64], 1), "attestation.beacon_block_root: 62 hex digits, want 64"},
		"a long root":              {strings.Replace(plain, root1, root1+"00", 1), "attestation.beacon_block_root: 66 hex digits, want 64"},
		"no hex":                   {strings.Replace(plain, root1, "0xzz"+root1[4:], 1), "attestation.beacon_block_root: encoding/hex: invalid byte"},
		"hex without 0x":           {strings.Replace(plain, root1, "00"+root1[2:], 1), "attestation.beacon_block_root: hex does not begin with 0x"},
		"a number for a root":      {strings.Replace(plain, `"`+root1+`"`, "1", 1), "attestation.beacon_block_root: want a string, got a number"},
		"a short signing_root":     {strings.Replace(plain, "{", `{"signing_root":"0x",`, 1), "signing_root: 0 hex digits, want 64"},
		"an unknown block version": {strings.Replace(block, "FULU", "HEZE", 1), `beacon_block.version: unknown fork "HEZE"`},
		"a header for ALTAIR":      {strings.Replace(block, "FULU", "ALTAIR", 1), "beacon_block.block: missing"},
		"a block for FULU":         {strings.Replace(samples()["BLOCK_V2 of ALTAIR"], "ALTAIR", "FULU", 1), "beacon_block.block_header: missing"},
		"BLOCK with BLOCK_V2's":    {strings.Replace(block, "BLOCK_V2", "BLOCK", 1), "block: missing"},
		"BLOCK_V2 with BLOCK's":    {strings.Replace(samples()["BLOCK"], "BLOCK", "BLOCK_V2", 1), "beacon_block: missing"},
		"an odd number of digits":  {strings.Replace(samples()["AGGREGATE_AND_PROOF"], `"0x03"`, `"0x3"`, 1), "aggregate_and_proof.aggregate.aggregation_bits: encoding/hex: odd length hex string"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, mainnet(t), 1)
			got := wantRefused(t, r.post(tt.body), http.StatusBadRequest, "malformed_request")
			if !strings.Contains(got, tt.want) {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
			if len(got) > 512 {
				t.Errorf("a message of %d bytes", len(got))
			}
		})
	}
}

// TestInvalidMessages are well-formed, and what SSZ or the chain refuses.
func TestInvalidMessages(t *testing.T) {
	plain := samples()["ATTESTATION"]
	for name, tt := range map[string]struct {
		body   string
		status int
		reason string
	}{
		"no delimiter in a bitlist":     {strings.Replace(samples()["AGGREGATE_AND_PROOF"], `"0x03"`, `"0x00"`, 1), 400, "invalid_message"},
		"committee_bits before ELECTRA": {strings.Replace(samples()["AGGREGATE_AND_PROOF_V2"], "FULU", "DENEB", 1), 400, "invalid_message"},
		"an ALTAIR body said PHASE0":    {strings.Replace(samples()["BLOCK_V2 of ALTAIR"], "ALTAIR", "PHASE0", 1), 400, "invalid_message"},
		"a bid of FULU":                 {strings.Replace(samples()["EXECUTION_PAYLOAD_BID"], "GLOAS", "FULU", 1), 400, "invalid_message"},
		"another chain":                 {strings.Replace(plain, "0x4b36", "0x4b37", 1), 412, "foreign_chain"},
		"an unknown fork":               {strings.NewReplacer("0x05000000", "0x05000001").Replace(plain), 400, "unknown_fork"},
		"another validator's fees":      {strings.Replace(samples()["VALIDATOR_REGISTRATION"], pubkey0, commitment, 1), 400, "pubkey_mismatch"},
		"a vote for an older target":    {strings.Replace(plain, `{"epoch":"411391"`, `{"epoch":"411393"`, 1), 412, "source_after_target"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, gloasNetwork(t), 1)
			wantRefused(t, r.post(tt.body), tt.status, tt.reason)
		})
	}
}

// TestNumbersUseAllOf64Bits: a float would lose the last digits.
func TestNumbersUseAllOf64Bits(t *testing.T) {
	r := newRig(t, mainnet(t), 1)
	for _, number := range []uint64{0, 1<<53 + 1, 1<<63 - 1, 1 << 63, 1<<64 - 2, 1<<64 - 1} {
		for _, form := range []string{"%d", `"%d"`} {
			var req request
			body := strings.Replace(samples()["RANDAO_REVEAL"], `{"epoch":"411392"}}`, `{"epoch":`+fmt.Sprintf(form, number)+`}}`, 1)
			if err := r.request.Decode([]byte(body), &req); err != nil {
				t.Fatal(err)
			}
			if got := uint64(req.RandaoReveal.Epoch); got != number {
				t.Errorf("%s: got %d", body, got)
			}
		}
	}
}

// TestEncodeIsTheInverse of decoding, for every kind and shape.
func TestEncodeIsTheInverse(t *testing.T) {
	d := New(Config{}).request
	for name, body := range samples() {
		want := decoded(t, d.Decode, []byte(body))
		encoded, err := Encode(want)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if diff := cmp.Diff(want, decoded(t, d.Decode, encoded)); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func decoded(t *testing.T, decode func([]byte, *request) error, body []byte) eth2.Message {
	t.Helper()
	var r request
	if err := decode(body, &r); err != nil {
		t.Fatalf("%s: %v", body, err)
	}
	m, err := r.message()
	if err != nil {
		t.Fatalf("%s: %v", body, err)
	}
	return m
}
