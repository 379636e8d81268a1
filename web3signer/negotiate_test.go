package web3signer

import (
	"strings"
	"testing"
)

func TestNegotiation(t *testing.T) {
	const json, text = false, true
	for name, tt := range map[string]struct {
		accept     []string
		prefers    bool
		upcheckTxt bool
	}{
		"no header":                            {nil, text, true},
		"an empty header":                      {[]string{""}, text, true},
		"JSON":                                 {[]string{"application/json"}, json, false},
		"JSON in upper case":                   {[]string{"Application/JSON"}, json, false},
		"JSON with a parameter":                {[]string{"application/json; charset=utf-8"}, json, false},
		"anything":                             {[]string{"*/*"}, json, true},
		"any application":                      {[]string{"application/*"}, json, false},
		"text":                                 {[]string{"text/plain"}, text, true},
		"any text":                             {[]string{"text/*"}, text, true},
		"neither":                              {[]string{"text/html"}, text, true},
		"neither, with a long list":            {[]string{"text/html, application/xhtml+xml, application/xml;q=0.9"}, text, true},
		"a browser":                            {[]string{"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}, json, true},
		"axios":                                {[]string{"application/json, text/plain, */*"}, json, true},
		"both":                                 {[]string{"text/plain, application/json"}, json, true},
		"both, in two headers":                 {[]string{"text/plain", "application/json"}, json, true},
		"JSON rather":                          {[]string{"text/plain;q=0.5, application/json"}, json, false},
		"text rather":                          {[]string{"text/plain, application/json;q=0.5"}, text, true},
		"text rather, by a thousandth":         {[]string{"text/plain;q=0.9, application/json;q=0.899"}, text, true},
		"text rather, white space everywhere":  {[]string{" text/plain ; q=0.9 ,\tapplication/json ; q=0.8 "}, text, true},
		"text rather, upper-case Q":            {[]string{"text/plain, application/json;Q=0.5"}, text, true},
		"text rather than anything":            {[]string{"text/plain, */*;q=0.1"}, text, true},
		"JSON refused":                         {[]string{"application/json;q=0, */*"}, text, true},
		"JSON refused, three zeros":            {[]string{"application/json;q=0.000, */*"}, text, true},
		"text refused":                         {[]string{"text/plain;q=0, */*"}, json, false},
		"everything refused":                   {[]string{"*/*;q=0"}, text, true},
		"the specific range decides over */*":  {[]string{"*/*;q=1, application/*;q=0.2, text/plain;q=0.3"}, text, true},
		"the specific range decides, reversed": {[]string{"text/plain;q=0.3, application/*;q=0.2, */*;q=1"}, text, true},
		"a weight after another parameter":     {[]string{"application/json;v=1;q=0.1, text/plain;q=0.2"}, text, true},
		"a weight that makes no sense":         {[]string{"application/json;q=high, text/plain;q=0.9"}, json, false},
		"a weight above 1":                     {[]string{"application/json;q=7, text/plain;q=0.9"}, json, false},
		"a weight with four digits":            {[]string{"application/json;q=0.0001, text/plain;q=0.9"}, json, false},
		"a weight that is not a number":        {[]string{"application/json;q=NaN, text/plain;q=0.9"}, json, false},
		"a weight of 1.000":                    {[]string{"application/json;q=1.000, text/plain;q=0.9"}, json, false},
		"a comma inside quotes":                {[]string{`text/plain;x="a, application/json"`}, text, true},
		"an escaped quote inside quotes":       {[]string{`text/plain;x="\", application/json"`}, text, true},
		"quotes that never end":                {[]string{`text/plain;x=", application/json`}, text, true},
		"commas and nothing else":              {[]string{",,;,q=1,;q=0"}, text, true},
		"a type without a slash":               {[]string{"json, *"}, text, true},
		"half a wildcard":                      {[]string{"*/json"}, text, true},
	} {
		t.Run(name, func(t *testing.T) {
			if got := prefersText(tt.accept); got != tt.prefers {
				t.Errorf("prefersText: got %t", got)
			}
			if got := !prefersJSON(tt.accept); got != tt.upcheckTxt {
				t.Errorf("upcheck in text: got %t", got)
			}
		})
	}
}

func TestGzipIsNegotiated(t *testing.T) {
	for name, tt := range map[string]struct {
		header []string
		want   bool
	}{
		"no header":           {nil, false},
		"gzip":                {[]string{"gzip"}, true},
		"among others":        {[]string{"br, GZIP;q=0.5, deflate"}, true},
		"in a second header":  {[]string{"br", "gzip"}, true},
		"anything":            {[]string{"*"}, true},
		"refused":             {[]string{"gzip;q=0"}, false},
		"refused among all":   {[]string{"*, gzip;q=0"}, false},
		"everything refused":  {[]string{"*;q=0"}, false},
		"something else":      {[]string{"identity, br"}, false},
		"a longer name":       {[]string{"gzipped"}, false},
		"the name before 1.1": {[]string{"x-gzip"}, true},
		"less than none":      {[]string{"identity, gzip;q=0.5"}, false},
		"less than any other": {[]string{"gzip;q=0.5, *"}, false},
		"more than none":      {[]string{"gzip, identity;q=0.5, *;q=0"}, true},
		"as much as none":     {[]string{"identity;q=0.5, gzip;q=0.5"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			if got := acceptsGzip(tt.header); got != tt.want {
				t.Errorf("got %t", got)
			}
		})
	}
}

// FuzzAccept: whatever else a client sends, naming JSON at full weight in a
// header of its own gets JSON, and naming only text gets text.
func FuzzAccept(f *testing.F) {
	for _, s := range []string{"", "*/*", `text/plain;x="a,b";q=0.5`, "application/json;q=0", ",;=\"\\"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if prefersText([]string{s, "application/json"}) || prefersText([]string{"application/json," + s}) {
			t.Errorf("%q: JSON asked for, text given", s)
		}
		if q := quality([]string{s}, "text", "plain"); q < 0 || q > 1000 {
			t.Errorf("%q: weight %d", s, q)
		}
		if !strings.Contains(s, "*") && !strings.Contains(strings.ToLower(s), "json") && !prefersText([]string{s}) {
			t.Errorf("%q: JSON without being asked for", s)
		}
		acceptsGzip([]string{s})
	})
}
