package slashing_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/secure-signer/secure-signer/bls"
	"github.com/secure-signer/secure-signer/eth2"
	"github.com/secure-signer/secure-signer/record"
	"github.com/secure-signer/secure-signer/record/memory"
	"github.com/secure-signer/secure-signer/slashing"
)

// metadata is the member that a valid interchange for chain() has.
func metadata() string {
	return fmt.Sprintf(`"metadata":{"interchange_format_version":"5","genesis_validators_root":"%v"}`, chain().GenesisValidatorsRoot)
}

// entry is one element of data. Blocks and votes are JSON objects.
func entry(pub bls.PublicKey, blocks, votes string) string {
	return fmt.Sprintf(`{"pubkey":"%v","signed_blocks":[%s],"signed_attestations":[%s]}`, pub, blocks, votes)
}

func file(entries ...string) string {
	return "{" + metadata() + `,"data":[` + strings.Join(entries, ",") + "]}"
}

func importFile(g *slashing.Guard, text string) (slashing.Imported, error) {
	return g.Import(context.Background(), strings.NewReader(text), nil)
}

func TestImportRaisesFloorsToTheGreatestNumbers(t *testing.T) {
	slot := func(s eth2.Slot) slashing.Floors { return floorSlot(s) }
	both := func(s eth2.Slot, source, target eth2.Epoch) slashing.Floors {
		f := floorVote(source, target)
		f.HasSlot, f.Slot = true, s
		return f
	}
	const (
		block5  = `{"slot":"5"}`
		block7  = `{"slot":"7","signing_root":"0x0000000000000000000000000000000000000000000000000000000000000007"}`
		vote2_9 = `{"source_epoch":"2","target_epoch":"9"}`
		vote3_8 = `{"source_epoch":"3","target_epoch":"8","signing_root":null}`
	)
	upper := "0X" + strings.ToUpper(key(0).String()[2:])
	for _, tt := range []struct {
		name, text string
		want       slashing.Floors
	}{
		{"a key that signed nothing", file(entry(key(0), "", "")), slashing.Floors{}},
		{"blocks in any order", file(entry(key(0), block7+","+block5, "")), slot(7)},
		{"source and target each for itself", file(entry(key(0), "", vote2_9+","+vote3_8)), floorVote(3, 9)},
		{"slot and epochs of 0", file(entry(key(0), `{"slot":"0"}`, `{"source_epoch":"0","target_epoch":"0"}`)), both(0, 0, 0)},
		{"a source after its target", file(entry(key(0), "", `{"source_epoch":"5","target_epoch":"2"}`)), floorVote(5, 2)},
		{"a source after its target beside a vote", file(entry(key(0), "", `{"source_epoch":"5","target_epoch":"2"},{"source_epoch":"6","target_epoch":"7"}`)), floorVote(6, 7)},
		{"the greatest numbers there are", file(entry(key(0), `{"slot":"18446744073709551615"}`, `{"source_epoch":"18446744073709551614","target_epoch":"18446744073709551615"}`)), both(maxUint64, maxUint64-1, maxUint64)},
		{"JSON numbers", file(entry(key(0), `{"slot":18446744073709551615}`, `{"source_epoch":2,"target_epoch":9}`)), both(maxUint64, 2, 9)},
		{"a key that comes twice", file(entry(key(0), block7, vote3_8), entry(key(0), block5, vote2_9)), both(7, 3, 9)},
		{"a key that comes twice in other spellings", file(entry(key(0), block7, ""), strings.Replace(entry(key(0), block5, vote2_9), key(0).String(), upper, 1)), both(7, 2, 9)},
		{"a key without 0x", file(strings.Replace(entry(key(0), block7, ""), "0x", "", 1)), slot(7)},
		{"metadata that come last", `{"data":[` + entry(key(0), block7, "") + `],` + metadata() + `}`, slot(7)},
		{"a public key that comes last", file(`{"signed_attestations":[` + vote2_9 + `],"signed_blocks":[` + block7 + `],"pubkey":"` + key(0).String() + `"}`), both(7, 2, 9)},
		{"members that are unknown", strings.Replace(file(`{"note":[{"slot":"99"}],"pubkey":"`+key(0).String()+`","signed_blocks":[{"slot":"5","note":{"slot":"99"}}],"signed_attestations":[]}`), `"data"`, `"note":{"data":[1,[2,{}]]},"data"`, 1), slot(5)},
		{"white space", strings.NewReplacer("{", " {\n\t", ",", "\r\n,").Replace(file(entry(key(0), block7, ""))) + "\n", slot(7)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			g, _ := newGuard(t, 1)
			imported, err := importFile(g, tt.text)
			if err != nil {
				t.Fatal(err)
			}
			if !maps.Equal(imported, slashing.Imported{key(0): nil}) {
				t.Errorf("imported %v", imported)
			}
			if got := watermarks(t, g, key(0)); got != tt.want {
				t.Errorf("watermarks %+v, want %+v", got, tt.want)
			}
			// Whatever the order and spelling, a second time and an older file
			// after it change nothing.
			if _, err := importFile(g, tt.text); err != nil {
				t.Error(err)
			}
			if _, err := importFile(g, file(entry(key(0), "", ""))); err != nil {
				t.Error(err)
			}
			if got := watermarks(t, g, key(0)); got != tt.want {
				t.Errorf("after more imports: watermarks %+v, want %+v", got, tt.want)
			}
		})
	}
}

