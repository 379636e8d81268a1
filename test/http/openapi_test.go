package http_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	gotoken "go/token"
	"io"
	"maps"
	"net/http"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/google/go-cmp/cmp"

	"github.com/secure-signer/secure-signer/test/internal/daemon"
	"github.com/secure-signer/secure-signer/test/internal/interop"
)

// root of the product, from here.
var product = filepath.Join("..", "..")

// openAPI is docs/openapi.yaml, which must be valid.
func openAPI(t *testing.T) *openapi3.T {
	t.Helper()
	doc, err := openapi3.NewLoader().LoadFromFile(filepath.Join(product, "docs", "openapi.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if err := doc.Validate(t.Context()); err != nil {
		t.Fatal(err)
	}
	return doc
}

// TestTheDocumentNamesEveryRouteAndNoOther compares the document with the paths in
// the source of the APIs, and with the methods that a running daemon takes.
func TestTheDocumentNamesEveryRouteAndNoOther(t *testing.T) {
	t.Parallel()
	doc := openAPI(t)
	documented := slices.Sorted(maps.Keys(doc.Paths.Map()))
	if diff := cmp.Diff(routesInSource(t), documented); diff != "" {
		t.Errorf("paths (-in the source +documented):\n%s", diff)
	}

	f := initMainnet(t)
	d, good := daemon.Serve(t, f, unbound...), token(t, f)
	for _, path := range documented {
		operations := doc.Paths.Value(path).Operations()
		var want []string
		for method := range operations {
			want = append(want, method)
			if method == http.MethodGet {
				want = append(want, http.MethodHead)
			}
		}
		for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"} {
			answer := ask(t, d, openCase{method: method, token: good, path: regexp.MustCompile(`\{\w+\}`).ReplaceAllString(path, interop.New(0).Hex())})
			refused := answer.status == http.StatusMethodNotAllowed
			if answer.status == http.StatusNotFound && strings.Contains(answer.body, "no_such_route") {
				t.Errorf("%s %s: the daemon has no such route", method, path)
			}
			if documented := slices.Contains(want, method); refused == documented {
				t.Errorf("%s %s: documented %t, and the daemon answers %d", method, path, documented, answer.status)
			}
			if allow := sorted(strings.Split(answer.header.Get("Allow"), ", ")); refused && path != "/metrics" && !slices.Equal(allow, sorted(want)) {
				t.Errorf("%s %s: Allow says %v, documented are %v", method, path, allow, sorted(want))
			}
		}
	}
}

func sorted(s []string) []string { return slices.Sorted(slices.Values(s)) }

// routesInSource finds the paths among the strings of the packages that serve.
func routesInSource(t *testing.T) []string {
	t.Helper()
	pattern := regexp.MustCompile(`^(?:[A-Z]+ )?(/(?:api|attest|eth|import|signer|upcheck|healthcheck|reload|metrics)(?:/[\w/{}-]*[\w}])?)$`)
	found := map[string]bool{}
	for _, pkg := range []string{"web3signer", "keymanager", "management", "attestapi", "handover", "cmd/secure-signer"} {
		eachString(t, pkg, func(file, text string) {
			// The client of the same API, and the prefix under which the management API lies.
			if strings.HasSuffix(file, "client.go") || text == "/signer/v1" {
				return
			}
			if m := pattern.FindStringSubmatch(text); m != nil {
				found[m[1]] = true
			}
		})
	}
	return slices.Sorted(maps.Keys(found))
}

// eachString yields every string constant of a package's files, and every tag.
func eachString(t *testing.T, pkg string, yield func(file, text string)) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(product, pkg, "*.go"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no source in %s: %v", pkg, err)
	}
	for _, path := range files {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(gotoken.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == gotoken.STRING {
				if text, err := strconv.Unquote(lit.Value); err == nil {
					yield(path, text)
				}
			}
			return true
		})
	}
}

