package attest

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var (
	now       = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	root      = Digest{1}
	wanted    = Claims{HPKEKey: []byte("hpke")}.ReportData(Nonce{1}, nil)
	advisory  = "INTEL-SA-00001"
	goodProof = Result{
		Kind:         KindSGX,
		Measurements: map[string]Hex{"mrenclave": {1, 2}},
		Details:      map[string]Hex{"config_id": {0}},
		Signer:       Hex{3},
		Product:      7,
		SVN:          5,
		TCB:          TCBSWHardeningNeeded,
		TCBVersion:   map[string]uint64{"evaluation": 17},
		Advisories:   []string{advisory},
		Root:         root,
		Revocation:   RevocationChecked,
		VerifiedAt:   now,
		IssuedAt:     now.Add(-time.Minute),
		Collateral:   now.Add(-24 * time.Hour),
		ValidUntil:   now.Add(time.Hour),
		ReportData:   wanted,
	}
)

func goodPolicy() Policy {
	return Policy{
		Accept: []Identity{{
			Kind:         KindSGX,
			Measurements: map[string]Hex{"mrenclave": {1, 2}},
			Details:      map[string]Hex{"config_id": {0}},
			Signer:       Hex{3},
			Product:      7,
			MinSVN:       5,
			MinTCB:       map[string]uint64{"evaluation": 17},
		}},
		Roots:            []Digest{root},
		TCB:              []TCBStatus{TCBUpToDate, TCBSWHardeningNeeded},
		Advisories:       []string{advisory},
		MaxAge:           Duration(5 * time.Minute),
		MaxCollateralAge: Duration(48 * time.Hour),
	}
}

const goldenReportData = "9b9a36c6112b57028c6814e5e7f5e5d137bd3dfd4282562f297c4b1f3dfda771" +
	"19240224b014f7a3d3303acbed76eef2ac85ac6162d23a3a2886c124b9b752c4"

// codes are those of a refusal, each once, in order.
func codes(t *testing.T, err error) []string {
	t.Helper()
	if err == nil {
		return nil
	}
	var refusal *Refusal
	if !errors.As(err, &refusal) || !errors.Is(err, ErrNotAcceptable) {
		t.Fatalf("got %T, want a refusal", err)
	}
	var out []string
	for _, r := range refusal.Reasons {
		out = append(out, r.Code)
	}
	return slices.Compact(out)
}

func TestThePolicyAcceptsWhatItNames(t *testing.T) {
	if err := goodPolicy().Judge(goodProof, wanted); err != nil {
		t.Fatal(err)
	}
}

func TestTheZeroPolicyRefusesEverythingForEveryReason(t *testing.T) {
	got := codes(t, Policy{}.Judge(goodProof, wanted))
	want := []string{CodeRoot, CodeKind, CodeTCB, CodeAdvisory, CodeAge}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for _, kind := range []Kind{KindSGX, KindTDX, KindSNP, KindNitro, KindTPM, KindDev, ""} {
		r := goodProof
		r.Kind, r.TCB, r.Advisories = kind, TCBUpToDate, nil
		if (Policy{}).Judge(r, wanted) == nil {
			t.Errorf("%q accepted by the zero policy", kind)
		}
	}
	if goodPolicy().Judge(Result{}, ReportData{}) == nil {
		t.Error("a result that proves nothing was accepted")
	}
}