func TestImportAppliesNothingOfAnInvalidFile(t *testing.T) {
	const good = `{"slot":"7"}`
	valid := entry(key(0), good, "")
	other := eth2.Root{1}
	for _, tt := range []struct {
		name, text string
		want       string // what the error tells
	}{
		{"nothing", ``, "interchange: it is empty"},
		{"another value than an object", `[]`, "interchange: an object is expected here"},
		{"null", `null`, "an object is expected"},
		{"no metadata", `{"data":[` + valid + `]}`, "metadata is missing"},
		{"metadata that are null", `{"metadata":null,"data":[` + valid + `]}`, "interchange_format_version is missing"},
		{"no data", `{` + metadata() + `}`, "data is missing"},
		{"data that are null", `{` + metadata() + `,"data":null}`, "an array is expected"},
		{"format version 4", strings.Replace(file(valid), `"5"`, `"4"`, 1), `interchange_format_version is "4"`},
		{"a format version that comes last", `{"data":[` + valid + `],` + strings.Replace(metadata(), `"5"`, `"6"`, 1) + `}`, `interchange_format_version is "6"`},
		{"no genesis root", strings.Replace(file(valid), `genesis_validators_root`, `genesis`, 1), "genesis_validators_root is missing"},
		{"another chain", strings.Replace(file(valid), chain().GenesisValidatorsRoot.String(), other.String(), 1), other.String() + ", this signer's chain has " + chain().GenesisValidatorsRoot.String()},
		{"a genesis root of another length", strings.Replace(file(valid), chain().GenesisValidatorsRoot.String(), "0x01", 1), "hex digits"},
		{"a key without pubkey", file(valid, `{"signed_blocks":[],"signed_attestations":[]}`), "/data/1: pubkey is missing"},
		{"a pubkey that is null", file(valid, `{"pubkey":null,"signed_blocks":[],"signed_attestations":[]}`), "pubkey is missing"},
		{"a pubkey of another length", file(valid, `{"pubkey":"0x0102","signed_blocks":[],"signed_attestations":[]}`), "/data/1/pubkey"},
		{"a pubkey that is not hex", file(valid, strings.Replace(entry(key(0), "", ""), "a0", "zz", 1)), "not hexadecimal"},
		{"a key without blocks", file(valid, `{"pubkey":"`+key(1).String()+`","signed_attestations":[]}`), "signed_blocks is missing"},
		{"a key without attestations", file(valid, `{"pubkey":"`+key(1).String()+`","signed_blocks":[]}`), "signed_attestations is missing"},
		{"blocks that are null", file(valid, `{"pubkey":"`+key(1).String()+`","signed_blocks":null,"signed_attestations":[]}`), "an array is expected"},
		{"a block that is a list", file(valid, entry(key(1), "[]", "")), "/data/1/signed_blocks/0: a JSON [ is not expected here"},
		{"a block that is null", file(valid, entry(key(1), "null", "")), "slot is missing"},
		{"a block without a slot", file(valid, entry(key(1), `{"signing_root":null}`, "")), "slot is missing"},
		{"a vote without a source", file(valid, entry(key(1), "", `{"target_epoch":"1"}`)), "source_epoch or target_epoch is missing"},
		{"a vote without a target", file(valid, entry(key(1), "", `{"source_epoch":"1"}`)), "source_epoch or target_epoch is missing"},
		{"a negative slot", file(valid, entry(key(1), `{"slot":"-1"}`, "")), "/data/1/signed_blocks/0/slot: not a decimal number"},
		{"a slot with an exponent", file(valid, entry(key(1), `{"slot":1e3}`, "")), "not a decimal number"},
		{"a slot in hex", file(valid, entry(key(1), `{"slot":"0x10"}`, "")), "not a decimal number"},
		{"an empty slot", file(valid, entry(key(1), `{"slot":""}`, "")), "not a decimal number"},
		{"a slot above 2^64", file(valid, entry(key(1), `{"slot":"18446744073709551616"}`, "")), "more than a uint64"},
		{"a signing root of another length", file(valid, entry(key(1), `{"slot":"1","signing_root":"0x00"}`, "")), "hex digits"},
		{"a signing root that is a number", file(valid, entry(key(1), `{"slot":"1","signing_root":1}`, "")), "/data/1/signed_blocks/0/signing_root"},
		{"a member that comes twice", `{` + metadata() + `,` + metadata() + `,"data":[` + valid + `]}`, "duplicate"},
		{"data that come twice", `{` + metadata() + `,"data":[` + valid + `],"data":[]}`, "duplicate"},
		{"a slot that comes twice", file(valid, entry(key(1), `{"slot":"1","slot":"2"}`, "")), "duplicate"},
		{"a slot that comes twice in disguise", file(valid, entry(key(1), `{"slot":"1","\u0073lot":"2"}`, "")), "duplicate"},
		{"a pubkey that comes twice", file(valid, strings.Replace(valid, "{", `{"pubkey":"`+key(1).String()+`",`, 1)), "duplicate"},
		{"a file cut off", strings.TrimSuffix(file(valid), "]}"), "EOF"},
		{"a second value after the first", file(valid) + "{}", "more follows"},
		{"rubbish after the end", file(valid) + "x", "more follows"},
		{"invalid UTF-8", strings.Replace(file(valid), `"data"`, "\"\xff\":1,\"data\"", 1), "UTF-8"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			g, _ := newGuard(t, 0)
			imported, err := importFile(g, tt.text)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want one that tells %q", err, tt.want)
			}
			foreign := tt.name == "another chain"
			if errors.Is(err, slashing.ErrInterchange) == foreign || errors.Is(err, eth2.ErrForeignChain) != foreign {
				t.Errorf("error %v is of the wrong kind", err)
			}
			if imported != nil {
				t.Errorf("imported %v", imported)
			}
			if _, err := g.State(context.Background(), key(0)); !errors.Is(err, slashing.ErrNoRecord) {
				t.Errorf("the key of the valid part has a record (%v)", err)
			}
		})
	}
}

