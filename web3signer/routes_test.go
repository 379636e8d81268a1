package web3signer

import (
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/secure-signer/secure-signer/bls"
)

func TestRoutes(t *testing.T) {
	r := newRig(t, mainnet(t), 1)
	for name, tt := range map[string]struct {
		method, path string
		status       int
		reason       string
		allow        string
	}{
		"an unknown path":            {"GET", "/api/v1/eth2/nothing", 404, "no_such_route", ""},
		"the root":                   {"GET", "/", 404, "no_such_route", ""},
		"a slash too many":           {"GET", "/upcheck/", 404, "no_such_route", ""},
		"no identifier":              {"POST", "/api/v1/eth2/sign/", 404, "no_such_route", ""},
		"more after the identifier":  {"POST", "/api/v1/eth2/sign/" + pubkey0 + "/x", 404, "no_such_route", ""},
		"raw signing, as a DAppNode": {"POST", "/api/v1/eth2/ext/sign/" + pubkey0, 404, "no_such_route", ""},
		"signing of another chain":   {"POST", "/api/v1/eth1/sign/" + pubkey0, 404, "no_such_route", ""},
		"another case":               {"GET", "/api/v1/eth2/publickeys", 404, "no_such_route", ""},
		"GET to sign":                {"GET", "/api/v1/eth2/sign/" + pubkey0, 405, "method_not_allowed", "POST"},
		"PUT to sign":                {"PUT", "/api/v1/eth2/sign/" + pubkey0, 405, "method_not_allowed", "POST"},
		"POST to publicKeys":         {"POST", "/api/v1/eth2/publicKeys", 405, "method_not_allowed", "GET, HEAD"},
		"DELETE to upcheck":          {"DELETE", "/upcheck", 405, "method_not_allowed", "GET, HEAD"},
		"a method of one's own":      {"SIGN", "/healthcheck", 405, "method_not_allowed", "GET, HEAD"},
		"OPTIONS":                    {"OPTIONS", "/upcheck", 405, "method_not_allowed", "GET, HEAD"},
	} {
		t.Run(name, func(t *testing.T) {
			w := r.do(call{method: tt.method, path: tt.path})
			wantRefused(t, w, tt.status, tt.reason)
			if got := w.Header().Get("Allow"); got != tt.allow {
				t.Errorf("Allow: got %q, want %q", got, tt.allow)
			}
		})
	}
}

func TestUpcheck(t *testing.T) {
	r := newRig(t, mainnet(t), 1)
	r.ready.Store(false) // alive, whatever it can do
	for accept, want := range map[string]string{
		"":                 "OK",
		"*/*":              "OK",
		"text/plain":       "OK",
		"application/json": `{"status":"OK"}`,
	} {
		w := r.get("/upcheck", "Accept", accept)
		if w.Header().Get("Vary") != "Accept" {
			t.Errorf("%s: a cache would give it to everyone: %v", accept, w.Header())
		}
		if w.Code != 200 || w.Body.String() != want {
			t.Errorf("Accept %q: got %d %s", accept, w.Code, w.Body)
		}
		if isJSON := w.Header().Get("Content-Type") == "application/json"; isJSON != strings.HasPrefix(want, "{") {
			t.Errorf("Accept %q: Content-Type %q", accept, w.Header().Get("Content-Type"))
		}
	}
}

// What stands in front of the handler varies its answers, too: CORS by the origin.
func TestUpcheckKeepsWhatElseItsAnswerDependsOn(t *testing.T) {
	r := newRig(t, mainnet(t), 1)
	w := httptest.NewRecorder()
	w.Header().Add("Vary", "Origin")
	r.ServeHTTP(w, httptest.NewRequest("GET", "/upcheck", nil))
	if got := strings.Join(w.Header().Values("Vary"), ", "); got != "Origin, Accept" {
		t.Errorf("Vary: %q: a cache would give one origin's answer to another", got)
	}
}

