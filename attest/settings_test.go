package attest

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"
)

const goodSettings = `{"network": "mainnet", "max_future_epochs": 2, "allow": [], "horizon": {"kind": "tpm", "identity": {"a": 1, "b": "x"}}}`

// judged is what a policy with goodSettings says of a document.
func judged(document string, reads ...string) error {
	p := goodPolicy()
	if err := json.Unmarshal([]byte(goodSettings), &p.Settings); err != nil {
		panic(err)
	}
	c := Claims{HPKEKey: []byte("hpke"), Config: []byte(document)}
	r := goodProof
	r.ReportData = c.ReportData(Nonce{1}, []byte("exporter"))
	return p.JudgeClaims(r, c, Nonce{1}, []byte("exporter"), reads...)
}

func TestSettingsThatAreEqualAreAcceptedHoweverTheyAreWritten(t *testing.T) {
	for _, document := range []string{
		`{"settings":` + goodSettings + `}`,
		`{"settings":{"horizon":{"identity":{"b":"\u0078","a":1},"kind":"tpm"},"allow":[ ],"network":"main\u006eet","max_future_epochs":2}}`,
	} {
		if err := judged(document); err != nil {
			t.Errorf("%s: %v", document, err)
		}
	}
	if err := judged(`{"settings":`+goodSettings+`,"receipt_key":"01"}`, "receipt_key"); err != nil {
		t.Errorf("with a statement that the caller reads: %v", err)
	}
}

func TestOneSettingWrongRefuses(t *testing.T) {
	change := func(from, to string) string {
		if !strings.Contains(goodSettings, from) {
			t.Fatalf("no %s", from)
		}
		return `{"settings":` + strings.Replace(goodSettings, from, to, 1) + `}`
	}
	tests := map[string]string{
		"another value":                            change(`"mainnet"`, `"hoodi"`),
		"another value deep inside":                change(`"a": 1`, `"a": 2`),
		"a number written as text":                 change(`2, "allow"`, `"2", "allow"`),
		"a number with a fraction":                 change(`2, "allow"`, `2.0, "allow"`),
		"a number with an exponent":                change(`2, "allow"`, `2e0, "allow"`),
		"a list with an element":                   change(`[]`, `["DEPOSIT"]`),
		"null for a list":                          change(`[]`, `null`),
		"a setting that the policy does not name":  change(`"allow"`, `"more": false, "allow"`),
		"a setting deep inside that it does not":   change(`"a": 1`, `"a": 1, "c": null`),
		"a setting that is missing":                change(`"allow": [], `, ``),
		"a name in another case":                   change(`"network"`, `"Network"`),
		"a setting twice, the right one last":      change(`"network"`, `"network": "hoodi", "network"`),
		"a setting twice, the right one first":     change(`"mainnet"`, `"mainnet", "network": "hoodi"`),
		"a setting twice in two cases":             change(`"mainnet"`, `"mainnet", "NETWORK": "hoodi"`),
		"a setting twice deep inside":              change(`"a": 1`, `"a": 2, "a": 1`),
		"settings twice":                           `{"settings":{},"settings":` + goodSettings + `}`,
		"settings under a name in another case":    `{"Settings":` + goodSettings + `}`,
		"a statement that nobody reads":            `{"settings":` + goodSettings + `,"extra":1}`,
		"a statement in the case of one that does": `{"settings":` + goodSettings + `,"Receipt_key":1}`,
		"no settings":                              `{}`,
		"settings that are null":                   `{"settings":null}`,
		"settings that are a list":                 `{"settings":[]}`,
		"null":                                     `null`,
		"no JSON":                                  `settings`,
		"something after it":                       `{"settings":` + goodSettings + `}{}`,
		"no document":                              ``,
	}
	for name, document := range tests {
		t.Run(name, func(t *testing.T) {
			err := judged(document, "receipt_key")
			if diff := cmp.Diff([]string{CodeSettings}, codes(t, err)); diff != "" {
				t.Errorf("%v\n%s", err, diff)
			}
		})
	}
}

// encoding/json reads each of these as U+FFFD, and they are not the same.
func TestTextsThatAreNoCharactersAreNotEqual(t *testing.T) {
	for _, pair := range [][2]string{{`"\ud800"`, `"\ud801"`}, {"\"\xff\"", "\"\xfe\""}, {`{"\ud800":1}`, `{"\udc00":1}`}} {
		if same, err := equalJSON([]byte(pair[0]), []byte(pair[1])); same || err == nil {
			t.Errorf("%q and %q: %v, %v", pair[0], pair[1], same, err)
		}
	}
	if _, err := ParsePolicy([]byte(`{"settings":{"a":"\ud800"}}`)); err == nil {
		t.Error("a policy that can never be met was read")
	}
}

func TestAPolicyWithoutSettingsTakesNoDocumentAndOneWithThemNoLess(t *testing.T) {
	claims := Claims{HPKEKey: []byte("hpke")}
	r := goodProof
	r.ReportData = claims.ReportData(Nonce{1}, nil)
	if err := goodPolicy().JudgeClaims(r, claims, Nonce{1}, nil); err != nil {
		t.Errorf("hardware's word alone: %v", err)
	}
	claims.Config = []byte(`{"settings":{"network":"mainnet"}}`)
	r.ReportData = claims.ReportData(Nonce{1}, nil)
	if diff := cmp.Diff([]string{CodeSettings}, codes(t, goodPolicy().JudgeClaims(r, claims, Nonce{1}, nil))); diff != "" {
		t.Error(diff)
	}
	p := goodPolicy()
	p.Settings = map[string]json.RawMessage{"network": json.RawMessage(`"mainnet"`)}
	if err := p.JudgeClaims(r, claims, Nonce{1}, nil); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff([]string{CodeSettings}, codes(t, p.Judge(r, claims.ReportData(Nonce{1}, nil)))); diff != "" {
		t.Errorf("judged without its claims: %s", diff)
	}
	for what, err := range map[string]error{
		"another nonce":      p.JudgeClaims(r, claims, Nonce{2}, nil),
		"another connection": p.JudgeClaims(r, claims, Nonce{1}, []byte("x")),
	} {
		if diff := cmp.Diff([]string{CodeReportData}, codes(t, err)); diff != "" {
			t.Errorf("%s: %s", what, diff)
		}
	}
}

// Whatever counts as equal is one value to RFC 8785, too, which another package
// puts into its canonical form.
func FuzzEqualJSON(f *testing.F) {
	f.Add([]byte(`{"a":[1,"x"],"b":null}`), []byte(`{"b":null,"a":[1,"\u0078"]}`))
	f.Add([]byte(`{"a":1,"a":2}`), []byte(`{"a":2}`))
	f.Add([]byte(`1.0`), []byte(`1`))
	f.Add([]byte(`"\ud800"`), []byte(`"\udfff"`))
	f.Add([]byte(goodSettings), []byte(goodSettings))
	f.Fuzz(func(t *testing.T, a, b []byte) {
		same, err := equalJSON(a, b)
		if err != nil || !same {
			return
		}
		x, y := jsontext.Value(bytes.Clone(a)), jsontext.Value(bytes.Clone(b))
		if err := x.Canonicalize(); err != nil {
			t.Fatalf("equal, and %q is no JSON: %v", a, err)
		}
		if err := y.Canonicalize(); err != nil {
			t.Fatalf("equal, and %q is no JSON: %v", b, err)
		}
		if !bytes.Equal(x, y) {
			t.Errorf("%q and %q are equal, and %s and %s are not", a, b, x, y)
		}
	})
}
