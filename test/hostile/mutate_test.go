package hostile

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
)

// An attempt is what is sent over one connection, and what may come back.
type attempt struct {
	raw    []byte
	asked  []seed // what its requests ask for, in order: as many answers come back
	broken bool   // not HTTP as it should be: the library may answer, or hang up
	most   int    // of a broken one: so many answers at most
}

// A kind is one way of spoiling a request.
type kind struct {
	name string
	make func(r *rand.Rand, seeds []seed) attempt
}

// kinds are all ways, in turn.
func kinds() []kind {
	return []kind{
		{"bits flipped", body(flipBits)},
		{"digit changed", tree(changeDigit)},
		{"truncated", body(func(r *rand.Rand, s string) string { return s[:r.IntN(len(s))] })},
		{"member duplicated", tree(duplicateMember)},
		{"member removed", tree(removeMember)},
		{"member renamed", tree(renameMember)},
		{"value of another type", tree(confuseType)},
		{"nested deep", tree(nestDeep)},
		{"number out of bounds", tree(hugeNumber)},
		{"member of another request", spliced},
		{"invalid UTF-8 and escapes", body(spoilText)},
		{"bytes inserted", body(insertBytes)},
		{"wrong method", wrongMethod},
		{"wrong path", wrongPath},
		{"wrong key", wrongKey},
		{"odd headers", oddHeaders},
		{"broken headers", brokenHeaders},
		{"broken framing", brokenFraming},
		{"smuggled", smuggled},
		{"pipelined", pipelined},
		{"as it is", func(r *rand.Rand, seeds []seed) attempt { return well(pick(r, seeds)) }},
	}
}

func pick[T any](r *rand.Rand, from []T) T { return from[r.IntN(len(from))] }

// well writes requests as they should be.
func well(seeds ...seed) attempt {
	a := attempt{asked: seeds}
	for _, s := range seeds {
		a.raw = append(a.raw, s.head("Content-Length: "+strconv.Itoa(len(s.body)))+s.body...)
	}
	return a
}

// head is a request line and headers.
func (s seed) head(more ...string) string {
	lines := slices.Concat([]string{s.method + " " + s.path + " HTTP/1.1", "Host: localhost"}, s.headers, more)
	return strings.Join(lines, "\r\n") + "\r\n\r\n"
}

// body makes a kind that changes the bytes of a body.
func body(change func(*rand.Rand, string) string) func(*rand.Rand, []seed) attempt {
	return func(r *rand.Rand, seeds []seed) attempt {
		s := pick(r, seeds)
		if s.body == "" {
			s.body = `{"type":"ATTESTATION"}`
		}
		s.body = change(r, s.body)
		return well(s)
	}
}

// tree makes a kind that changes the values of a body.
func tree(change func(*rand.Rand, *node)) func(*rand.Rand, []seed) attempt {
	return body(func(r *rand.Rand, text string) string {
		n := parse(text)
		change(r, n)
		return n.String()
	})
}

func flipBits(r *rand.Rand, s string) string {
	b := []byte(s)
	for range 1 + r.IntN(3) {
		b[r.IntN(len(b))] ^= 1 << r.IntN(8)
	}
	return string(b)
}

// changeDigit makes another message of the same form: what the rules are for.
func changeDigit(r *rand.Rand, n *node) {
	for range 10 {
		v := pick(r, n.all())
		at := strings.LastIndexAny(v.raw, "0123456789abcdef")
		if v.open != 0 || at < 1 || !strings.ContainsAny(v.raw, "0123456789") {
			continue
		}
		if first := strings.Index(v.raw, "0x"); first >= 0 {
			at = first + 2 + r.IntN(at-first-1)
		}
		v.raw = v.raw[:at] + strconv.Itoa(r.IntN(10)) + v.raw[at+1:]
		return
	}
}

// object is an object of n with members.
func object(r *rand.Rand, n *node) *node {
	return pick(r, slices.DeleteFunc(n.all(), func(n *node) bool { return len(n.members) == 0 }))
}

func duplicateMember(r *rand.Rand, n *node) {
	o := object(r, n)
	m := pick(r, o.members)
	if r.IntN(2) == 0 {
		m.value = pick(r, n.all()).clone()
	}
	o.members = slices.Insert(slices.Clone(o.members), r.IntN(len(o.members)+1), m)
}

func removeMember(r *rand.Rand, n *node) {
	o := object(r, n)
	i := r.IntN(len(o.members))
	o.members = slices.Delete(o.members, i, i+1)
}

