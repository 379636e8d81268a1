package keystore

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"unicode"
)

// TestParseRefuses changes one thing in an official vector. Each error names the
// member at fault.
func TestParseRefuses(t *testing.T) {
	scryptParams := `"dklen": 32, "n": 262144, "p": 1, "r": 8`
	pbkdf2Params := `"dklen": 32, "c": 262144, "prf": "hmac-sha256"`
	salt := `"d4e56740f876aef8c010b86a40d5f56745a118d0906a34e69aec8c0db1cb8fa3"`
	iv := `"264daa3f303d7259501c93d997d84fe6"`
	tests := []struct {
		name, vector, old, new, want string
	}{
		{"no version", scryptVector, `"version": 4`, `"version_": 4`, "version: 0"},
		{"version 3", scryptVector, `"version": 4`, `"version": 3`, "version: 3"},
		{"version 4 as a string", scryptVector, `"version": 4`, `"version": "4"`, "/version"},
		{"version 4 as a fraction", scryptVector, `"version": 4`, `"version": 4.0`, "/version"},
		{"no crypto", scryptVector, `"crypto"`, `"Crypto"`, "crypto.kdf.function"},
		{"crypto of version 3", scryptVector, `"crypto": {`, `"crypto": [], "x": {`, "/crypto"},
		{"no kdf", scryptVector, `"kdf"`, `"kdf_"`, "crypto.kdf.function"},
		{"a null kdf", scryptVector, `"kdf": {`, `"kdf": null, "x": {`, "crypto.kdf.function"},
		{"an unknown kdf", scryptVector, `"scrypt"`, `"argon2id"`, "crypto.kdf.function"},
		{"a kdf in another case", scryptVector, `"scrypt"`, `"Scrypt"`, "crypto.kdf.function"},
		{"a kdf with a very long name", scryptVector, `"scrypt"`, `"` + strings.Repeat("s\\n", 9000) + `"`, "crypto.kdf.function"},
		{"no kdf.params", scryptVector, `"params": {
					"dklen"`, `"params_": {
					"dklen"`, "crypto.kdf.params.n"},
		{"null kdf.params", scryptVector, `"params": {
					"dklen"`, `"params": null, "x": {
					"dklen"`, "crypto.kdf.params.n"},
		{"kdf.params as a string", pbkdf2Vector, `"params": {
					"dklen"`, `"params": "", "x": {
					"dklen"`, "/crypto/kdf/params"},
		{"the other kdf's params", pbkdf2Vector, `"pbkdf2"`, `"scrypt"`, "crypto.kdf.params.n"},

		{"no dklen", scryptVector, `"dklen": 32, `, ``, "crypto.kdf.params.dklen: 0"},
		{"a negative dklen", scryptVector, `"dklen": 32`, `"dklen": -32`, "crypto.kdf.params.dklen: -32"},
		{"a dklen of 16", scryptVector, `"dklen": 32`, `"dklen": 16`, "crypto.kdf.params.dklen: 16"},
		{"a huge dklen", pbkdf2Vector, `"dklen": 32`, `"dklen": 4294967328`, "crypto.kdf.params.dklen"},
		{"a dklen beyond 64 bits", pbkdf2Vector, `"dklen": 32`, `"dklen": 18446744073709551648`, "/crypto/kdf/params/dklen"},

		{"n of 0", scryptVector, `"n": 262144`, `"n": 0`, "crypto.kdf.params.n: 0"},
		{"n of 1", scryptVector, `"n": 262144`, `"n": 1`, "crypto.kdf.params.n: 1"},
		{"a negative n", scryptVector, `"n": 262144`, `"n": -262144`, "crypto.kdf.params.n"},
		{"n of the least 64-bit number", scryptVector, `"n": 262144`, `"n": -9223372036854775808`, "crypto.kdf.params.n"},
		{"n that is no power of two", scryptVector, `"n": 262144`, `"n": 262143`, "crypto.kdf.params.n"},
		{"n one power too large", scryptVector, `"n": 262144`, `"n": 1048576`, "n=1048576 and r=8"},
		{"a huge n", scryptVector, `"n": 262144`, `"n": 4611686018427387904`, "crypto.kdf.params"},
		{"n as a string", scryptVector, `"n": 262144`, `"n": "262144"`, "/crypto/kdf/params/n"},
		{"n with an exponent", scryptVector, `"n": 262144`, `"n": 1e9`, "/crypto/kdf/params/n"},
		{"r of 0", scryptVector, `"r": 8`, `"r": 0`, "crypto.kdf.params.r: 0"},
		{"a negative r", scryptVector, `"r": 8`, `"r": -8`, "crypto.kdf.params.r"},
		{"r too large for a small n", scryptVector, scryptParams, `"dklen": 32, "n": 2, "p": 16, "r": 2097152`, "crypto.kdf.params.r"},
		{"n·r that overflows to little", scryptVector, scryptParams, `"dklen": 32, "n": 4294967296, "p": 1, "r": 4294967296`, "crypto.kdf.params.r"},
		{"128·n·r that overflows to 0", scryptVector, scryptParams, `"dklen": 32, "n": 4611686018427387904, "p": 1, "r": 1024`, "crypto.kdf.params"},
		{"p of 0", scryptVector, `"p": 1`, `"p": 0`, "crypto.kdf.params.p: 0"},
		{"a negative p", scryptVector, `"p": 1`, `"p": -1`, "crypto.kdf.params.p: -1"},
		{"p of 17", scryptVector, `"p": 1`, `"p": 17`, "crypto.kdf.params.p: 17"},
		{"c of 0", pbkdf2Vector, `"c": 262144`, `"c": 0`, "crypto.kdf.params.c: 0"},
		{"a negative c", pbkdf2Vector, `"c": 262144`, `"c": -1`, "crypto.kdf.params.c: -1"},
		{"c of ten million and one", pbkdf2Vector, `"c": 262144`, `"c": 10000001`, "crypto.kdf.params.c"},
		{"no prf", pbkdf2Vector, pbkdf2Params, `"dklen": 32, "c": 262144`, "crypto.kdf.params.prf"},
		{"another prf", pbkdf2Vector, `"hmac-sha256"`, `"hmac-sha512"`, "crypto.kdf.params.prf"},
		{"no salt", scryptVector, `"salt"`, `"salt_"`, "crypto.kdf.params.salt: 0 bytes"},
		{"an empty salt", scryptVector, salt, `""`, "crypto.kdf.params.salt: 0 bytes"},
		{"a salt of 257 bytes", scryptVector, salt, `"` + strings.Repeat("00", 257) + `"`, "crypto.kdf.params.salt: 257 bytes"},
		{"half a byte of salt", scryptVector, salt, `"d4e"`, "/crypto/kdf/params/salt"},
		{"a salt that is not hexadecimal", scryptVector, salt, `"salt"`, "/crypto/kdf/params/salt"},
		{"a salt as numbers", scryptVector, salt, `[1,2,3]`, "/crypto/kdf/params/salt"},

		{"no checksum", scryptVector, `"checksum"`, `"checksum_"`, "crypto.checksum.function"},
		{"another checksum", scryptVector, `"sha256"`, `"sha512"`, "crypto.checksum.function"},
		{"an empty checksum", scryptVector, `"d2217fe5f3e9a1e34581ef8a78f7c9928e436d36dacc5e846690a5581e8ea484"`, `""`, "crypto.checksum.message: 0 bytes"},
		{"a short checksum", scryptVector, `ea484"`, `ea48"`, "/crypto/checksum/message"},
		{"a shorter checksum", scryptVector, `8ea484"`, `8ea4"`, "crypto.checksum.message: 31 bytes"},
		{"no cipher", scryptVector, `"cipher"`, `"cipher_"`, "crypto.cipher.function"},
		{"another cipher", scryptVector, `"aes-128-ctr"`, `"aes-128-cbc"`, "crypto.cipher.function"},
		{"no cipher.params", scryptVector, `"params": {"iv"`, `"params_": {"iv"`, "crypto.cipher.params.iv: 0 bytes"},
		{"a short IV", scryptVector, iv, `"264daa3f303d7259501c93d997d84f"`, "crypto.cipher.params.iv: 15 bytes"},
		{"a long IV", scryptVector, iv, `"264daa3f303d7259501c93d997d84fe600"`, "crypto.cipher.params.iv: 17 bytes"},
		{"an IV with 0x", scryptVector, iv, `"0x264daa3f303d7259501c93d997d84fe6"`, "/crypto/cipher/params/iv"},
		{"no ciphertext", scryptVector, `"06ae90d55fe0a6e9c5c3bc5b170827b2e5cce3929ed3f116c2811e6366dfe20f"`, `""`, "crypto.cipher.message: 0 bytes"},
		{"a ciphertext of 31 bytes", scryptVector, `66dfe20f"`, `66dfe2"`, "crypto.cipher.message: 31 bytes"},
		{"a ciphertext of 33 bytes", scryptVector, `66dfe20f"`, `66dfe20f00"`, "crypto.cipher.message: 33 bytes"},

		{"a pubkey one digit short", scryptVector, vectorPubkey, vectorPubkey[1:], "pubkey"},
		{"a pubkey that is not hexadecimal", scryptVector, vectorPubkey, "zz" + vectorPubkey[2:], "pubkey"},
		{"a pubkey as a number", scryptVector, `"` + vectorPubkey + `"`, `12`, "/pubkey"},
		{"a path as an object", scryptVector, `"m/12381/60/3141592653/589793238"`, `{}`, "/path"},
		{"a member twice", scryptVector, `"version": 4`, `"version": 4, "version": 4`, "duplicate"},
		{"a member twice, once escaped", scryptVector, `"version": 4`, `"version": 4, "\u0076ersion": 4`, "duplicate"},
		{"a parameter twice", scryptVector, `"n": 262144`, `"n": 262144, "n": 2`, "duplicate"},
		{"an unknown member twice", scryptVector, `"version": 4`, `"version": 4, "x": {"y": 1, "y": 2}`, "duplicate"},
		{"depth of nine", scryptVector, `"version": 4`, `"version": 4, "x": ` + strings.Repeat("[", 8) + strings.Repeat("]", 8), "deep"},
		{"depth of thirty thousand", scryptVector, `"version": 4`, `"version": 4, "x": ` + strings.Repeat("[", 30000), "deep"},
		{"a cut", scryptVector, `"version": 4
	}`, `"version": 4`, "EOF"},
		{"something behind it", scryptVector, `"version": 4
	}`, `"version": 4
	} {}`, "after top-level value"},
		{"invalid UTF-8", scryptVector, `This`, "\xff", "UTF-8"},
		{"a comment", scryptVector, `"version": 4`, `"version": 4 // four`, "invalid character"},
		{"an array in its place", scryptVector, scryptVector, `[1]`, "the file holds no JSON object"},
		{"too many bytes", scryptVector, `"version": 4`, `"version": 4` + strings.Repeat(" ", MaxSize), "65536 bytes"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			text := strings.Replace(test.vector, test.old, test.new, 1)
			if text == test.vector {
				t.Fatal("the vector does not contain what was to be changed")
			}
			k, err := Parse([]byte(text))
			if k != nil || !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), test.want) {
				t.Fatalf("got %v, %v, want %v that names %q", k, err, ErrInvalid, test.want)
			}
			checkPrintable(t, err)
		})
	}
	for name, text := range map[string]string{
		"nothing": "", "a space": " ", "null": "null", "a number": "4", "an array": "[]", "a string": `"keystore"`,
		"an empty object": "{}", "a byte order mark": "\ufeff" + scryptVector, "zeros": strings.Repeat("\x00", 100),
	} {
		t.Run(name, func(t *testing.T) {
			if k, err := Parse([]byte(text)); k != nil || !errors.Is(err, ErrInvalid) {
				t.Errorf("got %v, %v, want %v", k, err, ErrInvalid)
			}
		})
	}
}

