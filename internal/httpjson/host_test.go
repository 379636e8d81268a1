package httpjson_test

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/secure-signer/secure-signer/internal/httpjson"
)

func TestAListenerAnswersOnlyToItsNames(t *testing.T) {
	v4 := &net.TCPAddr{IP: net.IPv4(10, 0, 0, 7), Port: 9000}
	v6 := &net.TCPAddr{IP: net.ParseIP("fe80::7"), Port: 9000, Zone: "eth0"}
	for _, tt := range []struct {
		name    string
		allowed []string
		to      net.Addr
		host    string
		status  int
	}{
		{"loopback by name", nil, v4, "localhost:9000", 200},
		{"loopback by name, shouted, as the root's", nil, v4, "LOCALHOST.", 200},
		{"loopback by address", nil, v4, "127.0.0.1:9000", 200},
		{"loopback by address, without a port", nil, v4, "127.0.0.1", 200},
		{"loopback by the newer address", nil, v4, "[::1]:9000", 200},
		{"loopback by the newer address in full", nil, v4, "[0:0:0:0:0:0:0:1]", 200},
		{"the address that the connection was made to", nil, v4, "10.0.0.7:9000", 200},
		{"that address in the newer form", nil, v4, "[::ffff:10.0.0.7]:9000", 200},
		{"the newer address that the connection was made to", nil, v6, "[fe80::7]:9000", 200},
		{"the name that it listens under", nil, v4, "own.example:9000", 200},
		{"a name that is listed", []string{"signer"}, v4, "signer:9000", 200},
		{"a name that is listed, in another case", []string{"Signer"}, v4, "sIGNER", 200},
		{"a name that is listed with a port", []string{"signer:9000"}, v4, "signer:9001", 200},
		{"a name that is listed after a space", []string{"a", " signer"}, v4, "signer", 200},
		{"loopback, where another name is listed", []string{"signer"}, v4, "localhost", 200},
		{"any name, where any may", []string{"*"}, v4, "attacker.example", 200},
		{"any name, where all may", []string{"ALL"}, v4, "attacker.example", 200},

		{"a web page's name that resolves to the listener", nil, v4, "attacker.example:9000", 403},
		{"another address", nil, v4, "10.0.0.8:9000", 403},
		{"no name", nil, v4, "", 403},
		{"no name, where one of a list is missing", []string{"a", "", "b"}, v4, "", 403},
		{"a name that begins as one of ours", nil, v4, "localhost.attacker.example", 403},
		{"a name that ends as one of ours", []string{"signer"}, v4, "notsigner", 403},
		{"a name that looks for a port", nil, v4, "attacker.example:9000:localhost", 403},
		{"a star", nil, v4, "*", 403},
	} {
		t.Run(tt.name, func(t *testing.T) {
			asked := false
			h := httpjson.RequireHost(httpjson.NewHosts("own.example", tt.allowed...), "--some-flag",
				http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked = true }))
			r := httptest.NewRequest("GET", "/upcheck", nil)
			r.Host = tt.host
			r = r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, tt.to))
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			if w.Code != tt.status || asked != (tt.status == 200) {
				t.Errorf("status %d, passed on %t, want %d", w.Code, asked, tt.status)
			}
			if tt.status == 403 && (!strings.Contains(w.Body.String(), `"reason":"host_not_allowed"`) || !strings.Contains(w.Body.String(), "--some-flag")) {
				t.Errorf("body %s", w.Body)
			}
		})
	}
}

func TestNoNameIsNotToBeListed(t *testing.T) {
	h := httpjson.RequireHost(httpjson.NewHosts("own.example"), "--some-flag", http.NotFoundHandler())
	r := httptest.NewRequest("GET", "/upcheck", nil)
	r.Host = "" // as a health check of HTTP/1.0 sends it
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if body := w.Body.String(); !strings.Contains(body, "send a Host header") || strings.Contains(body, "--some-flag=") {
		t.Errorf("an empty name cannot be listed, yet the advice is %s", body)
	}
}
