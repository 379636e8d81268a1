package web3signer

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/secure-signer/secure-signer/bls"
	"github.com/secure-signer/secure-signer/eth2"
	"github.com/secure-signer/secure-signer/policy"
	"github.com/secure-signer/secure-signer/signer"
)

// withRoot adds the signing root that most clients send.
func withRoot(b *testing.B, h *Handler, n *eth2.Network, body string) string {
	b.Helper()
	var r request
	if err := h.request.Decode([]byte(body), &r); err != nil {
		b.Fatal(err)
	}
	m, err := r.message()
	if err != nil {
		b.Fatal(err)
	}
	root, err := m.SigningRoot(n)
	if err != nil {
		b.Fatal(err)
	}
	return strings.Replace(body, "{", `{"signing_root":"`+root.String()+`",`, 1)
}

func BenchmarkDecode(b *testing.B) {
	for _, name := range []string{"ATTESTATION", "BLOCK_V2 of FULU", "AGGREGATE_AND_PROOF_V2", "BLOCK_V2 of ALTAIR"} {
		b.Run(name, func(b *testing.B) {
			h := New(Config{})
			body := []byte(withRoot(b, h, mainnet(b), samples()[name]))
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				var r request
				if err := h.request.Decode(body, &r); err != nil {
					b.Fatal(err)
				}
				if _, err := r.message(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// free costs nothing, so that what is left is the handler and the root.
type free struct{ key *bls.Key }

func (free) Record(context.Context, bls.PublicKey, eth2.Message, eth2.Root) error { return nil }
func (f free) Key(bls.PublicKey) (*bls.Key, bool)                                 { return f.key, true }
func (free) Sign(context.Context, *bls.Key, [32]byte) (bls.Signature, error) {
	return bls.Signature{}, nil
}
func (free) SignFirst(context.Context, *bls.Key, [32]byte) (bls.Signature, error) {
	return bls.Signature{}, nil
}

// BenchmarkHandler is all but net/http, the record and the signature.
func BenchmarkHandler(b *testing.B) {
	n := mainnet(b)
	h := New(Config{
		Signer: &signer.Signer{Network: n, Keys: free{}, Guard: free{}, Policy: policy.Duties()},
		Log:    slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
	h.Ready()
	body := withRoot(b, h, n, samples()["ATTESTATION"])
	b.ReportAllocs()
	for b.Loop() {
		req := httptest.NewRequest(http.MethodPost, "/api/v1/eth2/sign/"+pubkey0, strings.NewReader(body))
		req.Header.Set("Accept", "application/json")
		w := &nowhere{header: http.Header{}}
		if h.ServeHTTP(w, req); w.status != 0 {
			b.Fatal(w.status)
		}
	}
}

type nowhere struct {
	header http.Header
	status int
}

func (d *nowhere) Header() http.Header         { return d.header }
func (d *nowhere) Write(p []byte) (int, error) { return len(p), nil }
func (d *nowhere) WriteHeader(status int)      { d.status = status }