// checkPrintable refuses errors that would let a keystore's author write into
// the operator's log or terminal.
func checkPrintable(t *testing.T, err error) {
	t.Helper()
	text := err.Error()
	if len(text) > 1000 || strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) {
		t.Errorf("an error of %d bytes, or with control codes: %.300q", len(text), text)
	}
}

func TestParseAccepts(t *testing.T) {
	tests := []struct {
		name, vector, old, new string
	}{
		{"unknown members", scryptVector, `"version": 4`, `"version": 4, "name": "x", "extra": {"a": [1, {"b": null}]}`},
		{"the most memory", scryptVector, `"n": 262144`, `"n": 524288`},
		{"the most passes", scryptVector, `"p": 1`, `"p": 16`},
		{"a small n with the largest r", scryptVector, `"n": 262144, "p": 1, "r": 8`, `"n": 4096, "p": 16, "r": 1024`},
		{"the least scrypt", scryptVector, `"n": 262144, "p": 1, "r": 8`, `"n": 2, "p": 1, "r": 1`},
		{"the most rounds", pbkdf2Vector, `"c": 262144`, `"c": 10000000`},
		{"the least rounds", pbkdf2Vector, `"c": 262144`, `"c": 1`},
		{"a salt of one byte", pbkdf2Vector, `e56740f876aef8c010b86a40d5f56745a118d0906a34e69aec8c0db1cb8fa3`, ``},
		{"hexadecimal in upper case", pbkdf2Vector, `264daa3f303d7259501c93d997d84fe6`, `264DAA3F303D7259501C93D997D84FE6`},
		{"no path, uuid or description", pbkdf2Vector, `"path": "m/12381/60/0/0",
		"uuid": "64625def-3331-4eea-ab6f-782f3ed16a83",`, ``},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			text := strings.Replace(test.vector, test.old, test.new, 1)
			if text == test.vector {
				t.Fatal("the vector does not contain what was to be changed")
			}
			if k := parseOK(t, text); k.Memory() > 520<<20 {
				t.Errorf("needs %d bytes", k.Memory())
			}
		})
	}
}