func renameMember(r *rand.Rand, n *node) {
	m := &pick(r, []*node{object(r, n)}).members[0]
	m.name = pick(r, []string{strings.ToUpper(m.name), m.name + " ", "", "__proto__", strings.ReplaceAll(m.name, "_", ""), strings.Repeat(m.name, 100)})
}

func confuseType(r *rand.Rand, n *node) {
	*pick(r, n.all()) = node{raw: pick(r, []string{"null", "true", "0", "-0", `""`, "{}", "[]", `[null]`, `{"":{}}`, `"0x"`, "1.5", `"null"`})}
}

func nestDeep(r *rand.Rand, n *node) {
	depth := 1 << r.IntN(15)
	open, end := pick(r, []string{"[", `{"a":`}), "]"
	if open != "[" {
		end = "}"
	}
	deep := strings.Repeat(open, depth) + "0" + strings.Repeat(end, depth)
	if r.IntN(2) == 0 {
		*pick(r, n.all()) = node{raw: deep}
		return
	}
	o := object(r, n)
	o.members = append(o.members, member{"note", &node{raw: deep}}) // nobody reads it
}

func hugeNumber(r *rand.Rand, n *node) {
	digits := pick(r, []string{
		"18446744073709551615", "18446744073709551616", "9223372036854775808", "-1", "1e308", "1e999", "0.1", "00", "0x10",
		"9007199254740993", strings.Repeat("9", 1+r.IntN(5000)), "1" + strings.Repeat("0", 1+r.IntN(400)), "+1", "١", " 1",
	})
	if r.IntN(2) == 0 {
		digits = strconv.Quote(digits)
	}
	*pick(r, n.all()) = node{raw: digits}
}

func spliced(r *rand.Rand, seeds []seed) attempt {
	s, other := pick(r, seeds), pick(r, seeds)
	if s.body == "" || other.body == "" {
		return well(s)
	}
	n, from := parse(s.body), parse(other.body)
	if r.IntN(2) == 0 {
		*pick(r, n.all()) = *pick(r, from.all()).clone()
	} else {
		n.members = append(n.members, pick(r, object(r, from).members))
	}
	s.body = n.String()
	return well(s)
}

func spoilText(r *rand.Rand, s string) string {
	bad := pick(r, []string{"\xff", "\xc0\x80", "\xed\xa0\x80", "\x00", "\u2028", `\ud800`, `\u0000`, `\x41`, "\ufeff", "\x1b[2J", "\r\nlevel=ERROR msg=forged", `\u0061`})
	if r.IntN(4) == 0 {
		return bad + s
	}
	at := strings.IndexByte(s[r.IntN(len(s)):], '"') + 1
	return s[:at] + bad + s[at:]
}

func insertBytes(r *rand.Rand, s string) string {
	at := r.IntN(len(s) + 1)
	what := pick(r, []string{" ", "\n", ",", "}", "]", `"`, ":", "//", "/**/", "NaN", strings.Repeat(" ", 1<<r.IntN(18)), `"` + strings.Repeat("x", 1<<r.IntN(18)) + `"`, s})
	return s[:at] + what + s[at:]
}

