package mnemonic

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"testing"

	bip39 "github.com/cosmos/go-bip39"
	"pgregory.net/rapid"
)

const (
	zeros = "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon about"
	// Both tools of the launchpad make the key below of it.
	deposited = "entire habit bottom mention spoil clown finger wheat motion fox axis mechanic " +
		"country make garment bar blind stadium sugar water scissors canyon often ketchup"
)

// TestTheListIsTheOneOfTheSpecification byte by byte: a word that differs would lose
// keys.
func TestTheListIsTheOneOfTheSpecification(t *testing.T) {
	sum := sha256.Sum256([]byte(strings.Join(bip39.EnglishWordList, "\n") + "\n"))
	if got := hex.EncodeToString(sum[:]); got != "2f5eed53a4727b4bf8880d8f3f199efc90e58503646d9ff8eff3a2ed3b24dbda" {
		t.Errorf("SHA-256 of bip-0039/english.txt is %s", got)
	}
	if !slices.IsSorted(bip39.EnglishWordList) {
		t.Error("it is not in order")
	}
	for i, word := range bip39.EnglishWordList {
		if len(word) < unique {
			continue
		}
		if index, found := find(word[:unique]); !found || index != i && bip39.EnglishWordList[index] != word[:unique] {
			t.Errorf("%.4s is number %d, %t, want %d", word, index, found, i)
		}
	}
}

// TestKnownSeeds are of the test vectors that BIP-39 names.
func TestKnownSeeds(t *testing.T) {
	for words, want := range map[string]string{
		zeros:                                  "c55257c360c07c72029aebc1b53c05ed0362ada38ead3e3e9efa3708e53495531f09a6987599d18264c1e1c92f2cf141630c7a3c4ab7c81b2f001698e7463b04",
		strings.Repeat("abandon ", 23) + "art": "bda85446c68413707090a52022edd26a1c9462295029f2e60cd7c4f2bbd3097170af7a4d73245cafa9c3cca8d561a7c3de6f5d4a10be8ed2a5e608d68f92fcc8",
		strings.Repeat("zoo ", 23) + "vote":    "dd48c104698c30cfe2b6142103248622fb7bb0ff692eebb00089b32d22484e1613912f0a5b694407be899ffd31ed3992c456cdf60f5d4564b8ba3f05a69890ad",
	} {
		m, err := Parse(words)
		if err != nil {
			t.Fatal(err)
		}
		seed, err := m.seed("TREZOR")
		if got := hex.EncodeToString(seed); err != nil || got != want {
			t.Errorf("seed of %q: %s, %v, want %s", words, got, err, want)
		}
	}
}

func TestTheSameKeysAsTheDepositTool(t *testing.T) {
	m, err := Parse(deposited)
	if err != nil {
		t.Fatal(err)
	}
	tree, err := m.Tree("")
	if err != nil {
		t.Fatal(err)
	}
	const want = "0x8666389c3fe6ff0bca9adba81504f380b9e2c719419760d561836472fafe295cb50696524e19cba084e1d788d66c80d6"
	if got := tree.Key(0).PublicKey().String(); got != want {
		t.Errorf("validator 0: %s, want %s", got, want)
	}
	if tree.Key(1).PublicKey() == tree.Key(0).PublicKey() {
		t.Error("validator 1 has the key of validator 0")
	}
	other, err := m.Tree("a passphrase")
	if err != nil {
		t.Fatal(err)
	}
	if other.Key(0).PublicKey() == tree.Key(0).PublicKey() {
		t.Error("the passphrase makes no difference")
	}
	if got := Path(7); got != "m/12381/3600/7/0/0" {
		t.Errorf("path: %s", got)
	}
}

func TestAPassphraseIsTheSameHoweverItIsTyped(t *testing.T) {
	m, err := Parse(zeros)
	if err != nil {
		t.Fatal(err)
	}
	composed, err := m.seed("caf\u00e9")
	if err != nil {
		t.Fatal(err)
	}
	combined, err := m.seed("cafe\u0301")
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(composed, combined) {
		t.Error("two ways to write é open two trees")
	}
}

