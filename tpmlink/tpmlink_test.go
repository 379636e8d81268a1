package tpmlink_test

import (
	"testing"

	"github.com/secure-signer/secure-signer/tpmlink"
	"github.com/secure-signer/secure-signer/tpmlink/tpmtest"
)

func open(t *testing.T, path string) *tpmlink.Link {
	t.Helper()
	link, err := tpmlink.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { link.Close() })
	return link
}

func TestX(t *testing.T) {
	m := tpmtest.Start(t)
	link := open(t, m.Path)
	roots, err := tpmlink.LoadRoots(m.Roots)
	if err != nil {
		t.Fatal(err)
	}
	e, err := link.Endorse(t.Context(), tpmlink.Trust{Roots: roots})
	if err != nil {
		t.Fatal(err)
	}
	t.Log(e)
}
