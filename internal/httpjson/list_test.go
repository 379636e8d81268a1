package httpjson_test

import (
	"errors"
	"io"
	"iter"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/secure-signer/secure-signer/internal/httpjson"
)

// numbers yields n numbers and then err, if there is one.
func numbers(n int, err error) iter.Seq2[int, error] {
	return func(yield func(int, error) bool) {
		for i := range n {
			if !yield(i, nil) {
				return
			}
		}
		if err != nil {
			yield(0, err)
		}
	}
}

func TestAListIsWrittenWholeOrNotTakenForOne(t *testing.T) {
	failed := errors.New("store lost")
	tests := []struct {
		name     string
		elements iter.Seq2[int, error]
		body     string
		cut      bool
	}{
		{"none", numbers(0, nil), "{\"n\":[]}\n", false},
		{"some", numbers(3, nil), "{\"n\":[0,1,2]}\n", false},
		{"an error at once", numbers(0, failed), "", true},
		{"an error later", numbers(3, failed), "", true},
		{"an error much later", numbers(100_000, failed), "", true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				httpjson.WriteList(w, "n", test.elements)
			}))
			defer server.Close()
			response, err := http.Get(server.URL)
			if test.cut && err != nil {
				return // cut off before a byte had left
			}
			if err != nil {
				t.Fatal(err)
			}
			defer response.Body.Close()
			body, err := io.ReadAll(response.Body)
			if cut := err != nil; cut != test.cut || response.StatusCode != http.StatusOK {
				t.Errorf("%d, %v; want 200, cut off: %v", response.StatusCode, err, test.cut)
			}
			if !test.cut && string(body) != test.body {
				t.Errorf("got %q, want %q", body, test.body)
			}
		})
	}
}
