package devnet

import (
	"encoding/hex"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/secure-signer/secure-signer/test/internal/interop"
)

// startUnguarded serves a signer without any protection: it signs whatever root
// the client names. It is the control: what the guarded signer is seen to
// prevent must happen here.
func startUnguarded(t *testing.T, keys []interop.Key) string {
	byID := map[[48]byte]interop.Key{}
	var public []string
	for _, k := range keys {
		byID[k.Public] = k
		public = append(public, k.Hex())
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /upcheck", func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("OK")) })
	mux.HandleFunc("GET /api/v1/eth2/publicKeys", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(public)
	})
	mux.HandleFunc("POST /api/v1/eth2/sign/{key}", func(w http.ResponseWriter, r *http.Request) {
		id, _ := signingKey(r.URL.Path)
		key, known := byID[id]
		var body struct{ SigningRoot string }
		var root [32]byte
		err := json.NewDecoder(r.Body).Decode(&body)
		if err == nil {
			_, err = hex.Decode(root[:], []byte(strings.TrimPrefix(body.SigningRoot, "0x")))
		}
		if err != nil || !known {
			http.Error(w, "not a request of this devnet", http.StatusBadRequest)
			return
		}
		signature := key.Sign(root)
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(map[string]string{"signature": "0x" + hex.EncodeToString(signature[:])})
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server.URL
}
