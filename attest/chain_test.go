package attest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"
)

// newChain makes a chain of n certificates, the leaf first.
func newChain(t *testing.T, n int) []*x509.Certificate {
	t.Helper()
	var chain []*x509.Certificate
	var above *ecdsa.PrivateKey
	for i := range n {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		c := &x509.Certificate{
			SerialNumber: big.NewInt(int64(i)), Subject: pkix.Name{CommonName: string(rune('a' + i))},
			NotBefore: now.AddDate(-1, 0, 0), NotAfter: now.AddDate(1, 0, 0),
			BasicConstraintsValid: true, IsCA: i < n-1, KeyUsage: x509.KeyUsageCertSign,
		}
		parent := c
		if i > 0 {
			parent = chain[0]
		} else {
			above = key
		}
		der, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, above)
		if err != nil {
			t.Fatal(err)
		}
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		chain, above = slices.Insert(chain, 0, cert), key
	}
	return chain
}

func TestAChainIsVerifiedAsGiven(t *testing.T) {
	chain, other := newChain(t, 4), newChain(t, 4)
	pin := func(c []*x509.Certificate) []Digest { return []Digest{sha256.Sum256(c[len(c)-1].Raw)} }
	got, err := VerifyChain(chain, pin(chain), now)
	if err != nil || got != pin(chain)[0] {
		t.Fatalf("got %v, %v", got, err)
	}
	nine := newChain(t, 9)
	huge := &x509.Certificate{PublicKey: &rsa.PublicKey{N: new(big.Int).Lsh(big.NewInt(1), 8192), E: 65537}}
	for _, tt := range []struct {
		name  string
		certs []*x509.Certificate
		roots []Digest
		at    time.Time
		want  string
	}{
		{"a root that nobody pinned, with the same name", other, pin(chain), now, "not trusted"},
		{"no roots", chain, nil, now, "not trusted"},
		{"the root of another chain", append(slices.Clone(chain[:3]), other[3]), pin(other), now, "unknown authority"},
		{"a certificate left out", []*x509.Certificate{chain[0], chain[2], chain[3]}, pin(chain), now, "unknown authority"},
		{"a certificate too many", []*x509.Certificate{chain[0], chain[1], chain[2], other[2], chain[3]}, pin(chain), now, "signed by the next"},
		{"another order", []*x509.Certificate{chain[0], chain[2], chain[1], chain[3]}, pin(chain), now, "signed by the next"},
		{"the root alone", chain[3:], pin(chain), now, "no chain"},
		{"nothing", nil, pin(chain), now, "no chain"},
		{"nine certificates", nine, pin(nine), now, "are no chain"},
		{"a huge key", []*x509.Certificate{huge, chain[3]}, pin(chain), now, "RSA key of 8193 bits"},
		{"after its end", chain, pin(chain), now.AddDate(2, 0, 0), "expired"},
		{"before its start", chain, pin(chain), now.AddDate(-2, 0, 0), "not yet valid"},
	} {
		if _, err := VerifyChain(tt.certs, tt.roots, tt.at); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want %q", tt.name, err, tt.want)
		}
	}
}
