package main

import (
	"net"
	"testing"

	"github.com/secure-signer/secure-signer/internal/tlsfiles"
)

func TestHowSignerctlReachesTheSigner(t *testing.T) {
	for _, tt := range []struct {
		name   string
		access access
		ip     string
		port   int
		want   string
	}{
		{"where it looks by itself", access{}, "127.0.0.1", 9000, ""},
		{"on all addresses", access{}, "::", 9000, ""},
		{"on another port", access{}, "127.0.0.1", 9100, " --url http://127.0.0.1:9100"},
		{"on another address", access{}, "10.0.0.7", 9000, " --url http://10.0.0.7:9000"},
		{"over TLS", access{tls: &tlsfiles.Files{}}, "127.0.0.1", 9000, " --url https://127.0.0.1:9000 --tls-ca-file FILE"},
		{"over TLS, with a certificate", access{tls: &tlsfiles.Files{}, asksClients: true}, "0.0.0.0", 9000,
			" --url https://127.0.0.1:9000 --tls-ca-file FILE --tls-cert-file FILE --tls-key-file FILE"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.access.signerctlFlags(&net.TCPAddr{IP: net.ParseIP(tt.ip), Port: tt.port}); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}
