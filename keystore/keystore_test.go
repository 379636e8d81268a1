package keystore

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"regexp"
	"strings"
	"testing"

	"github.com/secure-signer/secure-signer/bls"
)

// The test vectors of EIP-2335.
const (
	vectorPassword = "𝔱𝔢𝔰𝔱𝔭𝔞𝔰𝔰𝔴𝔬𝔯𝔡🔑"
	vectorSecret   = "000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f"
	vectorPubkey   = "9612d7a727c9d0a22e185a1c768478dfe919cada9266988cb32359c11f2b7b27f4ae4040902382ae2910c15e2b420d07"

	scryptVector = `{
		"crypto": {
			"kdf": {
				"function": "scrypt",
				"params": {
					"dklen": 32, "n": 262144, "p": 1, "r": 8,
					"salt": "d4e56740f876aef8c010b86a40d5f56745a118d0906a34e69aec8c0db1cb8fa3"
				},
				"message": ""
			},
			"checksum": {
				"function": "sha256",
				"params": {},
				"message": "d2217fe5f3e9a1e34581ef8a78f7c9928e436d36dacc5e846690a5581e8ea484"
			},
			"cipher": {
				"function": "aes-128-ctr",
				"params": {"iv": "264daa3f303d7259501c93d997d84fe6"},
				"message": "06ae90d55fe0a6e9c5c3bc5b170827b2e5cce3929ed3f116c2811e6366dfe20f"
			}
		},
		"description": "This is a test keystore that uses scrypt to secure the secret.",
		"pubkey": "` + vectorPubkey + `",
		"path": "m/12381/60/3141592653/589793238",
		"uuid": "1d85ae20-35c5-4611-98e8-aa14a633906f",
		"version": 4
	}`

	pbkdf2Vector = `{
		"crypto": {
			"kdf": {
				"function": "pbkdf2",
				"params": {
					"dklen": 32, "c": 262144, "prf": "hmac-sha256",
					"salt": "d4e56740f876aef8c010b86a40d5f56745a118d0906a34e69aec8c0db1cb8fa3"
				},
				"message": ""
			},
			"checksum": {
				"function": "sha256",
				"params": {},
				"message": "8a9f5d9912ed7e75ea794bc5a89bca5f193721d30868ade6f73043c6ea6febf1"
			},
			"cipher": {
				"function": "aes-128-ctr",
				"params": {"iv": "264daa3f303d7259501c93d997d84fe6"},
				"message": "cee03fde2af33149775b7223e7845e4fb2c8ae1792e5f99fe9ecf474cc8c16ad"
			}
		},
		"description": "This is a test keystore that uses PBKDF2 to secure the secret.",
		"pubkey": "` + vectorPubkey + `",
		"path": "m/12381/60/0/0",
		"uuid": "64625def-3331-4eea-ab6f-782f3ed16a83",
		"version": 4
	}`
)

func parseOK(t testing.TB, text string) *Keystore {
	t.Helper()
	k, err := Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestOfficialVectors(t *testing.T) {
	tests := []struct {
		name, text, path string
		memory           int64
	}{
		{"scrypt", scryptVector, "m/12381/60/3141592653/589793238", 256<<20 + 3<<10},
		{"pbkdf2", pbkdf2Vector, "m/12381/60/0/0", 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			k := parseOK(t, test.text)
			if pub, named := k.PublicKey(); !named || pub.String() != "0x"+vectorPubkey {
				t.Errorf("public key: got %v, %v, want %s", pub, named, vectorPubkey)
			}
			if got := k.Path(); got != test.path {
				t.Errorf("path: got %q, want %q", got, test.path)
			}
			if got := k.Memory(); got != test.memory {
				t.Errorf("memory: got %d, want %d", got, test.memory)
			}
			sk, err := k.Decrypt(vectorPassword)
			if err != nil {
				t.Fatal(err)
			}
			if got := hex.EncodeToString(sk.Bytes()); got != vectorSecret {
				t.Errorf("secret: got %s, want %s", got, vectorSecret)
			}
		})
	}
}

