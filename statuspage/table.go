package statuspage

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/secure-signer/secure-signer/bls"
	"github.com/secure-signer/secure-signer/management"
)

// pageKeys is how many keys a page of the table shows.
const pageKeys = 50

// A table is the part of the keys that was asked for.
type table struct {
	Query    string // as it was typed
	Withheld bool   // only those that do not sign
	Problem  string // why nothing is shown

	Rows        []management.Key
	First, Last int // of the rows among those found, from 1
	Found       int
	Page, Pages int
}

// table finds the keys that a request asks for. Only those that it shows are looked
// up, unless it asks for those that do not sign.
func (h *handler) table(r *http.Request) table {
	query := r.URL.Query()
	t := table{Query: query.Get("key"), Withheld: query.Get("show") == "withheld", Pages: 1, Page: 1}
	prefix, err := parsePrefix(t.Query)
	if err != nil {
		t.Problem = err.Error()
		return t
	}
	var found []bls.PublicKey
	for _, pub := range h.Signer.Held() {
		if !strings.HasPrefix(pub.String(), prefix) {
			continue
		}
		if t.Withheld {
			if k, err := h.Signer.Key(r.Context(), pub); err == nil && k.InService {
				continue
			}
		}
		found = append(found, pub)
	}
	t.Found = len(found)
	t.Pages = max(1, (t.Found+pageKeys-1)/pageKeys)
	if n, err := strconv.Atoi(query.Get("page")); err == nil {
		t.Page = min(max(1, n), t.Pages)
	}
	begin := (t.Page - 1) * pageKeys
	for _, pub := range found[begin:min(begin+pageKeys, t.Found)] {
		k, err := h.Signer.Key(r.Context(), pub)
		if err != nil {
			k.Problem = "its record cannot be read: " + err.Error()
		}
		t.Rows = append(t.Rows, k)
	}
	t.First, t.Last = begin+1, begin+len(t.Rows)
	return t
}

// parsePrefix reads the beginning of a public key as people paste it, and returns
// it as keys are written.
func parsePrefix(text string) (string, error) {
	digits := strings.ToLower(strings.TrimSpace(text))
	digits = strings.TrimPrefix(digits, "0x")
	if len(digits) > 2*len(bls.PublicKey{}) {
		return "", fmt.Errorf("a public key has %d hexadecimal digits, and this is longer", 2*len(bls.PublicKey{}))
	}
	if strings.Trim(digits, "0123456789abcdef") != "" {
		return "", fmt.Errorf("a public key has only the digits 0 to 9 and a to f")
	}
	return "0x" + digits, nil
}

// Link is the address of a page of the same table.
func (t table) Link(page int) string {
	query := url.Values{}
	if t.Query != "" {
		query.Set("key", t.Query)
	}
	if t.Withheld {
		query.Set("show", "withheld")
	}
	if page > 1 {
		query.Set("page", strconv.Itoa(page))
	}
	return "/?" + query.Encode() + "#keys"
}

// Before and After are the pages beside this one; 0 if there is none.
func (t table) Before() int { return t.Page - 1 }

// After is the page after this one, or 0.
func (t table) After() int {
	if t.Page == t.Pages {
		return 0
	}
	return t.Page + 1
}
