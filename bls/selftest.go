package bls

import (
	"errors"
	"fmt"
)

// A knownAnswer is a signature that other implementations agree on, in
// hexadecimal.
type knownAnswer struct {
	secret, root, pub, sig string
}

// official is sign_case_8cd3d4d0d9a5b265 of consensus-spec-tests v0.12.3,
// general/phase0/bls.
var official = knownAnswer{
	secret: "328388aff0d4a5b7dc9205abd374e7e98f3cd9f3418edb4eafda5fb16473d216",
	root:   "5656565656565656565656565656565656565656565656565656565656565656",
	pub:    "b53d21a4cfd562c469cc81514d4ce5a6b577d8403d32a394dc265dd190b47fa9f829fdd7963afdf972e5e77854051f6f",
	sig: "a4efa926610b8bd1c8330c918b7a5e9bf374e53435ef8b7ec186abf62e1b1f65aeaaeb365677ac1d1172a1f5b44b4e6d" +
		"022c252c58486c0a759fbdc7de15a756acc4d343064035667a594b4c2a6f0b0b421975977f297dba63ee2f63ffe47bb6",
}

// check signs and verifies the known answer, so that a miscompiled library, or
// one that this processor executes wrongly, never signs for a validator.
func (a knownAnswer) check() error {
	var secret, root [32]byte
	var pub PublicKey
	var sig Signature
	if err := errors.Join(decodeHex(secret[:], a.secret), decodeHex(root[:], a.root),
		decodeHex(pub[:], a.pub), decodeHex(sig[:], a.sig)); err != nil {
		return err
	}
	sk, err := ParseSecretKey(secret[:])
	if err != nil {
		return err
	}
	if got := sk.PublicKey(); got != pub {
		return fmt.Errorf("public key is %v, want %v", got, pub)
	}
	got, err := sign(hashToCurve(root), sk.secret())
	if err != nil {
		return err
	}
	if got != sig {
		return fmt.Errorf("signature is %v, want %v", got, sig)
	}
	if !Verify(pub, root, sig) {
		return errors.New("signature does not verify")
	}
	return nil
}
