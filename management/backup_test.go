package management

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// getBackup asks a signer that makes this backup.
func getBackup(t *testing.T, storeErr error, backup Backup) (status int, body string, err error) {
	t.Helper()
	server := httptest.NewServer(New(Config{
		StoreErr: func() error { return storeErr }, Backup: backup, Log: slog.New(slog.DiscardHandler),
	}))
	defer server.Close()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+"/signer/v1/backup", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := server.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	return answer.StatusCode, string(text), err
}

func TestABackupIsStreamed(t *testing.T) {
	status, body, err := getBackup(t, nil, func(_ context.Context, w io.Writer) error {
		for range 1000 {
			if _, err := io.WriteString(w, strings.Repeat("a part ", 100)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil || status != http.StatusOK || len(body) != 700_000 {
		t.Errorf("%d, %d bytes, %v", status, len(body), err)
	}
}

func TestABackupThatFailsIsNotTakenForOne(t *testing.T) {
	status, body, err := getBackup(t, nil, func(context.Context, io.Writer) error { return errFull })
	if err != nil || status != http.StatusServiceUnavailable || !strings.Contains(body, errFull.Error()) || !strings.Contains(body, "store_unavailable") {
		t.Errorf("failed at once: %d %s, %v", status, body, err)
	}
	status, body, err = getBackup(t, errFull, func(context.Context, io.Writer) error { panic("asked for") })
	if err != nil || status != http.StatusServiceUnavailable || !strings.Contains(body, errFull.Error()) {
		t.Errorf("with a store that failed: %d %s, %v", status, body, err)
	}
	_, _, err = getBackup(t, nil, func(_ context.Context, w io.Writer) error {
		_, err := io.WriteString(w, strings.Repeat("half a backup ", 10_000))
		return errors.Join(err, errFull)
	})
	if !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("failed under way: the client sees %v, want %v", err, io.ErrUnexpectedEOF)
	}
}
