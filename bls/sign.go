package bls

import (
	"errors"
	"fmt"

	blst "github.com/supranational/blst/bindings/go"
)

// ErrFault is the error for a signature that was computed wrongly and withheld.
// A faulty signature is useless to the network and can betray the key.
var ErrFault = errors.New("signature withheld: computation fault")

// sign multiplies a hashed root by a secret: the only place where the two meet.
//
// The multiplication is blst_p2_mult, which takes the same time and touches the
// same memory whatever the scalar, and wipes its own copies of it. blst's
// multi-scalar multiplications index tables by the secret: never use them here.
func sign(hashed *blst.P2, secret *blst.Scalar) (Signature, error) {
	product := *hashed
	product.MultAssign(secret)
	point := product.ToAffine()
	product = blst.P2{} // the projective form tells more of the scalar than the point
	return encode(point)
}

// encode compresses a signature unless a fault has thrown it off the curve (read
// back uncompressed, 1 µs) or to infinity, where a secret overwritten by zeros
// would put it. Full verification would take six times as long as signing.
func encode(point *blst.P2Affine) (Signature, error) {
	checked := new(blst.P2Affine).Deserialize(point.Serialize())
	if checked == nil {
		return Signature{}, fmt.Errorf("%w: not on the curve", ErrFault)
	}
	sig := Signature(checked.Compress())
	if sig[0]&infinityFlag != 0 {
		return Signature{}, fmt.Errorf("%w: infinity", ErrFault)
	}
	return sig, nil
}

// infinityFlag is the bit of a compressed point's first byte that marks the
// point at infinity.
const infinityFlag = 0x40
