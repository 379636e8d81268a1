package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/secure-signer/secure-signer/rollback/witness"
)

// TestAReleasedWitnessOpens: a witness that was made by an earlier release has its key
// and remembers what it has promised, also once this one has written to its folder.
func TestAReleasedWitnessOpens(t *testing.T) {
	const (
		key     = "1504a78bb6e3c73fd22de5a4be13a46e41444dc0544bf560b000702bd0fb5de9"
		signer  = "155526427ded1bb8459f55a346d8f40c5840a3d7670127915cf2d7bd0be27d17"
		claimed = 139_107
	)
	dir := witnessDir(t.TempDir())
	if out, err := exec.Command("tar", "-xzf", "testdata/witness-1.tar.gz", "-C", string(dir)).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, what := range []string{"as it was released", "as this release has written it"} {
		private, j, err := dir.open()
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if got := fmt.Sprintf("%x", private.Public()); got != key || j.Unsettled() {
			t.Errorf("%s: key %s, unsettled %v; want %s", what, got, j.Unsettled(), key)
		}
		signers, err := witness.Signers(t.Context(), j)
		if err != nil || len(signers) != 1 || fmt.Sprintf("%x", []byte(signers[0])) != signer {
			t.Fatalf("%s: it knows %x, %v", what, signers, err)
		}
		read := append([]byte{1, 1}, signers[0]...) // version, counter
		read = append(read, make([]byte, 154-len(read))...)
		answer := httptest.NewRecorder()
		server := &witness.Server{Key: private, Store: j, Log: slog.New(slog.DiscardHandler)}
		server.Handler().ServeHTTP(answer, httptest.NewRequest(http.MethodPost, "/witness/v1", bytes.NewReader(read)))
		if answer.Code != http.StatusOK || binary.BigEndian.Uint64(answer.Body.Bytes()) != claimed {
			t.Errorf("%s: it answers %d %x, want %d", what, answer.Code, answer.Body.Bytes(), claimed)
		}
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestAHangUpThatReadsNothingSaysSo: whoever has struck a program off a key keeper's
// policy must not believe that it gets no key any more.
func TestAHangUpThatReadsNothingSaysSo(t *testing.T) {
	var log bytes.Buffer
	c := companion{log: slog.New(slog.NewTextHandler(&log, nil)), hangup: make(chan os.Signal)}
	failed := make(chan error)
	go func() {
		c.hangup <- syscall.SIGHUP
		failed <- http.ErrServerClosed
	}()
	if err := c.wait(t.Context(), failed); !errors.Is(err, http.ErrServerClosed) {
		t.Fatal(err)
	}
	if !strings.Contains(log.String(), "nothing was read again: for other settings restart") {
		t.Errorf("it says %q", log.String())
	}
}
