package httpjson

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
)

func answerOf(t *testing.T, w *httptest.ResponseRecorder) map[string]any {
	t.Helper()
	if got := w.Header().Get("Content-Type"); got != "application/json" {
		t.Errorf("Content-Type: got %q", got)
	}
	if got, want := w.Header().Get("Content-Length"), fmt.Sprint(w.Body.Len()); got != want {
		t.Errorf("Content-Length: got %s, want %s", got, want)
	}
	var body map[string]any
	if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil {
		t.Fatalf("%v in %s", err, w.Body)
	}
	return body
}

func TestAnErrorIsReadableByEveryClient(t *testing.T) {
	w := httptest.NewRecorder()
	WriteError(w, http.StatusPreconditionFailed, "double_vote", `target 7: "again"`)
	want := `{"code":412,"message":"target 7: \"again\"","error":"target 7: \"again\"","reason":"double_vote"}`
	if answerOf(t, w); w.Code != 412 || w.Body.String() != want {
		t.Errorf("got %d %s\nwant 412 %s", w.Code, w.Body, want)
	}
	if w.Header().Get("Retry-After") != "" {
		t.Error("Retry-After on an error that will not go away")
	}
}

func TestAnErrorThatWillPassSaysWhenToRetry(t *testing.T) {
	w := httptest.NewRecorder()
	WriteError(w, http.StatusServiceUnavailable, "loading", "x")
	if w.Header().Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
}

func TestAnErrorRepeatsLittleAndOnlyValidText(t *testing.T) {
	for name, message := range map[string]string{
		"long":          strings.Repeat("é", 100_000),
		"invalid UTF-8": "a\xffb\x00c\x1b[2J" + strings.Repeat("\x80", 5000),
		"cut in a rune": strings.Repeat("x", maxMessage-1) + "é",
	} {
		t.Run(name, func(t *testing.T) {
			w := httptest.NewRecorder()
			WriteError(w, http.StatusBadRequest, ReasonMalformedRequest, message)
			body := answerOf(t, w)
			if n := len(body["message"].(string)); n > 3*maxMessage+8 {
				t.Errorf("a message of %d bytes", n)
			}
			if strings.ContainsAny(w.Body.String(), "\x00\x1b") {
				t.Errorf("a raw control character in %q", w.Body)
			}
		})
	}
}

func TestDecodeErrorsHaveAStatus(t *testing.T) {
	for name, tt := range map[string]struct {
		err    error
		status int
		reason string
	}{
		"too large":    {fmt.Errorf("import: %w", Limit(9)), 413, "body_too_large"},
		"malformed":    {&Malformed{Path: "a", Problem: "missing"}, 400, "malformed_request"},
		"reset midway": {errors.New("read body: connection reset"), 400, "malformed_request"},
	} {
		t.Run(name, func(t *testing.T) {
			w := httptest.NewRecorder()
			WriteDecodeError(w, tt.err)
			if got := answerOf(t, w); w.Code != tt.status || got["reason"] != tt.reason || got["message"] != tt.err.Error() {
				t.Errorf("got %d %v", w.Code, got)
			}
		})
	}
}

func TestAValueWithoutJSONIsAPanic(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	WriteJSON(httptest.NewRecorder(), 200, make(chan int))
}

func TestOnlyTheTokenOpensTheDoor(t *testing.T) {
	token := "a1b2"
	h := RequireToken(func() string { return token }, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusNoContent)
	}))
	for name, tt := range map[string]struct {
		header []string
		want   int
	}{
		"the token":                  {[]string{"Bearer a1b2"}, 204},
		"another case of the scheme": {[]string{"bearer a1b2"}, 204},
		"no header":                  {nil, 401},
		"an empty header":            {[]string{""}, 401},
		"no token":                   {[]string{"Bearer "}, 401},
		"no space":                   {[]string{"Bearera1b2"}, 401},
		"another scheme":             {[]string{"Basic a1b2"}, 401},
		"another token":              {[]string{"Bearer a1b3"}, 403},
		"a beginning of it":          {[]string{"Bearer a1b"}, 403},
		"the token and more":         {[]string{"Bearer a1b2 x"}, 403},
		"eth-docker's default":       {[]string{"Bearer NIL"}, 403},
		"the token in second place":  {[]string{"Bearer no", "Bearer a1b2"}, 403},
	} {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodGet, "/", nil)
			r.Header["Authorization"] = tt.header
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			if w.Code != tt.want {
				t.Errorf("got %d, want %d", w.Code, tt.want)
			}
			if w.Code != 204 && answerOf(t, w)["code"] != float64(tt.want) {
				t.Errorf("got %s", w.Body)
			}
			if (w.Header().Get("WWW-Authenticate") != "") != (tt.want == 401) {
				t.Errorf("WWW-Authenticate: %q", w.Header().Get("WWW-Authenticate"))
			}
		})
	}

	token = ""
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Header.Set("Authorization", "Bearer a1b2")
	w := httptest.NewRecorder()
	if h.ServeHTTP(w, r); w.Code != 403 {
		t.Errorf("without a token set: got %d", w.Code)
	}
}

func TestReasonsAreDistinctAndSnakeCase(t *testing.T) {
	seen := map[string]bool{}
	for _, r := range Reasons() {
		if seen[r] || r == "" || strings.Trim(r, "abcdefghijklmnopqrstuvwxyz_") != "" {
			t.Errorf("%q", r)
		}
		seen[r] = true
	}
}