func TestOneThingWrongRefuses(t *testing.T) {
	tests := []struct {
		name   string
		result func(*Result)
		policy func(*Policy)
		code   string
	}{
		{name: "report data of another connection", result: func(r *Result) { r.ReportData[63] ^= 1 }, code: CodeReportData},
		{name: "another root", result: func(r *Result) { r.Root[0]++ }, code: CodeRoot},
		{name: "no root at all", result: func(r *Result) { r.Root = Digest{} }, policy: func(p *Policy) { p.Roots = []Digest{{}} }, code: CodeRoot},
		{name: "another platform", result: func(r *Result) { r.Kind = KindDev }, code: CodeKind},
		{name: "another measurement", result: func(r *Result) { r.Measurements = map[string]Hex{"mrenclave": {1, 3}} }, code: CodeIdentity},
		{name: "a register that the policy does not name", result: func(r *Result) {
			r.Measurements = map[string]Hex{"mrenclave": {1, 2}, "rtmr3": {0}}
		}, code: CodeIdentity},
		{name: "a register that was not measured", policy: func(p *Policy) { p.Accept[0].Measurements["rtmr3"] = Hex{} }, code: CodeIdentity},
		{name: "nothing measured and nothing asked", result: func(r *Result) { r.Measurements = nil }, policy: func(p *Policy) { p.Accept[0].Measurements = nil }, code: CodeIdentity},
		{name: "another detail", result: func(r *Result) { r.Details = map[string]Hex{"config_id": {9}} }, code: CodeIdentity},
		{name: "a detail that is missing", result: func(r *Result) { r.Details = nil }, code: CodeIdentity},
		{name: "another signer", result: func(r *Result) { r.Signer = Hex{4} }, code: CodeSigner},
		{name: "a signer where none is expected", policy: func(p *Policy) { p.Accept[0].Signer = nil }, code: CodeSigner},
		{name: "no signer where one is expected", result: func(r *Result) { r.Signer = nil }, code: CodeSigner},
		{name: "another product of the signer", result: func(r *Result) { r.Product = 8 }, code: CodeSigner},
		{name: "an older security version", result: func(r *Result) { r.SVN = 4 }, code: CodeSVN},
		{name: "debug mode", result: func(r *Result) { r.Debug = true }, code: CodeDebug},
		{name: "migratable", result: func(r *Result) { r.Migratable = true }, code: CodeMigration},
		{name: "asked for from a lower privilege level", result: func(r *Result) { r.Level = 1 }, code: CodeLevel},
		{name: "a worse TCB status", result: func(r *Result) { r.TCB = TCBOutOfDate }, code: CodeTCB},
		{name: "revoked, even if the policy lists it", result: func(r *Result) { r.TCB = TCBRevoked }, policy: func(p *Policy) { p.TCB = []TCBStatus{TCBRevoked} }, code: CodeTCB},
		{name: "no TCB status", result: func(r *Result) { r.TCB = "" }, code: CodeTCB},
		{name: "an older TCB version", result: func(r *Result) { r.TCBVersion = map[string]uint64{"evaluation": 16} }, code: CodeTCB},
		{name: "a TCB version that is missing", result: func(r *Result) { r.TCBVersion = nil }, code: CodeTCB},
		{name: "unrated, and the policy asks for no version", result: func(r *Result) { r.TCB = TCBUnrated }, policy: func(p *Policy) {
			p.TCB, p.Accept[0].MinTCB = []TCBStatus{TCBUnrated}, nil
		}, code: CodeTCB},
		{name: "another advisory", result: func(r *Result) { r.Advisories = []string{advisory, "INTEL-SA-00002"} }, code: CodeAdvisory},
		{name: "revocation unchecked", result: func(r *Result) { r.Revocation = RevocationUnchecked }, code: CodeRevocation},
		{name: "revocation unknown", result: func(r *Result) { r.Revocation = "" }, policy: func(p *Policy) { p.AllowUncheckedRevocation = true }, code: CodeRevocation},
		{name: "old evidence", result: func(r *Result) { r.IssuedAt = now.Add(-6 * time.Minute) }, code: CodeAge},
		{name: "evidence of the future", result: func(r *Result) { r.IssuedAt = now.Add(2 * time.Minute) }, code: CodeAge},
		{name: "old collateral", result: func(r *Result) { r.Collateral = now.Add(-49 * time.Hour) }, code: CodeAge},
		{name: "no longer valid", result: func(r *Result) { r.ValidUntil = now.Add(-time.Second) }, code: CodeAge},
		{name: "verified for no time", result: func(r *Result) { r.VerifiedAt, r.IssuedAt, r.Collateral = time.Time{}, time.Time{}, time.Time{} }, code: CodeAge},
		{name: "roots left out", policy: func(p *Policy) { p.Roots = nil }, code: CodeRoot},
		{name: "programs left out", policy: func(p *Policy) { p.Accept = nil }, code: CodeKind},
		{name: "TCB statuses left out", policy: func(p *Policy) { p.TCB = nil }, code: CodeTCB},
		{name: "advisories left out", policy: func(p *Policy) { p.Advisories = nil }, code: CodeAdvisory},
		{name: "age left out", policy: func(p *Policy) { p.MaxAge = 0 }, code: CodeAge},
		{name: "age of collateral left out", policy: func(p *Policy) { p.MaxCollateralAge = 0 }, code: CodeAge},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r, p := goodProof, goodPolicy()
			if tt.result != nil {
				tt.result(&r)
			}
			if tt.policy != nil {
				tt.policy(&p)
			}
			err := p.Judge(r, wanted)
			if diff := cmp.Diff([]string{tt.code}, codes(t, err)); diff != "" {
				t.Errorf("%v\n%s", err, diff)
			}
		})
	}
}

