package web3signer

import (
	"iter"
	"strings"
)

// prefersText tells whether a signature goes out as bare hex. It does where
// the client asks for nothing in particular, as Teku and every plain Go client
// do, and where text is more welcome than JSON. Otherwise, with a tie or "*/*",
// it goes out as JSON. A client that admits neither gets text, as from
// Web3Signer.
func prefersText(accept []string) bool {
	json := quality(accept, "application", "json")
	return json == 0 || quality(accept, "text", "plain") > json
}

// prefersJSON tells whether /upcheck answers in JSON: only where that is asked
// for, because every probe knows the text.
func prefersJSON(accept []string) bool {
	return quality(accept, "application", "json") > quality(accept, "text", "plain")
}

// quality returns the weight that Accept headers give to a media type, from 0
// (not acceptable, or no header) to 1000. The most specific range decides.
func quality(accept []string, kind, subtype string) int {
	best, weight := 0, 0
	for value, q := range weighted(accept) {
		k, s, ok := strings.Cut(value, "/")
		if !ok {
			continue
		}
		rank := 0
		switch {
		case strings.EqualFold(k, kind) && strings.EqualFold(s, subtype):
			rank = 3
		case strings.EqualFold(k, kind) && s == "*":
			rank = 2
		case k == "*" && s == "*":
			rank = 1
		}
		if rank > best || rank == best && rank > 0 && q > weight {
			best, weight = rank, q
		}
	}
	return weight
}

// acceptsGzip reads Accept-Encoding. No compression at all (identity) is always
// acceptable, but where a client gives it a weight, gzip must have as much.
// Source: RFC 9110 section 12.5.3.
func acceptsGzip(acceptEncoding []string) bool {
	const unsaid = -1
	gzip, identity, any := unsaid, unsaid, unsaid
	for value, q := range weighted(acceptEncoding) {
		switch {
		case strings.EqualFold(value, "gzip"), strings.EqualFold(value, "x-gzip"):
			gzip = max(gzip, q)
		case strings.EqualFold(value, "identity"):
			identity = max(identity, q)
		case value == "*":
			any = max(any, q)
		}
	}
	if gzip == unsaid {
		gzip = any
	}
	if identity == unsaid {
		identity = any
	}
	return gzip > 0 && gzip >= identity
}

// weighted goes through the elements of a header, which may be sent in several
// lines, with the weight of each in thousandths. Source: RFC 9110 section 12.4.2.
func weighted(header []string) iter.Seq2[string, int] {
	return func(yield func(string, int) bool) {
		for _, line := range header {
			for line != "" {
				var element string
				element, line = cutUnquoted(line, ',')
				value, parameters := cutUnquoted(element, ';')
				if value = strings.TrimSpace(value); value == "" {
					continue
				}
				if !yield(value, weight(parameters)) {
					return
				}
			}
		}
	}
}

// weight finds q among parameters. One that is missing or makes no sense
// counts as 1: the client named the type, which says enough.
func weight(parameters string) int {
	for parameters != "" {
		var p string
		p, parameters = cutUnquoted(parameters, ';')
		name, value, _ := strings.Cut(p, "=")
		if strings.EqualFold(strings.TrimSpace(name), "q") {
			return thousandths(strings.TrimSpace(value))
		}
	}
	return 1000
}

// thousandths reads a qvalue: 0 or 1, and up to three digits.
func thousandths(s string) int {
	whole, fraction, _ := strings.Cut(s, ".")
	if whole != "0" || len(fraction) > 3 {
		return 1000
	}
	n := 0
	for i := range 3 {
		n *= 10
		if i < len(fraction) {
			if fraction[i] < '0' || fraction[i] > '9' {
				return 1000
			}
			n += int(fraction[i] - '0')
		}
	}
	return n
}

// cutUnquoted cuts s around the first sep that is not inside a quoted string.
func cutUnquoted(s string, sep byte) (before, after string) {
	quoted := false
	for i := 0; i < len(s); i++ {
		switch {
		case quoted && s[i] == '\\':
			i++
		case s[i] == '"':
			quoted = !quoted
		case s[i] == sep && !quoted:
			return s[:i], s[i+1:]
		}
	}
	return s, ""
}
