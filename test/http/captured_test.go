package http_test

import (
	"encoding/json"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/secure-signer/secure-signer/internal/testdata"
	"github.com/secure-signer/secure-signer/test/internal/daemon"
	"github.com/secure-signer/secure-signer/test/internal/interop"
)

// A captured request is what a real validator client sent, byte by byte, and
// the signature that it must get.
type captured struct {
	file      string
	Method    string            `json:"method"`
	Path      string            `json:"path"`
	Headers   map[string]string `json:"headers"`
	Body      string            `json:"raw_body"`
	Signature string            `json:"signature"`
}

// capturedKeys is how many validators the recorded chains had.
const capturedKeys = 8

func TestEveryRequestOfARealClientIsSigned(t *testing.T) {
	root := testdata.Path(t, "captured")
	chains, err := filepath.Glob(filepath.Join(root, "*", "GENESIS.json"))
	if err != nil || len(chains) == 0 {
		t.Fatalf("no recorded chain below %s: %v", root, err)
	}
	for _, genesis := range chains {
		chain := filepath.Dir(genesis)
		t.Run(filepath.Base(chain), func(t *testing.T) {
			t.Parallel()
			d := serveKeys(t, daemon.Init(t, recordedNetwork(t, chain)), interop.Keys(capturedKeys), unbound...)
			requests := recordedRequests(t, chain)
			for _, r := range requests {
				r.replay(t, d)
			}
			t.Logf("%d requests", len(requests))
		})
	}
}

func recordedNetwork(t *testing.T, chain string) daemon.Network {
	t.Helper()
	var genesis struct {
		Data struct {
			Root string `json:"genesis_validators_root"`
			Time string `json:"genesis_time"`
		} `json:"data"`
	}
	readJSON(t, filepath.Join(chain, "GENESIS.json"), &genesis)
	return daemon.Network{Name: filepath.Join(chain, "CONFIG.yaml"), GenesisRoot: genesis.Data.Root, GenesisTime: genesis.Data.Time}
}

// recordedRequests returns what was sent on one chain, in ascending order.
func recordedRequests(t *testing.T, chain string) []captured {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(chain, "*.*.json"))
	if err != nil {
		t.Fatal(err)
	}
	var requests []captured
	for _, path := range files {
		r := captured{file: filepath.Base(path)}
		readJSON(t, path, &r)
		if r.Body == "" || r.Signature == "" {
			t.Fatalf("%s holds no request", path)
		}
		requests = append(requests, r)
	}
	if len(requests) == 0 {
		t.Fatalf("no requests below %s", chain)
	}
	slices.SortStableFunc(requests, func(a, b captured) int {
		return inOrder(t, json.RawMessage(a.Body), json.RawMessage(b.Body))
	})
	return requests
}

// replay sends the body with every header that is not the connection's own.
func (c captured) replay(t *testing.T, d *daemon.Daemon) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), c.Method, d.URL+c.Path, strings.NewReader(c.Body))
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range c.Headers {
		switch name {
		case "host", "connection", "content-length":
		default:
			request.Header.Set(name, value)
		}
	}
	answer, err := do(http.DefaultClient, request)
	if err != nil {
		t.Fatalf("%s: %v", c.file, err)
	}
	answer = tidy(answer)
	want := daemon.Answer{Status: http.StatusOK, ContentType: "application/json", Body: `{"signature":"` + c.Signature + `"}`}
	if answer != want {
		t.Errorf("%s: %+v, want %+v", c.file, answer, want)
	}
}