// TestTheDocumentListsEveryReasonAndEveryKind compares it with docs/errors.md, and
// asks the daemon of each type.
func TestTheDocumentListsEveryReasonAndEveryKind(t *testing.T) {
	t.Parallel()
	doc := openAPI(t)
	text := string(read(t, filepath.Join(product, "docs", "errors.md")))
	var reasons []string
	for _, m := range regexp.MustCompile("(?m)^\\| `(\\w+)` \\|").FindAllStringSubmatch(text, -1) {
		reasons = append(reasons, m[1])
	}
	if diff := cmp.Diff(sorted(reasons), sorted(enum(t, doc, "Error", "reason"))); diff != "" {
		t.Errorf("reasons (-errors.md +openapi.yaml):\n%s", diff)
	}

	// What holds a message: every member of the request that decode.go reads.
	members := map[string]bool{}
	file, err := parser.ParseFile(gotoken.NewFileSet(), filepath.Join(product, "web3signer", "decode.go"), nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.TypeSpec)
		if !ok || spec.Name.Name != "request" {
			return true
		}
		for _, f := range spec.Type.(*ast.StructType).Fields.List {
			members[regexp.MustCompile(`json:"(\w+)`).FindStringSubmatch(f.Tag.Value)[1]] = true
		}
		return false
	})
	delete(members, "signingRoot") // another spelling
	request := doc.Components.Schemas["SignRequest"].Value
	if diff := cmp.Diff(slices.Sorted(maps.Keys(members)), slices.Sorted(maps.Keys(request.Properties))); diff != "" {
		t.Errorf("members of a signing request (-decode.go +openapi.yaml):\n%s", diff)
	}

	d := daemon.Serve(t, initMainnet(t), unbound...)
	kinds := enum(t, doc, "SignRequest", "type")
	for _, kind := range append(kinds, "NO_SUCH_TYPE") {
		answer, err := d.Sign(interop.New(0).Public, fmt.Appendf(nil, `{"type":%q}`, kind))
		if err != nil {
			t.Fatal(err)
		}
		if unknown := strings.Contains(answer.Body, "unknown type"); answer.Status != 400 || unknown != (kind == "NO_SUCH_TYPE") {
			t.Errorf("%s: %d %s", kind, answer.Status, answer.Body)
		}
	}
	if len(kinds) != 18 {
		t.Errorf("%d types", len(kinds))
	}
}

func enum(t *testing.T, doc *openapi3.T, schema, property string) []string {
	t.Helper()
	var values []string
	for _, v := range doc.Components.Schemas[schema].Value.Properties[property].Value.Enum {
		values = append(values, v.(string))
	}
	return values
}

// An openCase is a request to one route.
type openCase struct {
	name   string
	method string
	route  string            // as documented
	params map[string]string // in the path
	path   string            // default: the route with its params
	query  string
	header http.Header
	host   string
	token  string // "" sends none
	body   string
	status int
	reason string
	// malformed says that the document, too, does not allow the request.
	malformed bool
}

type openAnswer struct {
	status int
	header http.Header
	body   string
}

