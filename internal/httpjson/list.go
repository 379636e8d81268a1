package httpjson

import (
	"iter"
	"net/http"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// WriteList answers 200 with {"name": […]}, one element after the other: a list
// of 100,000 keys is never in memory as a whole. An error among the elements cuts
// the answer and its connection off, so that no client takes a part for the whole.
func WriteList[T any](w http.ResponseWriter, name string, elements iter.Seq2[T, error]) {
	w.Header().Set("Content-Type", "application/json")
	out := jsontext.NewEncoder(w, jsontext.AllowInvalidUTF8(true))
	write := func(err error) { // the list's, or the client has gone
		if err != nil {
			panic(http.ErrAbortHandler)
		}
	}
	write(out.WriteToken(jsontext.BeginObject))
	write(out.WriteToken(jsontext.String(name)))
	write(out.WriteToken(jsontext.BeginArray))
	for element, err := range elements {
		write(err)
		write(json.MarshalEncode(out, element))
	}
	write(out.WriteToken(jsontext.EndArray))
	write(out.WriteToken(jsontext.EndObject))
}
