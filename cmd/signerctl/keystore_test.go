package main

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/pbkdf2"
	"crypto/sha256"
	"fmt"
	"testing"

	"github.com/secure-signer/secure-signer/bls"
	"github.com/secure-signer/secure-signer/keystore"
)

// cheapKeystore is a keystore whose password is derived in one round, so that
// scripts need not wait for dozens of them. Source: EIP-2335.
func cheapKeystore(sk *bls.SecretKey, password string) (string, error) {
	pub := sk.PublicKey()
	salt := sha256.Sum256(pub[:])
	derived, err := pbkdf2.Key(sha256.New, password, salt[:], 1, 32)
	if err != nil {
		return "", err
	}
	block, err := aes.NewCipher(derived[:16])
	if err != nil {
		return "", err
	}
	secret := sk.Bytes()
	cipher.NewCTR(block, salt[:16]).XORKeyStream(secret, secret)
	checksum := sha256.Sum256(append(derived[16:], secret...))
	return fmt.Sprintf(`{"version":4,"uuid":"11111111-2222-4333-8444-555555555555","path":"","pubkey":"%x","crypto":{`+
		`"kdf":{"function":"pbkdf2","params":{"dklen":32,"c":1,"prf":"hmac-sha256","salt":"%x"},"message":""},`+
		`"checksum":{"function":"sha256","params":{},"message":"%x"},`+
		`"cipher":{"function":"aes-128-ctr","params":{"iv":"%x"},"message":"%x"}}}`,
		pub[:], salt, checksum, salt[:16], secret), nil
}

func TestCheapKeystoresOpen(t *testing.T) {
	sk, err := bls.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	text, err := cheapKeystore(sk, "the-password")
	if err != nil {
		t.Fatal(err)
	}
	ks, err := keystore.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	opened, err := ks.Decrypt("the-password")
	if err != nil || opened.PublicKey() != sk.PublicKey() {
		t.Errorf("another key: %v", err)
	}
}
