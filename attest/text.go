package attest

import (
	"encoding/hex"
	"fmt"
	"strings"
	"time"
)

// Hex is bytes that people read in hexadecimal.
type Hex []byte

func (h Hex) String() string { return hex.EncodeToString(h) }

// MarshalText implements encoding.TextMarshaler.
func (h Hex) MarshalText() ([]byte, error) { return []byte(h.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler. It takes either case, with
// or without 0x.
func (h *Hex) UnmarshalText(text []byte) error {
	b, err := hex.DecodeString(strings.TrimPrefix(string(text), "0x"))
	if err != nil {
		return fmt.Errorf("%q is not hexadecimal", text)
	}
	*h = b
	return nil
}

// A Digest is a SHA-256 hash.
type Digest [32]byte

func (d Digest) String() string { return hex.EncodeToString(d[:]) }

// MarshalText implements encoding.TextMarshaler.
func (d Digest) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *Digest) UnmarshalText(text []byte) error { return unmarshalFixed(d[:], text) }

// MustDigest reads a constant of a program. It panics if it is none.
func MustDigest(text string) (d Digest) {
	if err := d.UnmarshalText([]byte(text)); err != nil {
		panic("attest: internal error: " + err.Error())
	}
	return d
}

func (d ReportData) String() string { return hex.EncodeToString(d[:]) }

// MarshalText implements encoding.TextMarshaler.
func (d ReportData) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *ReportData) UnmarshalText(text []byte) error { return unmarshalFixed(d[:], text) }

// MarshalText implements encoding.TextMarshaler.
func (n Nonce) MarshalText() ([]byte, error) { return []byte(hex.EncodeToString(n[:])), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (n *Nonce) UnmarshalText(text []byte) error { return unmarshalFixed(n[:], text) }

func unmarshalFixed(dst, text []byte) error {
	var h Hex
	if err := h.UnmarshalText(text); err != nil {
		return err
	}
	if len(h) != len(dst) {
		return fmt.Errorf("%q has %d bytes, want %d", text, len(h), len(dst))
	}
	copy(dst, h)
	return nil
}

// A Duration is written as people say it: 720h, 15m.
type Duration time.Duration

func (d Duration) String() string { return time.Duration(d).String() }

// MarshalText implements encoding.TextMarshaler.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	if err != nil {
		return fmt.Errorf("%q is not a duration such as 720h or 15m", text)
	}
	*d = Duration(v)
	return nil
}