func TestImportBoundsAHostileFile(t *testing.T) {
	repeated := func(head, part, tail string, n int) io.Reader {
		return io.MultiReader(strings.NewReader(head), &repeating{part: part, n: n}, strings.NewReader(tail))
	}
	const many = 50 << 20
	for _, tt := range []struct {
		name string
		file io.Reader
		want string
	}{
		{"a string without end", repeated(`{"note":"`, "x", "", many), "a value of more than"},
		{"a name without end", repeated(`{"`, "x", "", many), "a value of more than"},
		{"a number without end", repeated(`{"note":1`, "0", "", many), "a value of more than"},
		{"names that an error would quote", repeated(`{"note":`, `{"`+strings.Repeat("x", 3_000)+`":`, "", many), "levels deep"},
		{"white space without end", repeated(`{`, " ", "", many), "a value of more than"},
		{"white space in an array without end", repeated(`{"data":[`, " ", "", many), "a value of more than"},
		{"arrays without end", repeated(`{"note":`, "[", "", many), "levels deep"},
		{"objects without end", repeated(`{"note":`, `{"":`, "", many), "levels deep"},
		{"members without end", &repeating{head: "{", part: `"%d":0,`, n: many}, "members"},
		{"members of a block without end", &repeating{head: `{"data":[{"signed_blocks":[{`, part: `"%d":0,`, n: many}, "a value of more than"},
		{"a block that is deep", repeated(`{"data":[{"signed_blocks":[{"note":`, "[", "", many), "a value of more than"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			g, _ := newGuard(t, 0)
			counted := &countingReader{r: tt.file}
			_, err := g.Import(context.Background(), counted, nil)
			if !errors.Is(err, slashing.ErrInterchange) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %.200v, want one that tells %q", err, tt.want)
			}
			if len(err.Error()) > 1<<10 {
				t.Errorf("an error text of %d bytes", len(err.Error()))
			}
			if counted.n > 1<<20 {
				t.Errorf("read %d bytes before it gave up", counted.n)
			}
		})
	}
}

