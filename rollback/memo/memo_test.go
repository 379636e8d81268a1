package memo_test

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/secure-signer/secure-signer/rollback"
	"github.com/secure-signer/secure-signer/rollback/memo"
)

func TestAMemoIsLoadedAsItWasSaved(t *testing.T) {
	path := filepath.Join(t.TempDir(), "memo")
	var log bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&log, nil))
	f := memo.New(path, [32]byte{1}, logger)
	if m, err := f.Load(t.Context()); m != nil || err != nil || log.Len() > 0 {
		t.Errorf("before the first: %v, %v, log %s", m, err, &log)
	}
	for _, want := range []rollback.Memo{
		{},
		{Tenure: rollback.Tenure{First: 1, Last: 1<<64 - 1, SourceFloor: 2, Ceiling: 3, Sealed: true}},
		{Tenure: rollback.Tenure{First: 4, Last: 5}, Stop: &rollback.Stop{Generation: 6, Head: [32]byte{7, 31: 8}}},
	} {
		if err := f.Save(t.Context(), want); err != nil {
			t.Fatal(err)
		}
		got, err := memo.New(path, [32]byte{1}, logger).Load(t.Context())
		if diff := cmp.Diff(&want, got); err != nil || diff != "" || log.Len() > 0 {
			t.Errorf("%v, log %s (-want +got):\n%s", err, &log, diff)
		}
	}
}

func TestAMemoThatCannotBeReadIsNoneAndIsSaid(t *testing.T) {
	for name, damage := range map[string]func(t *testing.T, path string){
		"emptied":         func(t *testing.T, path string) { write(t, path, "") },
		"of another kind": func(t *testing.T, path string) { write(t, path, strings.Repeat("x", 200)) },
		"of another key": func(t *testing.T, path string) {
			if err := memo.New(path, [32]byte{2}, slog.Default()).Save(t.Context(), rollback.Memo{}); err != nil {
				t.Fatal(err)
			}
		},
		"a folder": func(t *testing.T, path string) {
			if err := os.Mkdir(path, 0o700); err != nil {
				t.Fatal(err)
			}
		},
		"too long": func(t *testing.T, path string) {
			f := memo.New(path, [32]byte{1}, slog.Default())
			if err := f.Write(make([]byte, 75)); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "memo")
			damage(t, path)
			var log bytes.Buffer
			m, err := memo.New(path, [32]byte{1}, slog.New(slog.NewTextHandler(&log, nil))).Load(t.Context())
			if m != nil || err != nil || !strings.Contains(log.String(), "as after a crash") {
				t.Errorf("got %v, %v, log %s", m, err, &log)
			}
		})
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestAReleasedMemoIsRead: testdata/memo-1 was written by the release that brought
// the format, and is never made anew.
func TestAReleasedMemoIsRead(t *testing.T) {
	var log bytes.Buffer
	got, err := memo.New("testdata/memo-1", [32]byte{1, 31: 2}, slog.New(slog.NewTextHandler(&log, nil))).Load(t.Context())
	want := &rollback.Memo{
		Tenure: rollback.Tenure{First: 101, Last: 1 << 40, SourceFloor: 99, Ceiling: 100, Sealed: true},
		Stop:   &rollback.Stop{Generation: 7, Head: [32]byte{0xab, 31: 0xcd}},
	}
	if diff := cmp.Diff(want, got); err != nil || diff != "" || log.Len() > 0 {
		t.Errorf("%v, log %s (-want +got):\n%s", err, &log, diff)
	}
}
