package httpjson_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/secure-signer/secure-signer/internal/httpjson"
)

// routes is a server with two routes behind Edge. Its log may be read once stop
// has been called.
func routes(t *testing.T) (address string, log *bytes.Buffer, stop func()) {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("POST /sign/{key}", func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			t.Error(err)
		}
		fmt.Fprintf(w, "signed by %s", r.PathValue("key"))
	})
	mux.HandleFunc("GET /bug", func(http.ResponseWriter, *http.Request) { panic("off by one") })
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		httpjson.WriteError(w, http.StatusNotFound, httpjson.ReasonNoSuchRoute, "no such route")
	})
	log = new(bytes.Buffer)
	s := httptest.NewUnstartedServer(httpjson.Edge(slog.New(slog.NewTextHandler(log, nil)), mux))
	s.Config.DisableGeneralOptionsHandler = true
	s.Start()
	t.Cleanup(s.Close)
	return s.Listener.Addr().String(), log, s.Close
}

// send writes raw bytes and returns everything that comes back until the server
// closes or answers the request that follows.
func send(t *testing.T, address, raw string) []string {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	const last = "GET /last HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
	if _, err := io.WriteString(conn, raw+last); err != nil {
		t.Fatal(err)
	}
	var answers []string
	for r := bufio.NewReader(conn); ; {
		resp, err := http.ReadResponse(r, nil)
		if err != nil {
			return answers
		}
		text, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		answers = append(answers, fmt.Sprintf("%d %.14s", resp.StatusCode, text))
	}
}

func TestNoRequestIsRedirectedOrAnsweredByTheLibrary(t *testing.T) {
	const noRoute = `404 {"code":404,"m`
	for _, tt := range []struct {
		name, line string
		headers    string
		body       string
		want       []string
	}{
		{"a path as it is meant", "POST /sign/a", "Content-Length: 2\r\n", "{}", []string{"200 signed by a", noRoute}},
		{"of a base URL that ends in a slash", "POST //sign/a", "Content-Length: 2\r\n", "{}", []string{"200 signed by a", noRoute}},
		{"with dots", "POST /x/.././sign/a", "Content-Length: 2\r\n", "{}", []string{"200 signed by a", noRoute}},
		{"with an escaped slash, which is no slash", "POST /sign/..%2fbug", "Content-Length: 2\r\n", "{}", []string{"200 signed by ../b", noRoute}},
		{"with an escaped slash behind a double one", "POST //sign/..%2fbug", "Content-Length: 2\r\n", "{}", []string{"200 signed by ../b", noRoute}},
		{"beyond the root", "GET /../../etc/passwd", "", "", []string{noRoute, noRoute}},
		{"the server as a whole", "OPTIONS *", "", "", []string{noRoute, noRoute}},
		{"the start of HTTP/2", "PRI *", "", "", []string{noRoute, noRoute}},
		{"a tunnel", "CONNECT example.org:443", "", "", []string{noRoute, noRoute}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			address, _, _ := routes(t)
			got := send(t, address, tt.line+" HTTP/1.1\r\nHost: x\r\n"+tt.headers+"\r\n"+tt.body)
			for i := range got {
				got[i] = got[i][:min(len(got[i]), len(tt.want[min(i, len(tt.want)-1)]))]
			}
			if strings.Join(got, "\n") != strings.Join(tt.want, "\n") {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// TestNothingIsSmuggledBehindAChunkedBody: what a proxy took for the body's end
// by its length, the signer took for another request.
func TestNothingIsSmuggledBehindAChunkedBody(t *testing.T) {
	for name, headers := range map[string]string{
		"with a length":    "Content-Length: 6\r\nTransfer-Encoding: chunked\r\n",
		"without a length": "Transfer-Encoding: chunked\r\n",
	} {
		address, _, _ := routes(t)
		got := send(t, address, "POST /sign/a HTTP/1.1\r\nHost: x\r\n"+headers+"\r\n0\r\n\r\n")
		if len(got) != 1 || got[0] != "200 signed by a" {
			t.Errorf("%s: %q, want one answer and the end of the connection", name, got)
		}
	}
}

// TestAPanicIsNotSilent: the library's own line about it is of a level that
// nobody sees.
func TestAPanicIsNotSilent(t *testing.T) {
	address, log, stop := routes(t)
	if got := send(t, address, "GET /bug HTTP/1.1\r\nHost: x\r\n\r\n"); len(got) != 0 {
		t.Errorf("answered %q", got)
	}
	stop()
	for _, want := range []string{"level=ERROR", "off by one", "edge_test.go"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log lacks %s:\n%s", want, log)
		}
	}
}
