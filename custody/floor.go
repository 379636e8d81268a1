package custody

import "fmt"

// A Floor is where a key starts that arrives without history: below its floor it
// signs nothing.
type Floor uint8

const (
	// ClockFloor is now: whatever the key signed elsewhere before, it does
	// not sign again.
	ClockFloor Floor = iota
	// NoFloor is genesis. It is safe only for keys that have never signed, as
	// on a fresh development network.
	NoFloor
)

// ParseFloor reads "clock" or "none".
func ParseFloor(s string) (Floor, error) {
	switch s {
	case "clock":
		return ClockFloor, nil
	case "none":
		return NoFloor, nil
	}
	return 0, fmt.Errorf("%q: use clock or none", s)
}