func TestImportBoundsTheNumberOfKeys(t *testing.T) {
	if testing.Short() {
		t.Skip("half a million keys take some seconds")
	}
	g, _ := newGuard(t, 0)
	endless := &repeating{head: "{" + metadata() + `,"data":[`, part: `{"pubkey":"%096x","signed_blocks":[],"signed_attestations":[]},`, n: maxUint64 >> 1}
	if _, err := g.Import(context.Background(), endless, nil); !errors.Is(err, slashing.ErrInterchange) || !strings.Contains(err.Error(), "more than 524288 keys") {
		t.Errorf("error %v", err)
	}
}

// repeating is head and then n times part, which may count itself.
type repeating struct {
	head, part string
	n, i       int
	rest       string
}

func (r *repeating) Read(p []byte) (int, error) {
	if r.rest == "" {
		r.rest, r.head = r.head, ""
	}
	for len(r.rest) < len(p) && r.i < r.n {
		part := r.part
		if strings.Contains(part, "%") {
			part = fmt.Sprintf(part, r.i)
		}
		r.rest += part
		r.i++
	}
	if r.rest == "" {
		return 0, io.EOF
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

type countingReader struct {
	r io.Reader
	n int
}

func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += n
	return n, err
}

func TestImportTellsAReadErrorFromAFormatError(t *testing.T) {
	g, _ := newGuard(t, 0)
	broken := errors.New("connection reset")
	text := file(entry(key(0), "", ""))
	for n := range text {
		r := io.MultiReader(strings.NewReader(text[:n]), iotest.ErrReader(broken))
		if _, err := g.Import(context.Background(), r, nil); !errors.Is(err, broken) || errors.Is(err, slashing.ErrInterchange) {
			t.Fatalf("after %d bytes: error %v", n, err)
		}
	}
	if _, err := g.Import(context.Background(), iotest.OneByteReader(strings.NewReader(text)), nil); err != nil {
		t.Errorf("byte by byte: %v", err)
	}
}

func TestImportOnlyWhatIsWanted(t *testing.T) {
	g, _ := newGuard(t, 0)
	text := file(entry(key(1), "", ""), entry(key(2), "", ""), entry(key(1), "", ""))
	imported, err := g.Import(context.Background(), strings.NewReader(text), func(pub bls.PublicKey) bool { return pub == key(1) })
	if err != nil || !maps.Equal(imported, slashing.Imported{key(1): nil}) {
		t.Errorf("imported %v (%v)", imported, err)
	}
	if _, err := g.State(context.Background(), key(2)); !errors.Is(err, slashing.ErrNoRecord) {
		t.Errorf("a key that is not wanted has a record (%v)", err)
	}
}

func TestImportedHistoryAloneLetsNoKeySign(t *testing.T) {
	ctx := context.Background()
	g := slashing.New(memory.New(), slashing.Config{Network: chain(), Now: at(800), MaxFutureEpochs: 1})
	if _, err := importFile(g, file(entry(key(0), `{"slot":"7"}`, ""))); err != nil {
		t.Fatal(err)
	}
	if got := reasonOf(t, block(8, 1).record(g, key(0))); got != "key_disabled" {
		t.Errorf("before Enroll: reason %q, want key_disabled", got)
	}
	if err := g.Enroll(ctx, key(0), slashing.WithHistory); err != nil {
		t.Fatal(err)
	}
	if got := reasonOf(t, block(7, 1).record(g, key(0))); got != "below_floor" {
		t.Errorf("what was imported: reason %q, want below_floor", got)
	}
	if err := block(8, 1).record(g, key(0)); err != nil {
		t.Errorf("a key with history needs no floor from the clock: %v", err)
	}
	if _, err := importFile(g, file(entry(key(0), `{"slot":"6"}`, ""))); err != nil {
		t.Fatal(err)
	}
	if err := block(8, 1).record(g, key(0)); err != nil {
		t.Errorf("an older import stands in the way of a retry: %v", err)
	}
	if err := g.Disable(ctx, key(0)); err != nil {
		t.Fatal(err)
	}
	if _, err := importFile(g, file(entry(key(0), `{"slot":"9"}`, ""))); err != nil {
		t.Fatal(err)
	}
	if got := reasonOf(t, block(10, 1).record(g, key(0))); got != "key_disabled" {
		t.Errorf("an import enabled a deleted key: reason %q", got)
	}
}

func TestImportOfTheRootThatWasSignedElsewhereIsNoLicence(t *testing.T) {
	g, _ := newGuard(t, 1)
	text := file(entry(key(0), `{"slot":"7","signing_root":"`+root(1).String()+`"}`, ""))
	if _, err := importFile(g, text); err != nil {
		t.Fatal(err)
	}
	if got := reasonOf(t, block(7, 1).record(g, key(0))); got != "below_floor" {
		t.Errorf("reason %q, want below_floor", got)
	}
}

// refusing is a store that cannot write one key.
type refusing struct {
	record.Store
	key record.Key
}

func (r refusing) Create(ctx context.Context, key record.Key, value []byte) error {
	if key == r.key {
		return record.ErrUnavailable
	}
	return r.Store.Create(ctx, key, value)
}

func TestImportGoesOnWhereOneKeyFails(t *testing.T) {
	store := refusing{memory.New(), recordKey(timeless(), key(2))}
	g := slashing.New(store, slashing.Config{Network: timeless()})
	imported, err := importFile(g, file(entry(key(1), `{"slot":"1"}`, ""), entry(key(2), `{"slot":"2"}`, ""), entry(key(3), `{"slot":"3"}`, "")))
	if !errors.Is(err, record.ErrUnavailable) || !strings.Contains(err.Error(), "1 of 3 keys") || !strings.Contains(err.Error(), key(2).String()) {
		t.Errorf("error %v", err)
	}
	if len(imported) != 3 || imported[key(1)] != nil || !errors.Is(imported[key(2)], record.ErrUnavailable) || imported[key(3)] != nil {
		t.Errorf("imported %v", imported)
	}
	if got := watermarks(t, g, key(3)); got != floorSlot(3) {
		t.Errorf("the key after the one that failed: watermarks %+v", got)
	}
}