func ask(t *testing.T, d *daemon.Daemon, c openCase) openAnswer {
	t.Helper()
	req := newRequest(t, d, c)
	resp, err := anyServer.RoundTrip(req)
	if err != nil {
		t.Fatalf("%s %s: %v", c.method, req.URL, err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("%s %s: %v", c.method, req.URL, err)
	}
	return openAnswer{resp.StatusCode, resp.Header, string(text)}
}

func newRequest(t *testing.T, d *daemon.Daemon, c openCase) *http.Request {
	t.Helper()
	path := c.path
	if path == "" {
		path = c.route
		for name, value := range c.params {
			path = strings.ReplaceAll(path, "{"+name+"}", value)
		}
	}
	url := d.URL + path + c.query
	if path == "/metrics" {
		url = d.Metrics
	}
	var body io.Reader = http.NoBody
	if c.body != "" {
		body = strings.NewReader(c.body)
	}
	req, err := http.NewRequestWithContext(t.Context(), c.method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept", "application/json")
	if c.body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	maps.Copy(req.Header, c.header)
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	if c.host != "" {
		req.Host = c.host
	}
	return req
}

// unprovoked are the answers that cannot be had from outside of a daemon that is
// well, and why. Each is tested where it can be.
var unprovoked = map[string]string{
	"500": "a fault in the signer, or a store that fails between two steps",
	"503": "keys that load, a store that fails, or more load than a test makes",
	"409": "a reload takes no time here",
}

// tooLarge are the routes whose limit is 64 MiB.
var tooLarge = map[string]bool{
	"POST /eth/v1/keystores 413": true, "DELETE /eth/v1/keystores 413": true, "POST /signer/v1/slashing/raise 413": true,
}

// lastAnswers are those after which the daemon ends, and where they are tested.
var lastAnswers = map[string]string{"POST /signer/v1/hand-over 200": "test/platform"}

// TestAnswersAreAsDocumented drives a daemon through every route, to every answer
// that the document gives.
func TestAnswersAreAsDocumented(t *testing.T) {
	t.Parallel()
	doc := openAPI(t)
	f := initMainnet(t)
	d := daemon.Serve(t, f, append(slices.Clone(unbound), "--high-watermark-epoch", "1000000")...)
	good := token(t, f)
	seen := map[string]bool{}
	run := func(d *daemon.Daemon, cases []openCase) {
		for _, c := range cases {
			t.Run(c.method+" "+c.route+" "+c.name, func(t *testing.T) {
				check(t, doc, d, c)
				seen[fmt.Sprint(c.method, " ", c.route, " ", c.status)] = true
			})
		}
	}
	run(d, append(openCases(d, good), everywhere(doc, good)...))
	attested, its := daemon.StartAttested(t, "mainnet", daemon.Options{})
	run(attested, attestedCases(t, attested, token(t, its)))
	for path, item := range doc.Paths.Map() {
		for method, operation := range item.Operations() {
			for status := range operation.Responses.Map() {
				answer := method + " " + path + " " + status
				if unprovoked[status] == "" && lastAnswers[answer] == "" && !tooLarge[answer] && !seen[answer] {
					t.Errorf("%s is documented, and nothing here gets it", answer)
				}
			}
		}
	}
}

// check sends a request and validates it and its answer.
func check(t *testing.T, doc *openapi3.T, d *daemon.Daemon, c openCase) {
	t.Helper()
	input := &openapi3filter.RequestValidationInput{
		Request:    newRequest(t, d, c),
		PathParams: c.params,
		Route: &routers.Route{
			Spec: doc, Path: c.route, PathItem: doc.Paths.Value(c.route), Method: c.method,
			Operation: doc.Paths.Value(c.route).GetOperation(c.method),
		},
		Options: &openapi3filter.Options{
			IncludeResponseStatus: true, MultiError: true, SkipSettingDefaults: true,
			AuthenticationFunc: func(_ context.Context, in *openapi3filter.AuthenticationInput) error {
				if !strings.HasPrefix(in.RequestValidationInput.Request.Header.Get("Authorization"), "Bearer ") {
					return errors.New("no token")
				}
				return nil
			},
		},
	}
	if err := openapi3filter.ValidateRequest(t.Context(), input); (err != nil) != c.malformed {
		t.Errorf("the document allows the request: %t, want %t: %.300v", err == nil, !c.malformed, err)
	}
	answer := ask(t, d, c)
	var body struct {
		Code           int
		Reason         string
		Message, Error string
	}
	isError := answer.status >= 400 && answer.status != http.StatusServiceUnavailable
	if isError && json.Unmarshal([]byte(answer.body), &body) != nil || body.Reason != c.reason || body.Message != body.Error || isError && body.Code != answer.status {
		t.Errorf("reason %q, want %q: %.300s", body.Reason, c.reason, answer.body)
	}
	if answer.status != c.status {
		t.Fatalf("%d %.300s, want %d", answer.status, answer.body, c.status)
	}
	err := openapi3filter.ValidateResponse(t.Context(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: input, Status: answer.status, Header: answer.header,
		Body: io.NopCloser(bytes.NewReader([]byte(answer.body))), Options: input.Options,
	})
	if err != nil {
		t.Errorf("the answer is not as documented: %v\n%.300s", err, answer.body)
	}
}

// everywhere are the refusals that every route gives alike.
func everywhere(doc *openapi3.T, good string) []openCase {
	var cases []openCase
	key := interop.New(0).Hex()
	for path, item := range doc.Paths.Map() {
		for method, operation := range item.Operations() {
			c := openCase{method: method, route: path, params: map[string]string{}, malformed: operation.RequestBody != nil}
			for _, p := range operation.Parameters {
				if p.Value.In == "path" {
					c.params[p.Value.Name] = key
				}
			}
			foreign := c
			foreign.name, foreign.host, foreign.token, foreign.status, foreign.reason = "under another host's name", "evil.example", good, 403, "host_not_allowed"
			cases = append(cases, foreign)
			if operation.Security == nil {
				continue
			}
			none, wrong := c, c
			none.name, none.status, none.reason, none.malformed = "without a token", 401, "unauthorized", true
			wrong.name, wrong.token, wrong.status, wrong.reason = "with another token", "not-the-token", 403, "forbidden"
			cases = append(cases, none, wrong)
		}
	}
	return cases
}

// openCases are in the order in which they are sent: what one changes the next
// may rely on.
func openCases(d *daemon.Daemon, good string) []openCase {
	const (
		signing  = "/api/v1/eth2/sign/{identifier}"
		keys     = "/eth/v1/keystores"
		ours     = "/signer/v1/keys"
		history  = "/signer/v1/slashing"
		raising  = "/signer/v1/slashing/raise"
		one      = "/signer/v1/slashing/{pubkey}"
		said     = "/signer/v1/slashing/{pubkey}/verdict"
		password = "a password"
	)
	key, other := interop.New(0), interop.New(1)
	id := map[string]string{"identifier": key.Hex()}
	keystore, err := json.Marshal(key.Keystore(password))
	if err != nil {
		panic(err)
	}
	interchange := func(pub string) string {
		return fmt.Sprintf(`{"metadata":{"interchange_format_version":"5","genesis_validators_root":%q},"data":[{"pubkey":%q,`+
			`"signed_blocks":[{"slot":"7","signing_root":%q}],"signed_attestations":[{"source_epoch":"1","target_epoch":2}]}]}`,
			mainnetRoot, pub, root(1))
	}
	sign := func(name, body string, status int, reason string) openCase {
		return openCase{name: name, method: "POST", route: signing, params: id, body: body, status: status, reason: reason}
	}
	with := func(c openCase, change func(*openCase)) openCase {
		change(&c)
		return c
	}
	managed := func(name, method, route, body string, status int, reason string) openCase {
		return openCase{name: name, method: method, route: route, token: good, body: body, status: status, reason: reason}
	}
	shown := func(pub string) func(*openCase) {
		return func(c *openCase) { c.params = map[string]string{"pubkey": pub} }
	}
	return []openCase{
		managed("two keys in", "POST", keys, fmt.Sprintf(`{"keystores":[%s,"no keystore"],"passwords":[%q,""]}`, keystore, password), 200, ""),
		managed("half a body", "POST", keys, `{"keystores":[]}`, 400, "malformed_request").malform(),
		managed("the keys", "GET", keys, "", 200, ""),

		sign("a vote", attestation(1, 2, 1), 200, ""),
		with(sign("a vote, as text", attestation(1, 2, 1), 200, ""), func(c *openCase) { c.header = http.Header{"Accept": {"text/plain"}} }),
		sign("a block", block(64, 1), 200, ""),
		sign("a randao reveal", randao(5), 200, ""),
		sign("an exit", exit(5), 200, ""),
		sign("a deposit", deposit(key.Hex()), 200, ""),
		sign("another vote", attestation(1, 2, 2), 412, "double_vote"),
		sign("a vote past the high watermark", attestation(1, 1_000_000, 2), 412, "high_watermark"),
		sign("no type", `{}`, 400, "malformed_request").malform(),
		with(sign("a key that is not here", attestation(1, 2, 1), 404, "key_not_found"), func(c *openCase) { c.params = map[string]string{"identifier": other.Hex()} }),
		sign("33 MiB", `{"pad":"`+strings.Repeat("x", 33<<20)+`"}`, 413, "body_too_large").malform(),

		{name: "the keys", method: "GET", route: "/api/v1/eth2/publicKeys", status: 200},
		{name: "the keys again", method: "GET", route: "/api/v1/eth2/publicKeys", header: http.Header{"If-None-Match": {"*"}}, status: 304},
		{name: "a watermark", method: "GET", route: "/api/v1/eth2/highWatermark", status: 200},
		{name: "JSON", method: "GET", route: "/upcheck", status: 200},
		{name: "text", method: "GET", route: "/upcheck", header: http.Header{"Accept": {"text/plain"}}, status: 200},
		{name: "it is well", method: "GET", route: "/healthcheck", status: 200},
		{name: "never asked for", method: "GET", route: "/reload", status: 200},
		{name: "asked for", method: "POST", route: "/reload", status: 202},
		{name: "and done", method: "GET", route: "/reload", status: 200},
		{name: "the page", method: "GET", route: "/metrics", header: http.Header{"Accept": {"text/plain"}}, status: 200},

		managed("it is well", "GET", "/signer/v1/status", "", 200, ""),
		managed("two more", "POST", ours, `{"count":2}`, 200, ""),
		managed("none", "POST", ours, `{"count":0}`, 400, "malformed_request").malform(),
		managed("2 KiB", "POST", ours, `{"count":1,"pad":"`+strings.Repeat("x", 2<<10)+`"}`, 413, "body_too_large"),
		managed("all", "GET", ours, "", 200, ""),

		managed("of a key that is not here", "POST", history, interchange(other.Hex()), 200, ""),
		managed("of another kind", "POST", history, `{"metadata":{},"data":[]}`, 400, "malformed_request").malform(),
		managed("of another chain", "POST", history, strings.Replace(interchange(key.Hex()), mainnetRoot, root(9), 1), 400, "foreign_chain"),
		managed("all", "GET", history, "", 200, ""),
		with(managed("of two", "GET", history, "", 200, ""), func(c *openCase) { c.query = "?pubkey=" + key.Hex() + "&pubkey=" + other.Hex() }),
		with(managed("of what is no key", "GET", history, "", 400, "malformed_request"), func(c *openCase) { c.query, c.malformed = "?pubkey=0x12", true }),
		with(managed("of a stranger", "GET", history, "", 404, "no_record"), func(c *openCase) { c.query = "?pubkey=" + interop.New(2).Hex() }),

		managed("all, to now", "POST", raising, `{"to":"now"}`, 200, ""),
		managed("one, by numbers", "POST", raising, fmt.Sprintf(`{"pubkeys":[%q],"slot":100,"source_epoch":"3","target_epoch":"4"}`, key.Hex()), 200, ""),
		managed("to nothing", "POST", raising, `{}`, 400, "malformed_request"),
		managed("a stranger", "POST", raising, fmt.Sprintf(`{"pubkeys":[%q],"slot":"1"}`, interop.New(2).Hex()), 404, "no_record"),

		managed("all", "GET", "/signer/v1/slashing/records", "", 200, ""),
		with(managed("one", "GET", one, "", 200, ""), shown(key.Hex())),
		with(managed("a stranger", "GET", one, "", 404, "no_record"), shown(interop.New(2).Hex())),
		with(managed("what is no key", "GET", one, "", 400, "malformed_request"), func(c *openCase) { shown("0x12")(c); c.malformed = true }),

		with(managed("of an epoch", "GET", said, "", 200, ""), func(c *openCase) { shown(key.Hex())(c); c.query = "?epoch=3" }),
		with(managed("of a stranger", "GET", said, "", 200, ""), shown(interop.New(2).Hex())),
		with(managed("of what is no slot", "GET", said, "", 400, "malformed_request"), func(c *openCase) {
			shown(key.Hex())(c)
			c.query, c.malformed = "?slot=x", true
		}),

		managed("a copy", "GET", "/signer/v1/backup", "", 200, ""),

		managed("no trusted hardware", "POST", "/attest", fmt.Sprintf(`{"nonce":%q}`, nonce), 501, "no_platform"),
		managed("no trusted hardware", "POST", "/import", fmt.Sprintf(`{"import_nonce":%q,"pubkey":%q,"sealed":"AA=="}`, nonce, key.Hex()), 501, "no_platform"),
		managed("no trusted hardware", "POST", "/signer/v1/hand-over/nonce", "", 501, "no_platform"),
		managed("no trusted hardware", "POST", "/signer/v1/hand-over", offer, 501, "no_platform"),
		managed("no trusted hardware", "POST", "/attest/keys", generation(32e9), 501, "no_platform"),

		managed("one that is here, one that is not", "DELETE", keys, fmt.Sprintf(`{"pubkeys":[%q,%q]}`, key.Hex(), strings.TrimPrefix(interop.New(2).Hex(), "0x")), 200, ""),
		managed("no list", "DELETE", keys, `{}`, 400, "malformed_request").malform(),
	}
}

// malform marks a request that the document does not allow.
func (c openCase) malform() openCase {
	c.malformed = true
	return c
}
