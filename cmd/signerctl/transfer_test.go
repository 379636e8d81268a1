package main

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"
)

// newClient is a client of a server that is not a signer.
func newClient(t *testing.T, h http.HandlerFunc) *client {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	return &client{base: server.URL, http: server.Client()}
}

// TestADownloadThatBreaksOffIsNoFile: half of a history must not be kept.
func TestADownloadThatBreaksOffIsNoFile(t *testing.T) {
	c := newClient(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, strings.Repeat("x", 1<<20))
		panic(http.ErrAbortHandler)
	})
	path := t.TempDir() + "/history.json"
	file, err := createNew(path)
	if err != nil {
		t.Fatal(err)
	}
	err = file.fill(func(w io.Writer) error { return c.download(t.Context(), "/", w, func(int64) {}) })
	if err == nil || !strings.Contains(err.Error(), "broke off its answer") {
		t.Errorf("error %v", err)
	}
	if _, err := createNew(path); err != nil {
		t.Errorf("the file is still there: %v", err)
	}
}

func TestATransferTellsWhoseErrorItIs(t *testing.T) {
	c := newClient(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(w, r.Body)
		_, _ = io.WriteString(w, "hello")
	})
	full := errors.New("no space left on device")
	if err := c.download(t.Context(), "/", writerThat{full}, func(int64) {}); !errors.Is(err, full) {
		t.Errorf("of what is written: %v", err)
	}
	unreadable := errors.New("input/output error")
	if _, err := c.upload(t.Context(), "/", iotest.ErrReader(unreadable), func(int64) {}); !errors.Is(err, unreadable) {
		t.Errorf("of what is read: %v", err)
	}

	var sent, came int64
	var out bytes.Buffer
	text, err := c.upload(t.Context(), "/", strings.NewReader("body and "), func(n int64) { sent = n })
	if string(text) != "body and hello" || err != nil || sent != 9 {
		t.Errorf("upload: %q, %v, %d bytes", text, err, sent)
	}
	if err := c.download(t.Context(), "/", &out, func(n int64) { came = n }); err != nil || out.String() != "hello" || came != 5 {
		t.Errorf("download: %q, %v, %d bytes", &out, err, came)
	}
}

type writerThat struct{ fails error }

func (w writerThat) Write([]byte) (int, error) { return 0, w.fails }
