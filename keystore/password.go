package keystore

import (
	"errors"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// normalise brings a password to the form that is encrypted with: compatibility
// decomposition, then without the control codes C0, C1 and DEL, as UTF-8. The
// caller wipes it. Source: EIP-2335 "Password requirements".
func normalise(password string) ([]byte, error) {
	if !utf8.ValidString(password) {
		return nil, errors.New("password is not UTF-8")
	}
	decomposed := norm.NFKD.AppendString(nil, password)
	kept := make([]byte, 0, len(decomposed))
	for _, r := range string(decomposed) {
		if !unicode.IsControl(r) {
			kept = utf8.AppendRune(kept, r)
		}
	}
	clear(decomposed)
	return kept, nil
}
