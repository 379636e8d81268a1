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
			h := httpjson.SameOrigin(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked = true }))
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
