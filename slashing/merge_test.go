package slashing_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/secure-signer/secure-signer/bls"
	"github.com/secure-signer/secure-signer/eth2"
	"github.com/secure-signer/secure-signer/record/memory"
	"github.com/secure-signer/secure-signer/slashing"
)

// A spelling writes one interchange in one of the ways that mean the same.
type spelling struct{ t *rapid.T }

func (s spelling) number(n uint64) string {
	return rapid.SampledFrom([]string{fmt.Sprint(n), fmt.Sprintf(`"%d"`, n)}).Draw(s.t, "number")
}

func (s spelling) pubkey(pub bls.PublicKey) string {
	digits := pub.String()[2:]
	return rapid.SampledFrom([]string{"0x" + digits, digits, "0X" + strings.ToUpper(digits), strings.ToUpper(digits)}).Draw(s.t, "pubkey")
}

// object writes members in any order, with unknown ones among them.
func (s spelling) object(members ...string) string {
	members = append(members, rapid.SampledFrom([]string{`"x":[{"slot":"9"},null]`, `"y":{"pubkey":"0x","data":[[]]}`, `"signing_root":null`}).Draw(s.t, "unknown"))
	return "{" + strings.Join(rapid.Permutation(members).Draw(s.t, "order"), ",") + "}"
}

func (s spelling) key(pub bls.PublicKey, signed []message) string {
	var blocks, votes []string
	for _, m := range signed {
		if m.vote {
			votes = append(votes, s.object(`"source_epoch":`+s.number(uint64(m.source)), `"target_epoch":`+s.number(uint64(m.target))))
		} else {
			blocks = append(blocks, s.object(`"slot":`+s.number(uint64(m.slot))))
		}
	}
	return s.object(
		`"pubkey":"`+s.pubkey(pub)+`"`,
		`"signed_blocks":[`+strings.Join(blocks, ",")+`]`,
		`"signed_attestations":[`+strings.Join(votes, ",")+`]`)
}

// Any number of files, in any spelling and order, raise each key to the greatest
// numbers in all of them.
func TestImportsMergeToTheGreatestNumbers(t *testing.T) {
	anyMessage := rapid.Custom(func(t *rapid.T) message {
		if rapid.Bool().Draw(t, "vote") {
			return vote(eth2.Epoch(rapid.Uint64().Draw(t, "source")), eth2.Epoch(rapid.Uint64().Draw(t, "target")), 0)
		}
		return block(eth2.Slot(rapid.Uint64().Draw(t, "slot")), 0)
	})
	rapid.Check(t, func(t *rapid.T) {
		g := slashing.New(memory.New(), slashing.Config{Network: timeless()})
		want := map[bls.PublicKey]slashing.Floors{}
		for range rapid.IntRange(1, 3).Draw(t, "files") {
			s := spelling{t}
			named := slashing.Imported{}
			var entries []string
			for range rapid.IntRange(0, 4).Draw(t, "entries") {
				pub := key(rapid.ByteMax(2).Draw(t, "key"))
				signed := rapid.SliceOfN(anyMessage, 0, 5).Draw(t, "signed")
				entries = append(entries, s.key(pub, signed))
				named[pub] = nil
				f := want[pub]
				for _, m := range signed {
					if m.vote {
						f.HasSource, f.Source = true, max(f.Source, m.source)
						f.HasTarget, f.Target = true, max(f.Target, m.target)
					} else {
						f.HasSlot, f.Slot = true, max(f.Slot, m.slot)
					}
				}
				want[pub] = f
			}
			text := s.object(metadata(), `"data":[`+strings.Join(entries, ",")+`]`)
			imported, err := importFile(g, text)
			if err != nil || !maps.Equal(imported, named) {
				t.Fatalf("%s\nimported %v (%v), want %v", text, imported, err, named)
			}
		}
		for pub, want := range want {
			s, err := g.State(context.Background(), pub)
			if err != nil || s.Watermarks() != want {
				t.Errorf("%v: watermarks %+v (%v), want %+v", pub, s.Watermarks(), err, want)
			}
		}
	})
}

// FuzzImport checks that no file makes the reader panic, that what it refuses has
// changed nothing, and that what it accepts has lowered nothing and allows nothing
// that was refused before.
func FuzzImport(f *testing.F) {
	f.Add([]byte(file()))
	f.Add([]byte(file(entry(key(0), `{"slot":"5"},{"slot":6,"signing_root":null}`, `{"source_epoch":"5","target_epoch":"2"}`))))
	f.Add([]byte(file(entry(key(0), `{"slot":"18446744073709551615"}`, ""), entry(key(1), "", `{"source_epoch":"1","target_epoch":"2","signing_root":"`+root(1).String()+`"}`))))
	f.Add([]byte(`{"data":[` + entry(key(1), "", "") + `],"x":{"y":[[{}]]},` + metadata() + `}`))
	f.Add([]byte(strings.Replace(file(), `"5"`, `"4"`, 1)))
	f.Add([]byte(strings.Replace(file(), "aa", "bb", 1)))
	f.Add([]byte(`{"data":[{"signed_blocks":[{"slot":"1","slot":"2"}]}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		ctx := context.Background()
		g, _ := newGuard(t, 1)
		for _, m := range []message{block(7, 1), vote(3, 5, 1)} {
			if err := m.record(g, key(0)); err != nil {
				t.Fatal(err)
			}
		}
		before, _ := g.State(ctx, key(0))
		all := export(t, g, nil)

		imported, err := g.Import(ctx, bytes.NewReader(text), nil)
		after, stateErr := g.State(ctx, key(0))
		if stateErr != nil {
			t.Fatal(stateErr)
		}
		if err != nil {
			if !errors.Is(err, slashing.ErrInterchange) && !errors.Is(err, eth2.ErrForeignChain) {
				t.Errorf("error %v is of no known kind", err)
			}
			if now := export(t, g, nil); now != all || after != before || imported != nil {
				t.Errorf("a refused file (%v) changed %s to %s", err, all, now)
			}
			return
		}
		if raised := before.Raise(after.Watermarks()).Watermarks(); raised != after.Watermarks() {
			t.Errorf("watermarks %+v were lowered to %+v", before.Watermarks(), after.Watermarks())
		}
		for _, m := range []message{block(7, 2), block(6, 1), vote(3, 5, 2), vote(2, 6, 1), vote(3, 4, 1)} {
			if m.record(g, key(0)) == nil {
				t.Errorf("%v is signed after an import", m)
			}
		}
		for pub := range imported {
			if pub != key(0) && block(maxUint64, 9).record(g, pub) == nil {
				t.Errorf("%v signs without being enrolled", pub)
			}
		}
		if _, err := importFile(g, export(t, g, nil)); err != nil {
			t.Errorf("an export is not accepted: %v", err)
		}
	})
}
