package eth2_test

import (
	"errors"
	"fmt"

	"github.com/secure-signer/secure-signer/eth2"
)

func ExampleMessage() {
	mainnet, _ := eth2.Builtin("mainnet")
	fulu := eth2.ForkInfo{
		Fork:                  eth2.Fork{PreviousVersion: eth2.Version{5}, CurrentVersion: eth2.Version{6}, Epoch: 411392},
		GenesisValidatorsRoot: mainnet.GenesisValidatorsRoot,
	}
	var m eth2.Message = &eth2.RandaoReveal{ForkInfo: fulu, Epoch: 411400}
	root, err := m.SigningRoot(mainnet)
	fmt.Println(m.Kind(), root, err)

	sepolia, _ := eth2.Builtin("sepolia")
	_, err = m.SigningRoot(sepolia)
	fmt.Println(errors.Is(err, eth2.ErrForeignChain))
	// Output:
	// RANDAO_REVEAL 0x5389f4a3ad908ecc5374ded73b1e8d3ba50fe8c5a3fb6950ee7a1f651d4317b1 <nil>
	// true
}