func wrongMethod(r *rand.Rand, seeds []seed) attempt {
	s := pick(r, seeds)
	s.method = pick(r, []string{"GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "post", "PROPFIND", "M-SEARCH", "X", "POST"})
	s.kind = "" // nothing is signed
	if s.method == "POST" {
		s.path = pick(r, []string{"/upcheck", "/healthcheck", "/api/v1/eth2/publicKeys"})
	}
	return well(s)
}

func wrongPath(r *rand.Rand, seeds []seed) attempt {
	s := pick(r, seeds)
	s.path = pick(r, []string{
		"/" + s.path, strings.ReplaceAll(s.path, "/", "//"), s.path + "/", "/x/.." + s.path, "/." + s.path, s.path + "?a=" + strings.Repeat("b", r.IntN(1000)),
		s.path + "#", strings.Replace(s.path, "/", "/%2e%2e/", 1), "http://localhost" + s.path, "/%00", "/" + strings.Repeat("a/", 1+r.IntN(500)), "/..",
		"/api/v1/eth2/sign/", "/api/v1/eth2/sign", "/api/v1/eth1/sign/0x00", "/signer/v1", "/signer/v1/", "/eth/v1/keystores/x", "/eth/v1/remotekeys", "/debug/pprof/", "/metrics", "/",
	})
	return well(s)
}

func wrongKey(r *rand.Rand, seeds []seed) attempt {
	s := pick(r, seeds)
	digits := fmt.Sprintf("%096x", r.Uint64())
	s.path = "/api/v1/eth2/sign/" + pick(r, []string{
		digits, "0x" + digits, "0x" + strings.Repeat("f", 96), "0xc" + strings.Repeat("0", 95), digits[1:], digits + "0", "0x", "%30x" + digits, strings.Repeat("z", 1+r.IntN(8000)),
		"%ff%fe", "..%2f..%2fupcheck", "%0d%0aSet-Cookie:%20a=b", "{identifier}", "*",
	})
	s.method, s.kind = "POST", ""
	return well(s)
}

// oddHeaders are all allowed.
func oddHeaders(r *rand.Rand, seeds []seed) attempt {
	s := pick(r, seeds)
	s.headers = slices.Clone(s.headers)
	many := make([]string, r.IntN(200))
	for i := range many {
		many[i] = fmt.Sprintf("X-%d: %d", i, i)
	}
	s.headers = append(s.headers, pick(r, [][]string{
		many,
		{"X: " + strings.Repeat("x", r.IntN(16<<10))},
		{"Accept: " + strings.Repeat("a/b;q=0.1,", 500)},
		{"Accept: ;;;q=,/,*/*;q=9,\"", "Accept: application/json;q=nan"},
		{"Accept: application/json;q=0, text/plain;q=0"},
		{"Accept-Encoding: gzip;q=0, *;q=0, identity;q=0"},
		{"Content-Type: text/html; charset=\xff"},
		{"Content-Encoding: br"},
		{"Content-Encoding: gzip, gzip, identity"},
		{"If-None-Match: " + strings.Repeat(`W/"x",`, 1000)},
		{"If-None-Match: *", "Range: bytes=0-0", "If-Match: \"x\""},
		{"Expect: 100-continue"},
		{"Upgrade: h2c", "HTTP2-Settings: AAMAAABk", "Connection: Upgrade, HTTP2-Settings"},
		{"Authorization: Bearer", "Authorization: Basic eDp5"},
		{"Origin: null"},
		{"Origin: http://localhost", "Sec-Fetch-Site: same-origin"},
		{"X-Forwarded-For: 10.0.0.1", "X-HTTP-Method-Override: DELETE"},
		{"Cookie: " + strings.Repeat("a=b; ", 1000)},
		{"Connection: close"},
		{"Connection: Content-Length, Host, keep-alive"},
	})...)
	if r.IntN(10) == 0 && s.body != "" {
		s.headers = append(s.headers, "Content-Encoding: gzip")
		s.body, s.kind = zipped(s.body), ""
	}
	return well(s)
}

func zipped(s string) string {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write([]byte(s)); err != nil {
		panic("hostile: internal error: " + err.Error())
	}
	if err := w.Close(); err != nil {
		panic("hostile: internal error: " + err.Error())
	}
	return b.String()
}

// harmless is a seed that no slashing rule is about: of what is broken, nobody
// knows which bytes the signer took for the body.
func harmless(r *rand.Rand, seeds []seed) seed {
	for {
		if s := pick(r, seeds); s.method == "POST" && s.kind != "" && !s.slashable() {
			return s
		}
	}
}

func brokenHeaders(r *rand.Rand, seeds []seed) attempt {
	s := harmless(r, seeds)
	length := "Content-Length: " + strconv.Itoa(len(s.body))
	good := s.head(length)
	raw := pick(r, []string{
		strings.Replace(good, "Host: localhost\r\n", "", 1),
		strings.Replace(good, "Host: localhost", "Host: a\r\nHost: b", 1),
		strings.Replace(good, "Host: localhost", "Host: a b\x00", 1),
		strings.Replace(good, "Host:", "Host :", 1),
		strings.Replace(good, "Host: localhost", "Host: localhost\r\n folded", 1),
		strings.Replace(good, "Host: localhost", "Host: localhost\r\nno colon", 1),
		strings.Replace(good, "Host: localhost", "Host: localhost\r\n: no name", 1),
		strings.Replace(good, "Host: localhost", "Host: localhost\r\nX\x00Y: z", 1),
		strings.Replace(good, "Host: localhost", "Host: localhost\r\nExpect: 200-maybe", 1),
		strings.ReplaceAll(good, "\r\n", "\n"),
		strings.ReplaceAll(good, "\r\n", "\r"),
		strings.Replace(good, "HTTP/1.1", pick(r, []string{"HTTP/1.0", "HTTP/0.9", "HTTP/2.0", "HTTP/9.9", "HTTP/1.", "ICY", ""}), 1),
		strings.Replace(good, " ", pick(r, []string{"", "  ", "\t", "\x00"}), 1),
		"\r\n\r\n" + good, "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + good, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
		"CONNECT localhost:22 HTTP/1.1\r\nHost: x\r\n\r\n", "GET " + strings.Repeat("/a", 40<<10) + " HTTP/1.1\r\nHost: x\r\n\r\n",
		"GET /upcheck HTTP/1.1\r\nHost: x\r\n" + strings.Repeat("A: b\r\n", 20_000) + "\r\n", "GET /upcheck HTTP/1.1\r\nX: " + strings.Repeat("x", 100<<10),
		flipBits(r, good), good[:r.IntN(len(good))],
	})
	return attempt{raw: []byte(raw + s.body), broken: true, most: 2}
}

func brokenFraming(r *rand.Rand, seeds []seed) attempt {
	s := harmless(r, seeds)
	n := len(s.body)
	chunked, whole := "Transfer-Encoding: chunked", fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", n, s.body)
	raw := pick(r, []string{
		s.head("Content-Length: "+strconv.Itoa(n+1+r.IntN(1<<20))) + s.body,
		s.head("Content-Length: "+pick(r, []string{"-1", "+5", "0x10", "5, 5", "1e3", "", "five", "99999999999999999999", "1099511627776", " 7 7"})) + s.body,
		s.head("Content-Length: 5", "Content-Length: 6") + s.body,
		s.head(chunked) + whole[:r.IntN(len(whole))],
		s.head(chunked) + pick(r, []string{"-1", "zz", "0x5", "fffffffffffffffff", "7fffffffffffffff", "ffffffff", ""}) + "\r\n" + s.body,
		s.head(chunked) + fmt.Sprintf("%x;%s\r\n%s\r\n0\r\n\r\n", n, strings.Repeat("e", 1+r.IntN(20<<10)), s.body),
		s.head(chunked) + strings.TrimSuffix(whole, "\r\n") + "Trailer: x\r\nContent-Length: 0\r\n\r\n",
		s.head(chunked) + strings.Repeat("1\r\n{\r\n", 1+r.IntN(1000)) + "0\r\n\r\n",
		s.head(chunked) + strings.ReplaceAll(whole, "\r\n", "\n"),
		s.head("Transfer-Encoding: "+pick(r, []string{"gzip", "gzip, chunked", "xchunked", "chunked, identity", "identity", "chunked\x0b", ", chunked"})) + whole,
		s.head(chunked, chunked) + whole,
	})
	return attempt{raw: []byte(raw), broken: true, most: 1}
}

// smuggled puts a request where a proxy and a server may see different things.
// The one behind is never answered.
func smuggled(r *rand.Rand, seeds []seed) attempt {
	s := harmless(r, seeds)
	behind := "GET /upcheck HTTP/1.1\r\nHost: x\r\n\r\n"
	whole := fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(s.body), s.body)
	length := func(n int) string { return "Content-Length: " + strconv.Itoa(n) }
	raw := pick(r, []string{
		s.head(length(len(whole)+len(behind)), "Transfer-Encoding: chunked") + whole + behind,
		s.head("Transfer-Encoding: chunked", length(4)) + whole + behind,
		s.head(length(len(s.body)), "Transfer-Encoding: xchunked") + s.body + behind,
		s.head(length(len(s.body)), "Transfer-Encoding : chunked") + whole + behind,
		s.head(length(len(s.body)), "Transfer-Encoding: chunked", "Transfer-Encoding: identity") + whole + behind,
		s.head(length(0), length(len(behind))) + behind,
		s.head(length(len(s.body)), "X: y\r\n Transfer-Encoding: chunked", "Host: z") + whole + behind,
		s.head("Content-Length: 0\x00", "Transfer-Encoding: chunked") + whole + behind,
	})
	return attempt{raw: []byte(raw), broken: true, most: 1}
}

func pipelined(r *rand.Rand, seeds []seed) attempt {
	var all []seed
	for range 2 + r.IntN(8) {
		all = append(all, pick(r, seeds))
	}
	return well(all...)
}
