// Package mnemonic derives validators' keys from words that a person has written
// down, as the deposit tools do.
//
// A mnemonic is 12 to 24 words of the English list, the last of which holds a
// checksum (BIP-39). Its seed, under a passphrase that may be empty, is the root of a
// tree of keys (EIP-2333), in which validator i signs with m/12381/3600/i/0/0
// (EIP-2334). The same words give the same keys in every tool that keeps to these.
//
// Not guaranteed: that the words are the right ones. Only 1 of 256 wrong guesses of
// 24 words fits the checksum, but any passphrase opens a tree. And words and
// passphrase, as Go strings, stay in memory until it is reused: this belongs on the
// operator's machine, and not into the signer.
package mnemonic

import (
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	bip39 "github.com/cosmos/go-bip39"
	"golang.org/x/text/unicode/norm"
)

// A Mnemonic is words with a checksum that fits. It prints as REDACTED whatever the
// verb. The zero Mnemonic has no words and derives no keys.
type Mnemonic struct{ words []string }

// wordBits is what one of 2048 words holds.
const wordBits = 11

// New draws 256 bits from the system's randomness: 24 words.
func New() Mnemonic {
	bits := make([]byte, sha256.Size+1)
	defer clear(bits)
	rand.Read(bits[:sha256.Size]) // never fails: it would crash the process
	sum := sha256.Sum256(bits[:sha256.Size])
	bits[sha256.Size] = sum[0]
	m := Mnemonic{make([]string, len(bits)*8/wordBits)}
	for i := range m.words {
		var index int
		for bit := i * wordBits; bit < (i+1)*wordBits; bit++ {
			index = index<<1 | int(bits[bit/8]>>(7-bit%8)&1)
		}
		m.words[i] = bip39.EnglishWordList[index]
	}
	return m
}

// Parse reads words between white space, in upper or lower case, whole or by the four
// letters that tell each from all others. Its errors say what is wrong, and name words
// by their position: a word itself is a secret.
func Parse(text string) (Mnemonic, error) {
	words := strings.Fields(strings.ToLower(text))
	switch len(words) {
	case 12, 15, 18, 21, 24:
	default:
		return Mnemonic{}, fmt.Errorf("there are %d words: want 12, 15, 18, 21 or 24", len(words))
	}
	bits := make([]byte, (len(words)*wordBits+7)/8)
	defer clear(bits)
	var unknown []string
	for i, word := range words {
		index, found := find(word)
		if !found {
			unknown = append(unknown, fmt.Sprint(i+1))
			continue
		}
		words[i] = bip39.EnglishWordList[index]
		for b := range wordBits {
			at := i*wordBits + b
			bits[at/8] |= byte(index>>(wordBits-1-b)&1) << (7 - at%8)
		}
	}
	if unknown != nil {
		return Mnemonic{}, fmt.Errorf("not in the English list of BIP-39: word number %s: check the spelling", strings.Join(unknown, ", "))
	}
	entropy := bits[:len(words)*4/3]
	sum := sha256.Sum256(entropy)
	if unused := 8 - len(words)/3; sum[0]>>unused != bits[len(entropy)]>>unused {
		return Mnemonic{}, errors.New("every word is in the list, but the checksum in the last one does not fit: a word is not the one that was written down, or two have changed places")
	}
	return Mnemonic{words}, nil
}

// unique is how many letters tell a word from all others. Source: BIP-39, "Wordlist".
const unique = 4

// find returns the place of a word in the list.
func find(word string) (index int, found bool) {
	index, found = slices.BinarySearch(bip39.EnglishWordList, word)
	if !found && len(word) == unique && index < len(bip39.EnglishWordList) {
		found = strings.HasPrefix(bip39.EnglishWordList[index], word)
	}
	return index, found
}

// Words returns the words, to be shown to whoever writes them down.
func (m Mnemonic) Words() []string { return slices.Clone(m.words) }

// seed is the root of the tree, which the caller wipes. Source: BIP-39, "From mnemonic
// to seed".
func (m Mnemonic) seed(passphrase string) ([]byte, error) {
	const rounds = 2048
	if len(m.words) == 0 {
		return nil, errors.New("the mnemonic has no words")
	}
	return pbkdf2.Key(sha512.New, strings.Join(m.words, " "), norm.NFKD.AppendString([]byte("mnemonic"), passphrase), rounds, sha512.Size)
}

const redacted = "mnemonic.Mnemonic(REDACTED)"

// Format prints REDACTED for every verb and flag.
func (Mnemonic) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }
