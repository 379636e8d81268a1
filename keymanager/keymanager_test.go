package keymanager

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestTheListIsSortedAndComplete(t *testing.T) {
	s := newSigner(t)
	var got map[string]any
	if code := s.send(t, "GET", "", &got); code != http.StatusOK || !cmp.Equal(got, map[string]any{"data": []any{}}) {
		t.Errorf("without keys: status %d, %v", code, got)
	}
	a, b, c := newKey(t, 1), newKey(t, 2), newKey(t, 3)
	s.imports(t, request(a.file, b.file, c.file), "imported", "imported", "imported")
	if code := s.send(t, "GET", "", &got); code != http.StatusOK {
		t.Errorf("status %d", code)
	}
	var want []any
	for _, pub := range s.keyring.PublicKeys() {
		want = append(want, map[string]any{"validating_pubkey": pub.String(), "derivation_path": "", "readonly": false})
	}
	if diff := cmp.Diff(map[string]any{"data": want}, got); diff != "" || len(want) != 3 {
		t.Errorf("list (-want +got):\n%s", diff)
	}
}

func TestNothingIsServedWhileKeysAreLoading(t *testing.T) {
	s := unloadedSigner(t)
	for _, method := range []string{"GET", "POST", "DELETE"} {
		s.wantError(t, method, request(), http.StatusServiceUnavailable, "loading", "try again")
	}
}

func TestOtherRoutesAndMethods(t *testing.T) {
	s := newSigner(t)
	s.wantError(t, "PUT", "", http.StatusMethodNotAllowed, "method_not_allowed", "GET, POST or DELETE")
	w := httptest.NewRecorder()
	s.http.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/eth/v1/remotekeys", nil))
	if w.Code != http.StatusNotFound || !strings.Contains(w.Body.String(), "no_such_route") {
		t.Errorf("remotekeys: %d, %s", w.Code, w.Body)
	}
}
