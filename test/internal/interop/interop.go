// Package interop has the publicly known validator keys of test chains, and
// what a test needs to use them: signatures, and keystores that are quick to
// open. Nothing here comes from the signer under test.
//
// Source: consensus-specs, "mocked start": secret i is the little-endian
// SHA-256 of i as 32 little-endian bytes, modulo the curve's order.
package interop

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/pbkdf2"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/big"
	"slices"

	blsu "github.com/protolambda/bls12-381-util"
)

// A Key is one interop validator.
type Key struct {
	Public [48]byte
	secret [32]byte
	signer blsu.SecretKey
}

// curveOrder is the order of the groups of BLS12-381.
const curveOrder = "73eda753299d7d483339d80809a1d80553bda402fffe5bfeffffffff00000001"

// New returns key i.
func New(i uint32) Key {
	var index [32]byte
	binary.LittleEndian.PutUint32(index[:], i)
	sum := sha256.Sum256(index[:])
	slices.Reverse(sum[:])
	order, _ := new(big.Int).SetString(curveOrder, 16)

	var k Key
	n := new(big.Int).SetBytes(sum[:])
	n.Mod(n, order).FillBytes(k.secret[:])
	if err := k.signer.Deserialize(&k.secret); err != nil {
		panic("interop: internal error: " + err.Error())
	}
	pub, err := blsu.SkToPk(&k.signer)
	if err != nil {
		panic("interop: internal error: " + err.Error())
	}
	k.Public = pub.Serialize()
	return k
}

// Keys returns the first n keys.
func Keys(n int) []Key {
	keys := make([]Key, n)
	for i := range keys {
		keys[i] = New(uint32(i))
	}
	return keys
}

// Hex is the public key as every API writes it.
func (k Key) Hex() string { return "0x" + hex.EncodeToString(k.Public[:]) }

// Secret is the secret key, which everybody knows, big-endian.
func (k Key) Secret() [32]byte { return k.secret }

// Sign signs a root, whatever it is.
func (k Key) Sign(root [32]byte) [96]byte {
	return blsu.Sign(&k.signer, root[:]).Serialize()
}

// Keystore is the key in an EIP-2335 keystore with so few iterations that a
// test need not wait for it.
func (k Key) Keystore(password string) string {
	salt := sha256.Sum256(k.Public[:])
	iv := salt[:16]
	derived, err := pbkdf2.Key(sha256.New, password, salt[:], iterations, 32)
	if err != nil {
		panic("interop: internal error: " + err.Error())
	}
	block, err := aes.NewCipher(derived[:16])
	if err != nil {
		panic("interop: internal error: " + err.Error())
	}
	secret := make([]byte, len(k.secret))
	cipher.NewCTR(block, iv).XORKeyStream(secret, k.secret[:])
	checksum := sha256.Sum256(append(derived[16:], secret...))

	type module struct {
		Function string         `json:"function"`
		Params   map[string]any `json:"params"`
		Message  string         `json:"message"`
	}
	file, err := json.Marshal(map[string]any{
		"version": 4,
		"uuid":    uuid(salt),
		"path":    "",
		"pubkey":  hex.EncodeToString(k.Public[:]),
		"crypto": map[string]module{
			"kdf": {"pbkdf2", map[string]any{
				"dklen": 32, "c": iterations, "prf": "hmac-sha256", "salt": hex.EncodeToString(salt[:]),
			}, ""},
			"checksum": {"sha256", map[string]any{}, hex.EncodeToString(checksum[:])},
			"cipher":   {"aes-128-ctr", map[string]any{"iv": hex.EncodeToString(iv)}, hex.EncodeToString(secret)},
		},
	})
	if err != nil {
		panic("interop: internal error: " + err.Error())
	}
	return string(file)
}

const iterations = 1024

// uuid returns a UUID of version 4 made of seed.
func uuid(seed [32]byte) string {
	seed[6] = seed[6]&0x0f | 0x40
	seed[8] = seed[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", seed[:4], seed[4:6], seed[6:8], seed[8:10], seed[10:16])
}
