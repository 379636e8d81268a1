// Package bls is the BLS signature scheme of Ethereum's consensus layer and the
// only place where a validator's secret key is used.
//
// The scheme is BLS12-381 with public keys in G1 and signatures in G2, in the
// proof-of-possession ciphersuite. Source: consensus-specs phase0/beacon-chain.md
// "BLS signatures"; IRTF draft-irtf-cfrg-bls-signature-05 sections 2 and 4.2.3;
// points are compressed as in ZCash's BLS12-381 format.
//
// A [Keyring] holds the keys in service: secrets lie in one arena outside the Go
// heap, a fixed pool of workers signs with them, and a [Key] is a handle that
// holds no secret. A [SecretKey] is a key on its way between a file and the
// keyring.
//
// # Guaranteed
//
//   - A secret meets a message in one function only, by a constant-time
//     multiplication (blst's blst_p2_mult; never a multi-scalar one, whose table
//     look-ups depend on the secret).
//   - A slot of the arena is zero once Remove or Close has returned, and nothing
//     is signed with it afterwards.
//   - A signature whose point is not on the curve, as a computation fault leaves
//     it, is withheld; a library that fails a known answer never opens.
//   - No verb of fmt, no slog handler and no encoder prints a secret.
//
// # Not guaranteed
//
//   - The package signs any root it is given. What may be signed is decided
//     elsewhere.
//   - Whoever can have this process run his code can read the keys, and whoever can
//     read its memory, too, where the system has no memory that the kernel itself
//     cannot read. The arena is kept out of swap, core dumps and forked children as
//     far as the system allows; [Keyring.Protections] says how far that was.
//   - A SecretKey lies on the Go heap until Wipe, and library code below this
//     package may leave parts of a secret in registers or on a thread's stack.
package bls

// ciphersuite is the domain separation tag of every hash to G2, for the
// proof-of-possession scheme. Source: consensus-specs phase0/beacon-chain.md.
var ciphersuite = []byte("BLS_SIG_BLS12381G2_XMD:SHA-256_SSWU_RO_POP_")