func TestNoReportDataExpectedIsARefusal(t *testing.T) {
	r := goodProof
	r.ReportData = ReportData{}
	if diff := cmp.Diff([]string{CodeReportData}, codes(t, goodPolicy().Judge(r, ReportData{}))); diff != "" {
		t.Error(diff)
	}
}

func TestEachPermissionAllowsWhatItSaysAndNoMore(t *testing.T) {
	r := goodProof
	r.Debug, r.Migratable, r.Level, r.Revocation = true, true, 2, RevocationUnchecked
	p := goodPolicy()
	if diff := cmp.Diff([]string{CodeDebug, CodeMigration, CodeLevel, CodeRevocation}, codes(t, p.Judge(r, wanted))); diff != "" {
		t.Error(diff)
	}
	p.AllowDebug, p.AllowMigration, p.MaxLevel, p.AllowUncheckedRevocation = true, true, 2, true
	if err := p.Judge(r, wanted); err != nil {
		t.Error(err)
	}
}

func TestTheReasonsAreThoseOfTheNearestProgram(t *testing.T) {
	p := goodPolicy()
	far := Identity{Kind: KindSGX, Measurements: map[string]Hex{"mrenclave": {9}}}
	near := p.Accept[0]
	near.MinSVN = 6
	p.Accept = []Identity{{Kind: KindTDX}, far, near}
	if diff := cmp.Diff([]string{CodeSVN}, codes(t, p.Judge(goodProof, wanted))); diff != "" {
		t.Error(diff)
	}
	p.Accept = append(p.Accept, goodPolicy().Accept...)
	if err := p.Judge(goodProof, wanted); err != nil {
		t.Error(err)
	}
}

// An enclave can be exchanged for another maker's: one policy takes either.
func TestOnePolicyMayAcceptHardwareOfSeveralMakers(t *testing.T) {
	p := goodPolicy()
	p.Accept = append(p.Accept, Identity{
		Kind: KindSNP, Measurements: map[string]Hex{"measurement": {8}, "host_data": {0}}, MinTCB: map[string]uint64{"snp": 20, "microcode": 209},
	})
	p.Roots, p.TCB = append(p.Roots, Digest{2}), append(p.TCB, TCBUnrated)
	other := Result{
		Kind: KindSNP, Measurements: p.Accept[1].Measurements, TCB: TCBUnrated, TCBVersion: map[string]uint64{"snp": 20, "microcode": 210},
		Root: Digest{2}, Revocation: RevocationNone, VerifiedAt: now, ReportData: wanted,
	}
	for _, r := range []Result{goodProof, other} {
		if err := p.Judge(r, wanted); err != nil {
			t.Errorf("%s: %v", r.Kind, err)
		}
	}
	other.Kind = KindSGX
	if p.Judge(other, wanted) == nil {
		t.Error("one maker's measurement was accepted as the other's")
	}
}

func TestReportDataBindsEachPartAndWhereItEnds(t *testing.T) {
	claims := Claims{HPKEKey: []byte("ab"), TLSKey: []byte("cd"), Config: []byte("ef")}
	nonce, exporter := Nonce{1}, []byte("xy")
	base := claims.ReportData(nonce, exporter)
	// Worked out apart from this code, with a script over hashlib.
	if got, want := base.String(), goldenReportData; got != want {
		t.Errorf("got %s, want %s: evidence of released signers no longer matches", got, want)
	}
	others := map[string]ReportData{
		"nonce":     claims.ReportData(Nonce{2}, exporter),
		"exporter":  claims.ReportData(nonce, []byte("xz")),
		"HPKE key":  Claims{HPKEKey: []byte("aB"), TLSKey: claims.TLSKey, Config: claims.Config}.ReportData(nonce, exporter),
		"TLS key":   Claims{HPKEKey: claims.HPKEKey, TLSKey: []byte("cD"), Config: claims.Config}.ReportData(nonce, exporter),
		"config":    Claims{HPKEKey: claims.HPKEKey, TLSKey: claims.TLSKey}.ReportData(nonce, exporter),
		"boundary":  Claims{HPKEKey: []byte("abc"), TLSKey: []byte("d"), Config: claims.Config}.ReportData(nonce, exporter),
		"boundary2": Claims{HPKEKey: []byte("yab"), TLSKey: claims.TLSKey, Config: claims.Config}.ReportData(nonce, []byte("x")),
	}
	for name, other := range others {
		if other == base {
			t.Errorf("%s is not bound", name)
		}
	}
}

