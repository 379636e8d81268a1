package main

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/secure-signer/secure-signer/bls"
	"github.com/secure-signer/secure-signer/eth2"
)

// TestAnExitIsSignedForEver computes the root of an exit as beacon nodes do from
// Deneb on, by hand. Sources: EIP-7044; consensus-specs phase0/beacon-chain.md,
// compute_domain and compute_signing_root.
func TestAnExitIsSignedForEver(t *testing.T) {
	capella := map[string]eth2.Version{
		"mainnet": {3, 0, 0, 0}, "sepolia": {0x90, 0, 0, 0x72}, "hoodi": {0x40, 0, 9, 0x10},
		"gnosis": {3, 0, 0, 0x64}, "chiado": {3, 0, 0, 0x6f},
	}
	for _, name := range eth2.BuiltinNames() {
		n, _ := eth2.Builtin(name)
		version := capella[name]
		forkData := sha256.Sum256(append(append(version[:], make([]byte, 28)...), n.GenesisValidatorsRoot[:]...))
		domain := append([]byte{4, 0, 0, 0}, forkData[:28]...)
		for _, epoch := range []uint64{0, 1, 300_000, 10_000_000} {
			fork, err := exitFork(n)
			if err != nil {
				t.Fatal(err)
			}
			m := eth2.VoluntaryExit{ForkInfo: fork, Data: eth2.VoluntaryExitData{Epoch: eth2.Epoch(epoch), ValidatorIndex: 7}}
			var object [64]byte
			binary.LittleEndian.PutUint64(object[:], epoch)
			binary.LittleEndian.PutUint64(object[32:], 7)
			root := sha256.Sum256(object[:])
			want := sha256.Sum256(append(root[:], domain...))
			if got, err := m.SigningRoot(n); err != nil || got != want {
				t.Errorf("%s, epoch %d: %v, %v, want %x", name, epoch, got, err, want)
			}
		}
	}
}

func TestAChainBeforeDenebHasNoLastingExits(t *testing.T) {
	n, _ := eth2.Builtin("mainnet")
	for forks, good := range map[int]bool{3: false, 4: false, 5: true} { // up to Bellatrix, Capella, Deneb
		before := *n
		before.Forks = n.Forks[:forks]
		if _, err := exitFork(&before); (err == nil) != good {
			t.Errorf("%d forks: %v", forks, err)
		}
	}
}

// TestASignatureOfAnotherIsNotKept: whatever a signer answers, no other signature
// than the key's under the message passes.
func TestASignatureOfAnotherIsNotKept(t *testing.T) {
	ring, err := bls.OpenKeyring(bls.Config{Workers: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer ring.Close()
	var pubs []bls.PublicKey
	sign := func(key int, root [32]byte) string {
		k, ok := ring.Key(pubs[key])
		if !ok {
			t.Fatal("the key is gone")
		}
		s, err := ring.Sign(t.Context(), k, root)
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprintf(`{"signature":"%v"}`, s)
	}
	for range 2 {
		secret, err := bls.GenerateKey()
		if err != nil {
			t.Fatal(err)
		}
		pubs = append(pubs, secret.PublicKey())
		if _, err := ring.Add(secret.PublicKey(), secret); err != nil {
			t.Fatal(err)
		}
	}
	n, _ := eth2.Builtin("hoodi")
	fork, err := exitFork(n)
	if err != nil {
		t.Fatal(err)
	}
	m := &eth2.VoluntaryExit{ForkInfo: fork, Data: eth2.VoluntaryExitData{Epoch: 1, ValidatorIndex: 7}}
	root, err := m.SigningRoot(n)
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		answer string
		good   bool
	}{
		"its own":                 {sign(0, root), true},
		"another key's":           {sign(1, root), false},
		"under another message":   {sign(0, [32]byte{1}), false},
		"none":                    {`{}`, false},
		"something else":          {`{"signature":"0x12"}`, false},
		"one that is no point":    {`{"signature":"0x` + strings.Repeat("00", 96) + `"}`, false},
		"the signature of nobody": {`{"signature":"0xc0` + strings.Repeat("00", 95) + `"}`, false},
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, tt.answer) }))
		s := &client{base: server.URL, http: server.Client()}
		if _, err := s.sign(t.Context(), n, pubs[0], m); (err == nil) != tt.good {
			t.Errorf("%s: %v", name, err)
		}
		server.Close()
	}
}