// TestMemoryIsWhatDecryptAllocates guards the budget against a library that
// allocates otherwise than it did.
func TestMemoryIsWhatDecryptAllocates(t *testing.T) {
	for _, params := range []string{`"n": 1024, "p": 1, "r": 8`, `"n": 2, "p": 16, "r": 1024`, `"n": 256, "p": 16, "r": 64`} {
		t.Run(params, func(t *testing.T) {
			k := parseOK(t, strings.Replace(scryptVector, `"n": 262144, "p": 1, "r": 8`, params, 1))
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			if _, err := k.Decrypt("wrong"); !errors.Is(err, ErrWrongPassword) {
				t.Fatal(err)
			}
			runtime.ReadMemStats(&after)
			allocated := int64(after.TotalAlloc - before.TotalAlloc)
			const rest = 32 << 10 // hashes and the like
			if m := k.Memory(); allocated < m || allocated > m+m/4+rest {
				t.Errorf("allocates %d bytes, and Memory says %d", allocated, m)
			}
		})
	}
}

// FuzzParse asserts that what is accepted stays within its bounds, and that
// errors are fit to print.
func FuzzParse(f *testing.F) {
	f.Add([]byte(scryptVector))
	f.Add([]byte(pbkdf2Vector))
	f.Add([]byte(`{"crypto":{"kdf":{"function":"scrypt","params":{"dklen":-1,"n":3,"r":0,"p":99999999999}}},"version":4}`))
	f.Add([]byte(`{"crypto":{"kdf":{"function":"pbkdf2","params":null},"cipher":{"params":{"iv":"0"}}},"version":4}`))
	f.Add([]byte(`{"a":{"a":{"a":[[[[[[[[[[]]]]]]]]]]}}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		k, err := Parse(text)
		if err != nil {
			if k != nil || !errors.Is(err, ErrInvalid) {
				t.Errorf("got %v, %v", k, err)
			}
			checkPrintable(t, err)
			return
		}
		if m := k.Memory(); m < 0 || m > 520<<20 {
			t.Errorf("needs %d bytes", m)
		}
	})
}

// FuzzDecrypt opens keystores that cost little with parameters drawn by the
// fuzzer: no combination that Parse accepts may panic.
func FuzzDecrypt(f *testing.F) {
	f.Add(true, int64(2), int64(1), int64(1), "d4", "password")
	f.Add(true, int64(256), int64(8), int64(16), "d4e56740", vectorPassword)
	f.Add(true, int64(2), int64(1024), int64(1), "00", "")
	f.Add(false, int64(1), int64(0), int64(0), "d4", "\x00\xff")
	f.Add(false, int64(1000), int64(-1), int64(-1), "zz", "ü")
	f.Fuzz(func(t *testing.T, useScrypt bool, n, r, p int64, salt, password string) {
		kdf := fmt.Sprintf(`"function":"pbkdf2","params":{"dklen":32,"c":%d,"prf":"hmac-sha256","salt":%q}`, n, salt)
		if useScrypt {
			kdf = fmt.Sprintf(`"function":"scrypt","params":{"dklen":32,"n":%d,"r":%d,"p":%d,"salt":%q}`, n, r, p, salt)
		}
		zeros := strings.Repeat("0", 64)
		k, err := Parse(fmt.Appendf(nil, `{"crypto":{"kdf":{%s},"checksum":{"function":"sha256","message":%q},
			"cipher":{"function":"aes-128-ctr","params":{"iv":%q},"message":%q}},"version":4}`, kdf, zeros, zeros[:32], zeros))
		if err != nil || n*max(r, 1)*max(p, 1) > 1<<16 {
			return
		}
		if sk, err := k.Decrypt(password); sk != nil || !errors.Is(err, ErrWrongPassword) {
			t.Errorf("got %v, %v, want %v", sk, err, ErrWrongPassword)
		}
	})
}
