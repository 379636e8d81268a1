package http_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/secure-signer/secure-signer/test/internal/daemon"
	"github.com/secure-signer/secure-signer/test/internal/interop"
)

func TestASignatureComesInTheFormThatTheClientAccepts(t *testing.T) {
	t.Parallel()
	key := interop.New(0)
	d := serveKeys(t, initMainnet(t), []interop.Key{key}, unbound...)
	signature := mustSign(t, d, key, randao(9))
	bare := daemon.Answer{Status: 200, ContentType: "text/plain", Body: signature}
	object := daemon.Answer{Status: 200, ContentType: "application/json", Body: `{"signature":"` + signature + `"}`}

	tests := []struct {
		name   string
		accept []string
		want   daemon.Answer
	}{
		{"no header, as Teku and Prysm", nil, bare},
		{"anything", []string{"*/*"}, object},
		{"JSON", []string{"application/json"}, object},
		{"JSON in capitals and with a charset", []string{"Application/JSON; charset=utf-8"}, object},
		{"text", []string{"text/plain"}, bare},
		{"text before JSON by weight", []string{"application/json;q=0.5, text/plain"}, bare},
		{"JSON before text by weight", []string{"text/plain;q=0.5,application/json;q=0.9"}, object},
		{"both alike", []string{"text/plain, application/json"}, object},
		{"both alike in two lines", []string{"text/plain", "application/json"}, object},
		{"text, and else anything", []string{"text/plain, */*;q=0.1"}, bare},
		{"anything but JSON", []string{"*/*, application/json;q=0"}, bare},
		{"a browser's", []string{"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}, object},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := d.Sign(key.Public, []byte(randao(9)), test.accept...)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, tidy(got)); diff != "" {
				t.Errorf("answer (-want +got):\n%s", diff)
			}
			refused, err := d.Sign(key.Public, []byte(`{}`), test.accept...)
			if err != nil {
				t.Fatal(err)
			}
			if refused.Status != 400 || !strings.HasPrefix(refused.ContentType, "application/json") || refused.Reason() == "" {
				t.Errorf("a refusal is JSON whatever the client accepts: %+v", refused)
			}
		})
	}
}
