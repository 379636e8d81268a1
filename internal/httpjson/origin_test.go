package httpjson_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/secure-signer/secure-signer/internal/httpjson"
)

func TestAWebPageCannotMakeABrowserAskForASignature(t *testing.T) {
	const path = "/api/v1/eth2/sign/0x00"
	for _, tt := range []struct {
		name, method string
		headers      map[string]string
		status       int
	}{
		{"a page of another site posts", "POST", map[string]string{"Sec-Fetch-Site": "cross-site", "Origin": "https://example.org"}, 403},
		{"a page on another port of this machine posts", "POST", map[string]string{"Sec-Fetch-Site": "same-site"}, 403},
		{"a page in a browser of before 2023 posts", "POST", map[string]string{"Origin": "https://example.org"}, 403},
		{"a page from a file posts", "POST", map[string]string{"Origin": "null"}, 403},
		{"a page deletes", "DELETE", map[string]string{"Sec-Fetch-Site": "cross-site"}, 403},
		{"a client posts", "POST", nil, 200},
		{"Lodestar posts", "POST", map[string]string{"Sec-Fetch-Mode": "cors", "User-Agent": "node"}, 200},
		{"a page reads", "GET", map[string]string{"Sec-Fetch-Site": "cross-site"}, 200},
	} {
		t.Run(tt.name, func(t *testing.T) {
			asked := false
			h := httpjson.SameOrigin(httpjson.Origins{}, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked = true }))
			r := httptest.NewRequest(tt.method, "http://127.0.0.1:9000"+path, nil)
			for name, value := range tt.headers {
				r.Header.Set(name, value)
			}
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			if w.Code != tt.status || asked != (tt.status == 200) {
				t.Errorf("status %d, passed on %t, want %d", w.Code, asked, tt.status)
			}
			if tt.status == 403 && !strings.Contains(w.Body.String(), `"reason":"cross_origin"`) {
				t.Errorf("body %s", w.Body)
			}
		})
	}
}

func TestPagesOfAllowedOriginsMay(t *testing.T) {
	const brain, other = "https://brain.example", "https://other.example"
	for _, tt := range []struct {
		name, method string
		allowed      []string
		headers      map[string]string
		status       int
		admitted     string // Access-Control-Allow-Origin
	}{
		{"a page of an allowed origin posts", "POST", []string{brain}, map[string]string{"Origin": brain, "Sec-Fetch-Site": "cross-site"}, 200, brain},
		{"a page of an allowed origin reads", "GET", []string{brain}, map[string]string{"Origin": brain, "Sec-Fetch-Site": "cross-site"}, 200, brain},
		{"its browser asks whether it may post", "OPTIONS", []string{brain}, map[string]string{"Origin": brain, "Access-Control-Request-Method": "POST"}, 204, brain},
		{"any page posts where all may", "POST", []string{"all"}, map[string]string{"Origin": other, "Sec-Fetch-Site": "cross-site"}, 200, other},
		{"any browser asks where all may", "OPTIONS", []string{"*"}, map[string]string{"Origin": other, "Access-Control-Request-Method": "DELETE"}, 204, other},
		{"a program posts", "POST", []string{brain}, nil, 200, ""},

		{"a page of another origin posts", "POST", []string{brain}, map[string]string{"Origin": other, "Sec-Fetch-Site": "cross-site"}, 403, ""},
		{"a page of another port posts", "POST", []string{brain}, map[string]string{"Origin": brain + ":8443", "Sec-Fetch-Site": "cross-site"}, 403, ""},
		{"a page of another scheme posts", "POST", []string{brain}, map[string]string{"Origin": "http://brain.example", "Sec-Fetch-Site": "cross-site"}, 403, ""},
		{"a page from a file posts", "POST", []string{brain}, map[string]string{"Origin": "null", "Sec-Fetch-Site": "cross-site"}, 403, ""},
		{"a page of another origin reads, and is not shown it", "GET", []string{brain}, map[string]string{"Origin": other, "Sec-Fetch-Site": "cross-site"}, 200, ""},
		{"another browser asks whether it may post", "OPTIONS", []string{brain}, map[string]string{"Origin": other, "Access-Control-Request-Method": "POST"}, 200, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			allowed, err := httpjson.ParseOrigins(tt.allowed)
			if err != nil {
				t.Fatal(err)
			}
			asked := false
			h := httpjson.SameOrigin(allowed, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked = true }))
			r := httptest.NewRequest(tt.method, "http://127.0.0.1:9000/x", nil)
			for name, value := range tt.headers {
				r.Header.Set(name, value)
			}
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			if w.Code != tt.status || asked != (tt.status == 200) {
				t.Errorf("status %d, passed on %t, want %d", w.Code, asked, tt.status)
			}
			if got := w.Header().Get("Access-Control-Allow-Origin"); got != tt.admitted {
				t.Errorf("Access-Control-Allow-Origin: %q, want %q", got, tt.admitted)
			}
			if got := w.Header().Get("Vary"); got != "Origin" {
				t.Errorf("Vary: %q: a cache would give one origin's answer to another", got)
			}
			if got := w.Header().Get("Access-Control-Allow-Credentials"); got != "" {
				t.Errorf("a browser may send its cookies and certificates: %q", got)
			}
			if may := w.Header().Get("Access-Control-Allow-Methods"); (tt.status == 204) != strings.Contains(may, "DELETE") {
				t.Errorf("Access-Control-Allow-Methods: %q", may)
			}
		})
	}
}

func TestOriginsAreWrittenAsBrowsersWriteThem(t *testing.T) {
	for _, bad := range []string{"brain.example", "https://brain.example/", "https://brain.example/page", "null", "https://", ""} {
		if _, err := httpjson.ParseOrigins([]string{bad}); err == nil {
			t.Errorf("%q is taken for an origin", bad)
		}
	}
	for _, list := range [][]string{{"https://a.example", " https://b.example"}, {"https://a.example", " ALL "}} {
		if _, err := httpjson.ParseOrigins(list); err != nil {
			t.Errorf("%q: %v: a space after a comma is no mistake", list, err)
		}
	}
}
