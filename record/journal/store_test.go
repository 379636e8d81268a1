package journal

import (
	"path/filepath"
	"testing"

	"github.com/secure-signer/secure-signer/record"
	"github.com/secure-signer/secure-signer/record/recordtest"
)

func TestStore(t *testing.T) {
	dirs := make(map[record.Store]string)
	reopen := func(t testing.TB, dir string) record.Store {
		s, err := Open(dir, testKey)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
		dirs[s] = dir
		return s
	}
	recordtest.Run(t, recordtest.Harness{
		Open: func(t testing.TB) record.Store {
			dir := filepath.Join(t.TempDir(), "journal")
			if err := Create(dir, testKey); err != nil {
				t.Fatal(err)
			}
			return reopen(t, dir)
		},
		Reopen: func(t testing.TB, s record.Store) record.Store {
			if err := s.(*Store).Close(); err != nil {
				t.Fatal(err)
			}
			return reopen(t, dirs[s])
		},
	})
}