// cheap is the key of the vectors, derived in one round under "password".
func cheap(t testing.TB) string {
	t.Helper()
	secret, err := hex.DecodeString(vectorSecret)
	if err != nil {
		t.Fatal(err)
	}
	sk, err := bls.ParseSecretKey(secret)
	if err != nil {
		t.Fatal(err)
	}
	text, err := Encrypt(sk, "password", WithPBKDF2(), oneRound, WithPath("m/12381/3600/0/0/0"), WithDescription("cheap"))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func oneRound(d *document) { d.Crypto.KDF.Params.C = 1 }

func TestDecryptRefusesWrongPasswords(t *testing.T) {
	k := parseOK(t, cheap(t))
	for name, password := range map[string]string{
		"another":              "passwore",
		"another case":         "Password",
		"a space at the end":   "password ",
		"empty":                "",
		"control codes only":   "\x00\n\u0085",
		"longer":               "passwordpassword",
		"not UTF-8":            "password\xff",
		"a homoglyph in front": "рassword", // Cyrillic er
	} {
		t.Run(name, func(t *testing.T) {
			sk, err := k.Decrypt(password)
			if sk != nil || !errors.Is(err, ErrWrongPassword) {
				t.Errorf("got %v, %v, want %v", sk, err, ErrWrongPassword)
			}
		})
	}
}

func TestDecryptAcceptsEverySpellingOfThePassword(t *testing.T) {
	k := parseOK(t, cheap(t))
	for name, password := range map[string]string{
		"as it was":                "password",
		"a line break at the end":  "password\r\n",
		"C0, DEL and C1 in it":     "\x00pass\x1f\x7f\u0080\u009fword",
		"letters for mathematics":  "𝔭𝔞𝔰𝔰𝔴𝔬𝔯𝔡",
		"letters of double width":  "ｐａｓｓｗｏｒｄ",
		"a long s, which is an s":  "paſſword",
		"the same, several of all": "ｐａ\x07ſ𝔰word\n",
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := k.Decrypt(password); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestNormalise(t *testing.T) {
	tests := []struct{ name, in, want string }{
		{"the vectors' password", vectorPassword, "testpassword🔑"},
		{"accents come apart and stay", "ü", "u\u0308"},
		{"no-break space is a space and stays", "a\u00a0b", "a b"},
		{"the last control code", "a\u009fb", "ab"},
		{"a ligature", "ﬁ", "fi"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := normalise(test.in)
			if err != nil || string(got) != test.want {
				t.Errorf("got %+q, %v, want %+q", got, err, test.want)
			}
		})
	}
	if _, err := normalise("\xff"); err == nil {
		t.Error("a password that is not UTF-8 is accepted: all such would be one")
	}
}

func TestPubkeyIsAHint(t *testing.T) {
	text := cheap(t)
	other := strings.Replace(vectorPubkey, "9612", "9613", 1)
	tests := []struct {
		name, pubkey string
		named        bool
		want         error
	}{
		{"absent", ``, false, nil},
		{"empty", `"pubkey":"",`, false, nil},
		{"null", `"pubkey":null,`, false, nil},
		{"its own", `"pubkey":"` + vectorPubkey + `",`, true, nil},
		{"its own with 0x", `"pubkey":"0x` + vectorPubkey + `",`, true, nil},
		{"its own in upper case", `"pubkey":"` + strings.ToUpper(vectorPubkey) + `",`, true, nil},
		{"another", `"pubkey":"` + other + `",`, true, ErrPubkeyMismatch},
		{"another that is no point", `"pubkey":"` + strings.Repeat("0", 96) + `",`, true, ErrPubkeyMismatch},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			changed := strings.Replace(text, `"pubkey":"`+vectorPubkey+`",`, test.pubkey, 1)
			k := parseOK(t, changed)
			if pub, named := k.PublicKey(); named != test.named {
				t.Errorf("names %v: %v, want %v", pub, named, test.named)
			}
			sk, err := k.Decrypt("password")
			if !errors.Is(err, test.want) || (sk == nil) != (test.want != nil) {
				t.Fatalf("got %v, %v, want %v", sk, err, test.want)
			}
		})
	}
}

// A keystore whose checksum is right may still hold what is no key.
func TestDecryptRefusesWhatIsNoSecretKey(t *testing.T) {
	for name, secret := range map[string][]byte{
		"zero":             make([]byte, 32),
		"beyond the group": bytes.Repeat([]byte{0xff}, 32),
		"nothing":          nil,
	} {
		t.Run(name, func(t *testing.T) {
			k := parseOK(t, cheap(t))
			k.named = false
			c := &k.doc.Crypto
			derived, err := c.KDF.derive([]byte("password"))
			if err != nil {
				t.Fatal(err)
			}
			c.Cipher.Message = crypt(derived, c.Cipher.Params.IV, secret)
			c.Checksum.Message = checksum(derived, c.Cipher.Message)
			sk, err := k.Decrypt("password")
			if sk != nil || !errors.Is(err, ErrInvalid) {
				t.Errorf("got %v, %v, want %v", sk, err, ErrInvalid)
			}
		})
	}
}

