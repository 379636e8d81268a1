package judge

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/secure-signer/secure-signer/internal/testdata"
)

type vector struct {
	Type        string          `json:"type"`
	Fork        string          `json:"fork"`
	Request     json.RawMessage `json:"request"`
	SigningRoot string          `json:"signing_root"`
}

func vectors(t *testing.T, preset string) []vector {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(testdata.Path(t, "vectors/"+preset), "*.json"))
	if err != nil {
		t.Fatal(err)
	}
	var all []vector
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		var file struct {
			Vectors []vector `json:"vectors"`
		}
		if err := json.Unmarshal(text, &file); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		all = append(all, file.Vectors...)
	}
	return all
}