// TestWhatIsDrawnIsReadBack and anything that an independent implementation writes.
func TestWhatIsDrawnIsReadBack(t *testing.T) {
	seen := map[string]bool{}
	for range 50 {
		m := New()
		text := strings.Join(m.Words(), " ")
		if len(m.Words()) != 24 || seen[text] || !bip39.IsMnemonicValid(text) {
			t.Fatalf("drawn: %d words, seen before: %t", len(m.Words()), seen[text])
		}
		seen[text] = true
		if again, err := Parse(text); err != nil || !slices.Equal(again.words, m.words) {
			t.Fatalf("%q: %v", text, err)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		size := 4 * rapid.IntRange(4, 8).Draw(t, "size")
		text, err := bip39.NewMnemonic(rapid.SliceOfN(rapid.Byte(), size, size).Draw(t, "entropy"))
		if err != nil {
			t.Fatal(err)
		}
		m, err := Parse(text)
		if err != nil || strings.Join(m.Words(), " ") != text {
			t.Fatalf("%q: %q, %v", text, m.Words(), err)
		}
		seed, err := m.seed("secret")
		if err != nil || !slices.Equal(seed, bip39.NewSeed(text, "secret")) {
			t.Fatalf("%q has another seed, %v", text, err)
		}
		words := m.Words()
		i := rapid.IntRange(0, len(words)-1).Draw(t, "word")
		words[i] = rapid.SampledFrom(bip39.EnglishWordList).Draw(t, "by")
		changed := strings.Join(words, " ")
		_, want := bip39.MnemonicToByteArray(changed)
		if _, err := Parse(changed); (err == nil) != (want == nil) {
			t.Fatalf("%q: %v, want %v", changed, err, want)
		}
	})
}

func TestWordsAreReadAsPeopleWriteThem(t *testing.T) {
	want, err := Parse(deposited)
	if err != nil {
		t.Fatal(err)
	}
	short := strings.Fields(deposited)
	for i, word := range short {
		short[i] = word[:min(len(word), unique)]
	}
	for name, text := range map[string]string{
		"in capitals":         strings.ToUpper(deposited),
		"a word on each line": "\n" + strings.ReplaceAll(deposited, " ", "\r\n") + "\n",
		"by four letters":     strings.Join(short, "  "),
	} {
		if m, err := Parse(text); err != nil || !slices.Equal(m.words, want.words) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestWhatIsWrongIsSaidAndNoWordIs(t *testing.T) {
	for name, tt := range map[string]struct{ text, want string }{
		"nothing":              {" \n", "there are 0 words"},
		"a word is missing":    {strings.TrimSuffix(deposited, " ketchup"), "there are 23 words: want 12, 15, 18, 21 or 24"},
		"two are misspelt":     {strings.NewReplacer("habit", "habitt", "often", "öften").Replace(deposited), "word number 2, 23: check the spelling"},
		"three letters":        {strings.Replace(deposited, "habit", "hab", 1), "word number 2: check"},
		"two changed places":   {strings.Replace(deposited, "entire habit", "habit entire", 1), "the checksum in the last one does not fit"},
		"another checksum":     {strings.Replace(zeros, "about", "abandon", 1), "the checksum in the last one does not fit"},
		"the last of all zoos": {strings.Repeat("zzzz ", 12), "1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12: check"},
	} {
		m, err := Parse(tt.text)
		if err == nil || !strings.Contains(err.Error(), tt.want) || m.words != nil {
			t.Errorf("%s: %v, want %q", name, err, tt.want)
			continue
		}
		for _, word := range []string{"habit", "hab ", "often", "zzzz"} {
			if strings.Contains(err.Error(), word) {
				t.Errorf("%s: the error tells %q", name, word)
			}
		}
	}
	if _, err := (Mnemonic{}).Tree(""); err == nil {
		t.Error("no words have keys")
	}
}

func TestAMnemonicDoesNotPrint(t *testing.T) {
	m := New()
	for _, format := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		for _, v := range []any{m, &m} {
			if got := fmt.Sprintf(format, v); got != redacted {
				t.Errorf("%s: %s", format, got)
			}
		}
	}
}