func TestEncrypt(t *testing.T) {
	sk, err := bls.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	for name, options := range map[string][]Option{
		"by default":  nil,
		"with PBKDF2": {WithPBKDF2()},
		"with all options": {WithPath("m/12381/3600/7/0/0"), WithPBKDF2(),
			WithDescription(`"quoted" \ and ünïcode`)},
	} {
		t.Run(name, func(t *testing.T) {
			text, err := Encrypt(sk, "pässword\n", options...)
			if err != nil {
				t.Fatal(err)
			}
			k := parseOK(t, string(text))
			if pub, named := k.PublicKey(); !named || pub != sk.PublicKey() {
				t.Errorf("names %v: %v, want %v", pub, named, sk.PublicKey())
			}
			back, err := k.Decrypt("pa\u0308ssword")
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(back.Bytes(), sk.Bytes()) {
				t.Error("another key comes back")
			}
		})
	}
}

// TestEncryptWritesTheSchema checks the members that EIP-2335 requires, by
// another decoder.
func TestEncryptWritesTheSchema(t *testing.T) {
	var got struct {
		Crypto struct {
			KDF, Checksum, Cipher *struct {
				Function string
				Params   map[string]any
				Message  *string
			}
		}
		Description, Pubkey, Path, UUID *string
		Version                         int
	}
	if err := json.Unmarshal([]byte(cheap(t)), &got); err != nil {
		t.Fatal(err)
	}
	c := got.Crypto
	if c.KDF.Function != "pbkdf2" || c.KDF.Params["prf"] != "hmac-sha256" || c.KDF.Params["dklen"] != 32.0 || *c.KDF.Message != "" {
		t.Errorf("kdf: %+v", c.KDF)
	}
	if c.Checksum.Function != "sha256" || c.Checksum.Params == nil || len(c.Checksum.Params) != 0 {
		t.Errorf("checksum: %+v", c.Checksum)
	}
	if c.Cipher.Function != "aes-128-ctr" || len(c.Cipher.Params["iv"].(string)) != 32 || len(*c.Cipher.Message) != 64 {
		t.Errorf("cipher: %+v", c.Cipher)
	}
	if *got.Pubkey != vectorPubkey || *got.Path != "m/12381/3600/0/0/0" || *got.Description != "cheap" || got.Version != 4 {
		t.Errorf("%+v", got)
	}
	if uuid := regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`); !uuid.MatchString(*got.UUID) {
		t.Errorf("uuid: %q", *got.UUID)
	}
}

func TestEncryptNeverRepeatsItself(t *testing.T) {
	a, b := parseOK(t, cheap(t)).doc, parseOK(t, cheap(t)).doc
	for name, same := range map[string]bool{
		"salt":       bytes.Equal(a.Crypto.KDF.Params.Salt, b.Crypto.KDF.Params.Salt),
		"iv":         bytes.Equal(a.Crypto.Cipher.Params.IV, b.Crypto.Cipher.Params.IV),
		"ciphertext": bytes.Equal(a.Crypto.Cipher.Message, b.Crypto.Cipher.Message),
		"uuid":       a.UUID == b.UUID,
	} {
		if same {
			t.Errorf("two keystores of one key and password share their %s", name)
		}
	}
}

func TestEncryptRefuses(t *testing.T) {
	sk, err := bls.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		password string
		option   Option
	}{
		"an empty password":                {"", oneRound},
		"a password that normalises away":  {"\x01\n", oneRound},
		"a password that is not UTF-8":     {"\xff", oneRound},
		"a description that is too long":   {"password", WithDescription(strings.Repeat("x", MaxSize))},
		"a description that is not UTF-8":  {"password", WithDescription("\xff")},
		"parameters that cannot be solved": {"password", func(d *document) { d.Crypto.KDF = kdf{Function: scryptName} }},
	} {
		t.Run(name, func(t *testing.T) {
			if text, err := Encrypt(sk, test.password, WithPBKDF2(), oneRound, test.option); err == nil {
				t.Errorf("wrote %.100s", text)
			}
		})
	}
}
