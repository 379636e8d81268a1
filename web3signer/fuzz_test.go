package web3signer

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/secure-signer/secure-signer/internal/httpjson"
)

// FuzzSignBody: what a client sends is refused with a short error, or is a
// message that stays the same when it is written and read again. Neither the
// decoder nor the hasher panics.
func FuzzSignBody(f *testing.F) {
	for _, body := range samples() {
		f.Add([]byte(body))
	}
	n := gloasNetwork(f)
	decode := New(Config{}).request.Decode
	f.Fuzz(func(t *testing.T, body []byte) {
		var r request
		err := decode(body, &r)
		if err != nil {
			wantShort(t, err)
			return
		}
		m, err := r.message()
		if err != nil {
			wantShort(t, err)
			return
		}
		root, err := m.SigningRoot(n)

		encoded, encodeErr := Encode(m)
		if encodeErr != nil {
			t.Fatalf("%+v: %v", m, encodeErr)
		}
		again := decoded(t, decode, encoded)
		if diff := cmp.Diff(m, again); diff != "" {
			t.Errorf("%s: %s", encoded, diff)
		}
		if rootAgain, errAgain := again.SigningRoot(n); rootAgain != root || (err == nil) != (errAgain == nil) {
			t.Errorf("root %v, %v, then %v, %v", root, err, rootAgain, errAgain)
		}
	})
}

func wantShort(t *testing.T, err error) {
	t.Helper()
	var malformed *httpjson.Malformed
	if !errors.As(err, &malformed) || len(err.Error()) > 512 {
		t.Errorf("%T of %d bytes: %v", err, len(err.Error()), err)
	}
}
