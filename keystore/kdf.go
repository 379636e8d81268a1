package keystore

import (
	"crypto/pbkdf2"
	"crypto/sha256"
	"fmt"

	"golang.org/x/crypto/scrypt"
)

const (
	scryptName = "scrypt"
	pbkdf2Name = "pbkdf2"
	prfName    = "hmac-sha256"
)

// Bounds of what a stranger's keystore may cost. The usual keystore has n=262144,
// r=8, p=1 or c=262144, and a salt of 32 bytes. The costliest one allowed takes
// 512 MiB and, on a slow machine, half a minute.
const (
	maxScryptMemory = 512 << 20 // of 128·n·r bytes
	maxScryptR      = 1 << 10   // the input takes another 128·r·p bytes
	maxScryptP      = 16
	maxRounds       = 10_000_000
	maxSalt         = 256
)

// A kdf derives the encryption key from the password. What it derives has
// derivedSize bytes.
type kdf struct {
	Function string    `json:"function"`
	Params   kdfParams `json:"params"`
	Message  hexBytes  `json:"message"` // empty
}

// kdfParams are those of scrypt or those of PBKDF2; a number that is absent is 0,
// which is below every lower bound.
type kdfParams struct {
	DKLen int64    `json:"dklen"`
	N     int64    `json:"n,omitzero"`
	R     int64    `json:"r,omitzero"`
	P     int64    `json:"p,omitzero"`
	C     int64    `json:"c,omitzero"`
	PRF   string   `json:"prf,omitzero"`
	Salt  hexBytes `json:"salt"`
}

// check refuses parameters out of bounds. Its errors begin with the member's name
// below kdf.
func (k *kdf) check() error {
	p := &k.Params
	switch k.Function {
	case scryptName:
		if err := p.checkScrypt(); err != nil {
			return err
		}
	case pbkdf2Name:
		if err := p.checkPBKDF2(); err != nil {
			return err
		}
	default:
		return fmt.Errorf("function: %.40q, want %q or %q", k.Function, scryptName, pbkdf2Name)
	}
	if p.DKLen != derivedSize {
		return fmt.Errorf("params.dklen: %d, want %d", p.DKLen, derivedSize)
	}
	if len(p.Salt) == 0 || len(p.Salt) > maxSalt {
		return fmt.Errorf("params.salt: %d bytes, want 1 to %d", len(p.Salt), maxSalt)
	}
	return nil
}

func (p *kdfParams) checkScrypt() error {
	switch {
	case p.N <= 1 || p.N&(p.N-1) != 0:
		return fmt.Errorf("params.n: %d, want a power of two above 1", p.N)
	case p.R < 1 || p.R > maxScryptR:
		return fmt.Errorf("params.r: %d, want 1 to %d", p.R, maxScryptR)
	case p.P < 1 || p.P > maxScryptP:
		return fmt.Errorf("params.p: %d, want 1 to %d", p.P, maxScryptP)
	case p.N > maxScryptMemory/(128*p.R): // divided, since 128·n·r may overflow
		return fmt.Errorf("params: n=%d and r=%d need more than %d MiB", p.N, p.R, maxScryptMemory>>20)
	}
	return nil
}

func (p *kdfParams) checkPBKDF2() error {
	switch {
	case p.C < 1 || p.C > maxRounds:
		return fmt.Errorf("params.c: %d, want 1 to %d", p.C, maxRounds)
	case p.PRF != prfName:
		return fmt.Errorf("params.prf: %.40q, want %q", p.PRF, prfName)
	}
	return nil
}

// memory returns how many bytes derive allocates. Source: RFC 7914 section 6: the
// table V, the input B, and the two blocks that are mixed.
func (k *kdf) memory() int64 {
	if k.Function != scryptName {
		return 0
	}
	p := k.Params
	return 128 * p.R * (p.N + p.P + 2)
}

// derive computes the encryption key, which the caller wipes, by parameters that
// have been checked.
func (k *kdf) derive(password []byte) ([]byte, error) {
	p := k.Params
	if k.Function == scryptName {
		return scrypt.Key(password, p.Salt, int(p.N), int(p.R), int(p.P), derivedSize)
	}
	return pbkdf2.Key(sha256.New, string(password), p.Salt, int(p.C), derivedSize)
}
