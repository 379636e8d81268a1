package eth2

import (
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strconv"
)

// Numbers that use the whole range of a uint64. They are written as decimal
// strings, and read from a decimal string or a JSON number: never through a
// float, which loses digits above 2^53.
type (
	// A Slot counts slots from genesis.
	Slot uint64
	// An Epoch counts epochs from genesis.
	Epoch uint64
	// A ValidatorIndex numbers a validator in the chain's registry.
	ValidatorIndex uint64
	// Gwei is an amount of 10^9 wei.
	Gwei uint64
	// A Uint64 is any other number.
	Uint64 uint64
)

func (n Slot) MarshalText() ([]byte, error)           { return decimal(n), nil }
func (n Epoch) MarshalText() ([]byte, error)          { return decimal(n), nil }
func (n ValidatorIndex) MarshalText() ([]byte, error) { return decimal(n), nil }
func (n Gwei) MarshalText() ([]byte, error)           { return decimal(n), nil }
func (n Uint64) MarshalText() ([]byte, error)         { return decimal(n), nil }

func (n *Slot) UnmarshalJSON(text []byte) error           { return decodeNumber(n, text) }
func (n *Epoch) UnmarshalJSON(text []byte) error          { return decodeNumber(n, text) }
func (n *ValidatorIndex) UnmarshalJSON(text []byte) error { return decodeNumber(n, text) }
func (n *Gwei) UnmarshalJSON(text []byte) error           { return decodeNumber(n, text) }
func (n *Uint64) UnmarshalJSON(text []byte) error         { return decodeNumber(n, text) }

func decimal[N ~uint64](n N) []byte {
	return strconv.AppendUint(nil, uint64(n), 10)
}

func decodeNumber[N ~uint64](n *N, text []byte) error {
	digits, err := decimalDigits(text)
	if err != nil {
		return err
	}
	v, err := strconv.ParseUint(string(digits), 10, 64)
	if err != nil {
		return fmt.Errorf("%.30s is more than a uint64 holds", digits)
	}
	*n = N(v)
	return nil
}

// decimalDigits returns the digits of a JSON number or of a string that holds
// one: no sign, fraction, exponent or leading zero.
func decimalDigits(text []byte) ([]byte, error) {
	digits := text
	if n := len(text); n >= 2 && text[0] == '"' && text[n-1] == '"' {
		digits = text[1 : n-1]
	}
	if len(digits) == 0 || (digits[0] == '0' && len(digits) > 1) {
		return nil, errNotDecimal
	}
	for _, d := range digits {
		if d < '0' || d > '9' {
			return nil, errNotDecimal
		}
	}
	return digits, nil
}

var errNotDecimal = errors.New("not a decimal number")

// A Uint256 is a number below 2^256, in SSZ's little-endian order.
type Uint256 [32]byte

func (n Uint256) String() string {
	slices.Reverse(n[:])
	return new(big.Int).SetBytes(n[:]).String()
}

func (n Uint256) MarshalText() ([]byte, error) { return []byte(n.String()), nil }

// maxUint256Digits bounds the work on a hostile number.
const maxUint256Digits = 78

func (n *Uint256) UnmarshalJSON(text []byte) error {
	digits, err := decimalDigits(text)
	if err != nil {
		return err
	}
	v := new(big.Int)
	if len(digits) <= maxUint256Digits {
		v.SetString(string(digits), 10)
	}
	if len(digits) > maxUint256Digits || v.BitLen() > 256 {
		return fmt.Errorf("%.30s… is more than a uint256 holds", digits)
	}
	v.FillBytes(n[:])
	slices.Reverse(n[:])
	return nil
}
