package web3signer

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func TestReload(t *testing.T) {
	started := false
	last := Reload{State: ReloadIdle}
	h := New(Config{
		StartReload: func() bool {
			was := started
			started = true
			return !was
		},
		LastReload: func() Reload { return last },
	})
	ask := func(method string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(method, "/reload", nil))
		return w
	}
	wantBody := func(want string) {
		t.Helper()
		if w := ask("GET"); w.Code != 200 || w.Body.String() != want {
			t.Errorf("got %d %s, want %s", w.Code, w.Body, want)
		}
	}

	wantBody(`{"status":"idle"}`)
	if started {
		t.Error("a GET has begun a reload")
	}
	if w := ask("POST"); w.Code != http.StatusAccepted || !strings.HasPrefix(w.Body.String(), `{"code":202,"message":"`) {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
	last.State = ReloadRunning
	wantBody(`{"status":"running"}`)
	wantRefused(t, ask("POST"), http.StatusConflict, "reloading")
	last = Reload{State: ReloadCompletedWithErrors, Ended: time.Date(2026, 11, 25, 13, 0, 0, 5e8, time.FixedZone("", 3600)), Failed: []string{"tls"}}
	wantBody(`{"status":"completed_with_errors","lastOperationTime":"2026-11-25T12:00:00.5Z","lastError":"1 could not be read and stay as they were: the signer's log says why","failed":["tls"]}`)

	w := ask("DELETE")
	wantRefused(t, w, http.StatusMethodNotAllowed, "method_not_allowed")
	if got := w.Header().Get("Allow"); got != "GET, HEAD, POST" {
		t.Errorf("Allow: %q", got)
	}
	wantRefused(t, newRig(t, mainnet(t), 1).get("/reload"), http.StatusNotFound, "no_such_route")
}

func TestTheCallerIsTheCertificatesCommonName(t *testing.T) {
	for _, tt := range []struct {
		name string
		tls  *tls.ConnectionState
		want string
	}{
		{"no TLS", nil, "192.0.2.1"},
		{"no certificate", &tls.ConnectionState{}, "192.0.2.1"},
		{"a certificate", &tls.ConnectionState{PeerCertificates: []*x509.Certificate{{Subject: pkix.Name{CommonName: "lighthouse"}}}}, "lighthouse"},
		{"a certificate without a common name", &tls.ConnectionState{PeerCertificates: []*x509.Certificate{{}}}, "192.0.2.1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := httptest.NewRequest("POST", "/", nil)
			r.TLS = tt.tls
			if got := callerOf(r).Name; got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}
