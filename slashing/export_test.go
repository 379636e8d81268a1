package slashing_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/secure-signer/secure-signer/bls"
	"github.com/secure-signer/secure-signer/slashing"
)

func export(t testing.TB, g *slashing.Guard, only func(bls.PublicKey) bool) string {
	t.Helper()
	var out strings.Builder
	if err := g.Export(context.Background(), &out, only); err != nil {
		t.Fatal(err)
	}
	return strings.TrimSuffix(out.String(), "\n")
}

func TestExportGivesTheWatermarks(t *testing.T) {
	const root1 = `"signing_root":"0x0000000000000000000000000000000000000000000000000000000000000001"`
	for _, tt := range []struct {
		name          string
		signed        []message
		floors        string // blocks and votes of an import after signing
		blocks, votes string
	}{
		{"of a key that has signed nothing", nil, "", ``, ``},
		{"of a block that was signed here, with its root", []message{block(7, 1)}, "", `{"slot":"7",` + root1 + `}`, ``},
		{"of the last block only", []message{block(7, 2), block(8, 1)}, "", `{"slot":"8",` + root1 + `}`, ``},
		{"of a vote that was signed here, with its root", []message{vote(2, 3, 1)}, "", ``, `{"source_epoch":"2","target_epoch":"3",` + root1 + `}`},
		{"of slot and epochs of 0", []message{block(0, 1), vote(0, 0, 1)}, "", `{"slot":"0",` + root1 + `}`, `{"source_epoch":"0","target_epoch":"0",` + root1 + `}`},
		{"of a history that was imported, without roots", nil, entry(key(0), `{"slot":"7",`+root1+`}`, `{"source_epoch":"2","target_epoch":"3",`+root1+`}`), `{"slot":"7"}`, `{"source_epoch":"2","target_epoch":"3"}`},
		{"of a floor below what was signed, with the root", []message{block(7, 1)}, entry(key(0), `{"slot":"6"}`, ``), `{"slot":"7",` + root1 + `}`, ``},
		{"of a floor at what was signed, with the root", []message{block(7, 1)}, entry(key(0), `{"slot":"7"}`, ``), `{"slot":"7",` + root1 + `}`, ``},
		{"of a floor above what was signed, without a root", []message{block(7, 1)}, entry(key(0), `{"slot":"8"}`, ``), `{"slot":"8"}`, ``},
		{"of a source from one and a target from the other, without a root", []message{vote(2, 9, 1)}, entry(key(0), ``, `{"source_epoch":"3","target_epoch":"4"}`), ``, `{"source_epoch":"3","target_epoch":"9"}`},
		{"of a target from a floor and a source from a vote, without a root", []message{vote(2, 9, 1)}, entry(key(0), ``, `{"source_epoch":"1","target_epoch":"10"}`), ``, `{"source_epoch":"2","target_epoch":"10"}`},
		{"of a source after every target, as far as its target", nil, entry(key(0), ``, `{"source_epoch":"5","target_epoch":"2"}`), ``, `{"source_epoch":"5","target_epoch":"5"}`},
		{"of the greatest numbers there are", []message{block(maxUint64, 1), vote(0, maxUint64, 1)}, "", `{"slot":"18446744073709551615",` + root1 + `}`, `{"source_epoch":"0","target_epoch":"18446744073709551615",` + root1 + `}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			g, _ := newGuard(t, 1)
			for _, m := range tt.signed {
				if err := m.record(g, key(0)); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := importFile(g, file(tt.floors)); err != nil {
				t.Fatal(err)
			}
			if got, want := export(t, g, nil), file(entry(key(0), tt.blocks, tt.votes)); got != want {
				t.Errorf("export\n%s, want\n%s", got, want)
			}
		})
	}
}

func TestExportIsSortedAndOnlyOfWhatIsWanted(t *testing.T) {
	g, _ := newGuard(t, 0)
	for _, i := range []byte{9, 3, 200, 7, 0} {
		if err := g.Enroll(context.Background(), key(i), slashing.Generated); err != nil {
			t.Fatal(err)
		}
	}
	if err := g.Disable(context.Background(), key(7)); err != nil {
		t.Fatal(err)
	}
	got := export(t, g, func(pub bls.PublicKey) bool { return pub != key(9) })
	want := file(entry(key(0), "", ""), entry(key(3), "", ""), entry(key(7), "", ""), entry(key(200), "", ""))
	if got != want {
		t.Errorf("export\n%s, want\n%s", got, want)
	}
	if got, want := export(t, g, func(bls.PublicKey) bool { return false }), file(); got != want {
		t.Errorf("export of nothing\n%s, want\n%s", got, want)
	}
}

// full is a disk that takes n bytes.
type full struct{ n int }

var errFull = errors.New("no space left on device")

func (f *full) Write(p []byte) (int, error) {
	if len(p) > f.n {
		return f.n, errFull
	}
	f.n -= len(p)
	return len(p), nil
}

func TestExportThatIsCutOffIsAnErrorAndNoInterchange(t *testing.T) {
	g, _ := newGuard(t, 3)
	whole := export(t, g, nil)
	for n := range len(whole) {
		if err := g.Export(context.Background(), &full{n}, nil); !errors.Is(err, errFull) {
			t.Errorf("a disk of %d bytes: %v", n, err)
		}
		other, _ := newGuard(t, 0)
		if _, err := importFile(other, whole[:n]); !errors.Is(err, slashing.ErrInterchange) {
			t.Fatalf("the first %d of %d bytes are an interchange (%v)", n, len(whole), err)
		}
	}
}
