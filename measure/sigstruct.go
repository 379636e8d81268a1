package measure

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"time"

	"github.com/secure-signer/secure-signer/attest"
)

// SigstructSize is the length of a SIGSTRUCT.
const SigstructSize = 1808

// Offsets of a SIGSTRUCT. Source: Intel SDM, volume 3D, "Enclave Signature
// Structure (SIGSTRUCT)".
const (
	offVendor     = 16
	offDate       = 20 // binary coded decimals: year, month, day as 0xyyyymmdd
	offHeader2    = 24
	offReserved1  = 44
	offModulus    = 128
	offExponent   = 512
	offSignature  = 516
	offBody       = 900 // what is signed besides the first 128 bytes
	offReserved2  = 908 // of which the first two bytes are CET's
	offAttributes = 928
	offMask       = 944
	offHash       = 960
	offProduct    = 1024
	offSVN        = 1026
	offBodyEnd    = 1028 // the first byte that is not
	offQ1         = 1040
	offQ2         = 1424
)

// The two headers that every SIGSTRUCT has.
const (
	header1 = "\x06\x00\x00\x00\xe1\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00"
	header2 = "\x01\x01\x00\x00\x60\x00\x00\x00\x60\x00\x00\x00\x01\x00\x00\x00"
)

// Bits of the attributes.
const (
	attributeInit  = 1 << 0
	attributeDebug = 1 << 1
	attribute64Bit = 1 << 2
)

// Sigstruct reads the SIGSTRUCT of an SGX enclave, as gramine-sgx-sign and Intel's
// sgx_sign write it beside the enclave, and verifies its signature. The processor
// does the same before it starts the enclave.
func Sigstruct(b []byte) (Report, error) {
	if len(b) != SigstructSize {
		return Report{}, fmt.Errorf("a SIGSTRUCT has %d bytes, this has %d: give the .sig file that gramine-sgx-sign wrote", SigstructSize, len(b))
	}
	if string(b[:offVendor]) != header1 || string(b[offHeader2:offHeader2+16]) != header2 {
		return Report{}, errors.New("not a SIGSTRUCT: its headers are not those of Intel's SDM")
	}
	date, err := sigstructDate(binary.LittleEndian.Uint32(b[offDate:]))
	if err != nil {
		return Report{}, err
	}
	// Zero, or the processor refuses it. A field that a later processor gives a
	// meaning to must not pass as nothing.
	if slices.ContainsFunc(slices.Concat(b[offReserved1:offModulus], b[offReserved2+2:912], b[992:1008], b[offBodyEnd:offQ1]), func(c byte) bool { return c != 0 }) {
		return Report{}, errors.New("a reserved field of the SIGSTRUCT is not zero")
	}
	if err := verifySigstruct(b); err != nil {
		return Report{}, err
	}

	signer := sha256.Sum256(b[offModulus:offExponent])
	flags, mask := binary.LittleEndian.Uint64(b[offAttributes:]), binary.LittleEndian.Uint64(b[offMask:])
	id := attest.Identity{
		Kind:         attest.KindSGX,
		Measurements: map[string]attest.Hex{"mrenclave": attest.Hex(bytes.Clone(b[offHash : offHash+32]))},
		Signer:       signer[:],
		Product:      uint64(binary.LittleEndian.Uint16(b[offProduct:])),
		MinSVN:       uint64(binary.LittleEndian.Uint16(b[offSVN:])),
	}
	r := Report{Facts: map[string]string{
		"mrenclave":  id.Measurements["mrenclave"].String(),
		"mrsigner":   id.Signer.String(),
		"product":    fmt.Sprint(id.Product),
		"svn":        fmt.Sprint(id.MinSVN),
		"date":       date.Format(time.DateOnly),
		"vendor":     fmt.Sprintf("%#08x", binary.LittleEndian.Uint32(b[offVendor:])),
		"attributes": fmt.Sprintf("%x, of which %x are fixed", b[offAttributes:offMask], b[offMask:offHash]),
		"signature":  "verified",
	}}
	r.Problems = sigstructProblems(flags, mask, id.Signer)
	return r.accept(id), nil
}

func sigstructProblems(flags, mask uint64, signer attest.Hex) (problems []string) {
	switch {
	case flags&attributeDebug != 0:
		problems = append(problems, "it is a debug enclave: the host can read every key inside; sign it with sgx.debug = false")
	case mask&attributeDebug == 0:
		problems = append(problems, "the signature leaves open whether it runs in debug mode: the host may start it so; sign it with the debug bit in the attribute mask")
	}
	if flags&attributeInit != 0 || flags&attribute64Bit == 0 {
		problems = append(problems, fmt.Sprintf("attributes %#x are not those of a 64-bit enclave that is yet to be started", flags))
	}
	if owner, public := attest.PublicSigner(signer); public {
		problems = append(problems, "the private half of its signing key is public, "+owner+": anybody can sign as you do; make a key of your own")
	}
	return problems
}

// sigstructDate reads 0xyyyymmdd.
func sigstructDate(v uint32) (time.Time, error) {
	date, err := time.Parse("20060102", fmt.Sprintf("%08x", v))
	if err != nil {
		return date, fmt.Errorf("the SIGSTRUCT's date %08x is no date", v)
	}
	return date, nil
}

// verifySigstruct verifies the signature, RSA with 3072 bits and exponent 3, whose
// numbers are little-endian, and the two quotients that save the processor a
// division.
func verifySigstruct(b []byte) error {
	modulus, signature := littleEndian(b[offModulus:offExponent]), littleEndian(b[offSignature:offBody])
	if modulus.BitLen() != 3072 {
		return fmt.Errorf("the signing key has %d bits, SGX takes 3072", modulus.BitLen())
	}
	if e := binary.LittleEndian.Uint32(b[offExponent:]); e != 3 {
		return fmt.Errorf("the signing key has exponent %d, SGX takes 3", e)
	}
	digest := sha256.Sum256(slices.Concat(b[:offModulus], b[offBody:offBodyEnd]))
	key := &rsa.PublicKey{N: modulus, E: 3}
	if err := rsa.VerifyPKCS1v15(key, crypto.SHA256, digest[:], signature.FillBytes(make([]byte, 384))); err != nil {
		return errors.New("the signature does not verify: the file was changed after it was signed")
	}
	square := new(big.Int).Mul(signature, signature)
	q1, rest := new(big.Int).QuoRem(square, modulus, new(big.Int))
	q2 := new(big.Int).Quo(rest.Mul(rest, signature), modulus)
	if q1.Cmp(littleEndian(b[offQ1:offQ2])) != 0 || q2.Cmp(littleEndian(b[offQ2:])) != 0 {
		return errors.New("the quotients Q1 and Q2 do not belong to the signature: no processor would start it")
	}
	return nil
}

func littleEndian(b []byte) *big.Int {
	reversed := bytes.Clone(b)
	slices.Reverse(reversed)
	return new(big.Int).SetBytes(reversed)
}
