package keystore

import (
	"bytes"
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
	defer clear(decomposed)
	return bytes.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return -1
		}
		return r
	}, decomposed), nil
}
