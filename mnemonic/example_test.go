package mnemonic_test

import (
	"fmt"

	"github.com/secure-signer/secure-signer/mnemonic"
)

// The words are those of a public example: never use them.
func ExampleParse() {
	m, err := mnemonic.Parse("entire habit bottom mention spoil clown finger wheat motion fox axis mechanic " +
		"country make garment bar blind stadium sugar water scissors canyon often ketchup")
	if err != nil {
		fmt.Println(err)
		return
	}
	tree, err := m.Tree("")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer tree.Wipe()
	key := tree.Key(0)
	defer key.Wipe()
	fmt.Println(mnemonic.Path(0), key.PublicKey())
	// Output: m/12381/3600/0/0/0 0x8666389c3fe6ff0bca9adba81504f380b9e2c719419760d561836472fafe295cb50696524e19cba084e1d788d66c80d6
}