func TestEvidenceKeepsItsShape(t *testing.T) {
	ev := Evidence{Type: TypeDev, Value: []byte{1}, Collateral: map[string][]byte{"chain": {2}}, Claims: Claims{TLSKey: []byte{3}}}
	text, err := json.Marshal(ev)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"type":"application/vnd.secure-signer.dev-evidence","value":"AQ==","collateral":{"chain":"Ag=="},"claims":{"tls_key":"Aw=="}}`
	if string(text) != want {
		t.Errorf("got %s", text)
	}
	back, err := ParseEvidence(text)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(ev, back); diff != "" {
		t.Error(diff)
	}
}

func TestJSONIsReadStrictly(t *testing.T) {
	for name, text := range map[string]string{
		"empty":                     ``,
		"no value":                  `{"type":"t"}`,
		"no type":                   `{"value":"AQ=="}`,
		"unknown member":            `{"type":"t","value":"AQ==","debug":false}`,
		"repeated member":           `{"type":"t","value":"AQ==","type":"u"}`,
		"repeated in another case":  `{"type":"t","value":"AQ==","Type":"u"}`,
		"repeated by case folding":  `{"type":"t","value":"AQ==","claims":{"tls_key":"AQ==","tl` + "\u017f_\u212a" + `ey":"Ag=="}}`,
		"repeated inside":           `{"type":"t","value":"AQ==","collateral":{"a":"AQ==","a":"Ag=="}}`,
		"two values":                `{"type":"t","value":"AQ=="}{}`,
		"something after the value": `{"type":"t","value":"AQ=="}}`,
		"too deep":                  strings.Repeat("[", 1<<17),
		"too long":                  `{"type":"t","value":"` + strings.Repeat("A", MaxEvidence) + `"}`,
	} {
		if _, err := ParseEvidence([]byte(text)); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	for name, text := range map[string]string{
		"misspelt member":     `{"allow_debugging":true}`,
		"repeated member":     `{"allow_debug":false,"allow_debug":true}`,
		"revoked accepted":    `{"tcb":["Revoked"]}`,
		"unknown status":      `{"tcb":["Fine"]}`,
		"days":                `{"max_age":"3d"}`,
		"root of wrong size":  `{"roots":["00"]}`,
		"measurement no hex":  `{"accept":[{"kind":"sgx","measurements":{"mrenclave":"xy"}}]}`,
		"a list, not a thing": `[]`,
	} {
		if _, err := ParsePolicy([]byte(text)); err == nil {
			t.Errorf("policy with %s: accepted", name)
		}
	}
}

func TestAPolicyReadsBackAsWritten(t *testing.T) {
	text, err := json.Marshal(goodPolicy())
	if err != nil {
		t.Fatal(err)
	}
	back, err := ParsePolicy(text)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(goodPolicy(), back); diff != "" {
		t.Error(diff)
	}
}

func TestThePartsOfAPlatformConvergeToTheWorse(t *testing.T) {
	tests := []struct{ a, b, want TCBStatus }{
		{TCBUpToDate, TCBUpToDate, TCBUpToDate},
		{TCBSWHardeningNeeded, TCBUpToDate, TCBSWHardeningNeeded},
		{TCBOutOfDate, TCBSWHardeningNeeded, TCBOutOfDate},
		{TCBOutOfDate, TCBConfigurationNeeded, TCBOutOfDateConfigurationNeeded},
		{TCBOutOfDate, TCBConfigurationAndSWHardeningNeeded, TCBOutOfDateConfigurationNeeded},
		{TCBConfigurationNeeded, TCBSWHardeningNeeded, TCBConfigurationAndSWHardeningNeeded},
		{TCBRevoked, TCBOutOfDateConfigurationNeeded, TCBRevoked},
	}
	for _, tt := range tests {
		if got := tt.a.Worse(tt.b); got != tt.want {
			t.Errorf("%s and %s: got %s, want %s", tt.a, tt.b, got, tt.want)
		}
		if got := tt.b.Worse(tt.a); got != tt.want {
			t.Errorf("%s and %s: got %s, want %s", tt.b, tt.a, got, tt.want)
		}
	}
}

func TestASetLetsOnlyTheRightVerifierSpeak(t *testing.T) {
	set := Set{TypeDev: verifierFunc(func(ev Evidence, at time.Time) (Result, error) {
		return Result{Kind: KindDev, VerifiedAt: at}, ev.Expect(TypeDev)
	})}
	if _, err := set.Verify(Evidence{Type: TypeDev}, now); err != nil {
		t.Error(err)
	}
	if _, err := set.Verify(Evidence{Type: TypeSGX}, now); err == nil {
		t.Error("evidence without a verifier was accepted")
	}
	if err := (Evidence{Type: TypeSGX}).Expect(TypeTDX, TypeDev); err == nil {
		t.Error("evidence of another type was accepted")
	}
}

type verifierFunc func(Evidence, time.Time) (Result, error)

func (f verifierFunc) Verify(ev Evidence, at time.Time) (Result, error) { return f(ev, at) }

func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"type":"t","value":"AQ==","collateral":{"a":"AQ=="},"claims":{"config":"e30="}}`))
	f.Add([]byte(`{"accept":[{"kind":"sgx","measurements":{"mrenclave":"01"}}],"tcb":["UpToDate"],"max_age":"1h"}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		if ev, err := ParseEvidence(text); err == nil && len(ev.Value) == 0 {
			t.Error("evidence without a value")
		}
		if p, err := ParsePolicy(text); err == nil && p.Judge(Result{}, ReportData{}) == nil {
			t.Error("a policy that accepts what proves nothing")
		}
	})
}

func ExamplePolicy_Judge() {
	policy, err := ParsePolicy([]byte(`{
		"accept": [{"kind": "sgx", "measurements": {"mrenclave": "0102"}, "signer": "03", "product": 7, "min_svn": 6}],
		"roots": ["0100000000000000000000000000000000000000000000000000000000000000"],
		"tcb": ["UpToDate", "SWHardeningNeeded"],
		"advisories": ["INTEL-SA-00001"],
		"max_age": "5m",
		"max_collateral_age": "720h"
	}`))
	if err != nil {
		panic(err)
	}
	fmt.Println(policy.Judge(goodProof, wanted))
	// Output: evidence not acceptable: security version is 5, the policy wants at least 6: update the signer
}

func TestCollateralIsAllThatIsAskedForAndNoMore(t *testing.T) {
	required, optional := []string{"chain"}, []string{"crl"}
	for _, tt := range []struct {
		name       string
		collateral map[string][]byte
		want       string
	}{
		{"what is required", map[string][]byte{"chain": {1}}, ""},
		{"what is optional, too", map[string][]byte{"chain": {1}, "crl": {1}}, ""},
		{"nothing", nil, "chain did not come"},
		{"an empty part", map[string][]byte{"chain": {}}, "chain did not come"},
		{"a part too many", map[string][]byte{"chain": {1}, "more": {1}}, `"more" is no part of it`},
		{"too much", map[string][]byte{"chain": make([]byte, MaxEvidence), "crl": {1}}, "it has 1048577 bytes"},
	} {
		err := Evidence{Collateral: tt.collateral}.ExpectCollateral(required, optional)
		switch {
		case tt.want == "" && err != nil:
			t.Errorf("%s: %v", tt.name, err)
		case tt.want != "" && (!errors.Is(err, ErrCollateral) || !strings.Contains(err.Error(), tt.want)):
			t.Errorf("%s: got %v, want %q", tt.name, err, tt.want)
		}
	}
	if err := (Evidence{Type: TypeDev, Value: make([]byte, MaxEvidence+1)}).Expect(TypeDev); err == nil || !strings.Contains(err.Error(), "at most 1048576 are read") {
		t.Errorf("evidence without end: %v", err)
	}
}

func TestAnInboxOpensWhatWasSealedToItForThatUse(t *testing.T) {
	inbox, err := NewInbox()
	if err != nil {
		t.Fatal(err)
	}
	other, err := NewInbox()
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := SealTo(inbox.PublicKey(), []byte("use"), []byte("secret"))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := inbox.Open([]byte("use"), sealed); err != nil || string(got) != "secret" {
		t.Errorf("got %q, %v", got, err)
	}
	if _, err := inbox.Open([]byte("another use"), sealed); err == nil {
		t.Error("opened for another use")
	}
	if _, err := other.Open([]byte("use"), sealed); err == nil {
		t.Error("opened by another key")
	}
	for i := range sealed {
		sealed[i] ^= 1
		if _, err := inbox.Open([]byte("use"), sealed); err == nil {
			t.Fatalf("opened with byte %d changed", i)
		}
		sealed[i] ^= 1
	}
	if _, err := inbox.Open([]byte("use"), nil); err == nil {
		t.Error("opened nothing")
	}
	if _, err := SealTo([]byte("no key"), nil, nil); err == nil {
		t.Error("sealed to no key")
	}
}