// TestHEADHasNoBody needs the real server, which drops it.
func TestHEADHasNoBody(t *testing.T) {
	r := newRig(t, mainnet(t), 1)
	s := httptest.NewServer(r)
	defer s.Close()
	for _, path := range []string{"/upcheck", "/healthcheck", "/api/v1/eth2/publicKeys"} {
		resp, err := s.Client().Head(s.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || resp.StatusCode != 200 || len(body) != 0 || resp.Header.Get("Content-Type") == "" {
			t.Errorf("%s: %d %q %v", path, resp.StatusCode, body, err)
		}
	}
}

func TestHealthcheck(t *testing.T) {
	broken := errors.New("disk full")
	for name, tt := range map[string]struct {
		set    func(*rig)
		status int
		down   []string
	}{
		"well":                   {func(*rig) {}, 200, nil},
		"loading":                {func(r *rig) { r.ready.Store(false) }, 503, []string{"keys-check"}},
		"no store":               {func(r *rig) { r.cfg.StoreErr = func() error { return broken } }, 503, []string{"slashing-protection-db-health-check"}},
		"shutting down":          {func(r *rig) { r.ShutDown() }, 503, []string{"default-check"}},
		"what is needed is down": {func(r *rig) { r.cfg.Needed = func() []Check { return []Check{{ID: "horizon-check"}} } }, 503, []string{"horizon-check"}},
		"one bad key file": {func(r *rig) {
			r.cfg.Further = func() []Check { return []Check{{ID: "keys-check/vault", Data: map[string]any{"error-count": 1}}} }
		}, 200, []string{"keys-check/vault"}},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, mainnet(t), 1)
			tt.set(r)
			w := r.get("/healthcheck")
			var got struct {
				Status, Outcome string
				Checks          []struct {
					ID, Status string
					Data       map[string]any
				}
			}
			if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
				t.Fatal(err)
			}
			want := map[int]string{200: "UP", 503: "DOWN"}[tt.status]
			if w.Code != tt.status || got.Status != want || got.Outcome != want {
				t.Errorf("got %d %s", w.Code, w.Body)
			}
			var down []string
			for _, c := range got.Checks {
				if c.Status != "UP" {
					down = append(down, c.ID)
				}
			}
			if !slices.Equal(down, tt.down) {
				t.Errorf("down: %v, want %v", down, tt.down)
			}
		})
	}
}

func TestPublicKeys(t *testing.T) {
	r := newRig(t, mainnet(t), 40)
	slices.SortFunc(r.keys, func(a, b bls.PublicKey) int { return slices.Compare(a[:], b[:]) })
	plain := r.get("/api/v1/eth2/publicKeys")
	size := plain.Body.Len()
	if diff := cmp.Diff(r.keys, keysIn(t, plain.Body)); diff != "" || plain.Code != 200 {
		t.Errorf("%d %s", plain.Code, diff)
	}

	packed := r.get("/api/v1/eth2/publicKeys", "Accept-Encoding", "gzip", "Accept", "text/html")
	if got := packed.Body.Len(); got > size*7/10 {
		t.Errorf("%d bytes became %d", size, got)
	}
	unpack, err := gzip.NewReader(packed.Body)
	if err != nil || packed.Header().Get("Content-Encoding") != "gzip" || packed.Header().Get("Vary") != "Accept-Encoding" {
		t.Fatalf("%v, %v", err, packed.Header())
	}
	if diff := cmp.Diff(r.keys, keysIn(t, unpack)); diff != "" {
		t.Error(diff)
	}

	tag := plain.Header().Get("ETag")
	for header, status := range map[string]int{
		tag: 304, strings.TrimPrefix(tag, "W/"): 304, `"x", ` + tag: 304, "*": 304, `"x"`: 200, "": 200,
	} {
		w := r.get("/api/v1/eth2/publicKeys", "If-None-Match", header)
		if w.Code != status || (status == 304) != (w.Body.Len() == 0) || w.Header().Get("ETag") != tag {
			t.Errorf("If-None-Match %s: got %d, %d bytes", header, w.Code, w.Body.Len())
		}
	}
	all := r.cfg.PublicKeys
	r.cfg.PublicKeys = func() []bls.PublicKey { return all()[1:] }
	if w := r.get("/api/v1/eth2/publicKeys", "If-None-Match", tag); w.Code != 200 || w.Header().Get("ETag") == tag {
		t.Errorf("with a key less: %d", w.Code)
	}
}

func keysIn(t *testing.T, r io.Reader) []bls.PublicKey {
	t.Helper()
	var keys []bls.PublicKey
	if err := json.NewDecoder(r).Decode(&keys); err != nil {
		t.Fatal(err)
	}
	return keys
}

func TestNoKeysAreAnEmptyArray(t *testing.T) {
	r := newRig(t, mainnet(t), 0)
	if w := r.get("/api/v1/eth2/publicKeys"); w.Code != 200 || w.Body.String() != "[]" {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
}

// TestKeysAreAllOrNone: a partial list would stop a DVT node.
func TestKeysAreAllOrNone(t *testing.T) {
	r := newRig(t, mainnet(t), 1)
	r.ready.Store(false)
	wantRefused(t, r.get("/api/v1/eth2/publicKeys"), http.StatusServiceUnavailable, "loading")
}

// TestManyKeysAreOneArray, written in pieces.
func TestManyKeysAreOneArray(t *testing.T) {
	r := newRig(t, mainnet(t), 0)
	keys := make([]bls.PublicKey, 5000)
	for i := range keys {
		keys[i][0], keys[i][47] = byte(i>>8), byte(i)
	}
	r.cfg.PublicKeys = func() []bls.PublicKey { return keys }
	if got := keysIn(t, r.get("/api/v1/eth2/publicKeys").Body); !slices.Equal(got, keys) {
		t.Errorf("got %d keys, want %d, or others", len(got), len(keys))
	}
}
