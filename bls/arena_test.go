package bls

import (
	"slices"
	"testing"
	"unsafe"

	blst "github.com/supranational/blst/bindings/go"

	"github.com/secure-signer/secure-signer/internal/secretmem"
)

// TestSlotsAreScalars pins what the arena relies on: a scalar is its 32 bytes,
// little-endian, and nothing else, so that overwriting it overwrites the secret.
func TestSlotsAreScalars(t *testing.T) {
	var s blst.Scalar
	if got := unsafe.Sizeof(s); got != 32 {
		t.Fatalf("a scalar takes %d bytes, want 32", got)
	}
	if got := unsafe.Sizeof(chunk{}); got != 64<<10 {
		t.Errorf("a chunk takes %d bytes, want 64 KiB", got)
	}
	big := make([]byte, 32)
	for i := range big {
		big[i] = byte(i + 1)
	}
	if s.Deserialize(big) == nil {
		t.Fatal("refused")
	}
	slices.Reverse(big)
	if got := *(*[32]byte)(unsafe.Pointer(&s)); got != [32]byte(big) {
		t.Errorf("a scalar holds %x, want %x", got, big)
	}
}

// secrets counts the slots of an arena that are not zero.
func secrets(a *arena) int {
	n := 0
	for _, c := range a.chunks {
		for _, slot := range c.reveal() {
			if slot != (blst.Scalar{}) {
				n++
			}
		}
	}
	return n
}

func TestArenaWipesWhatIsPutBack(t *testing.T) {
	a := arena{pages: secretmem.Map}
	t.Cleanup(func() { a.release() })
	var slots []hidden[blst.Scalar]
	for range 3*len(chunk{}) + 1 {
		slot, err := a.take()
		if err != nil {
			t.Fatal(err)
		}
		if *slot.reveal() != (blst.Scalar{}) {
			t.Fatal("a slot comes with somebody's secret")
		}
		*slot.reveal() = *numbered(len(slots))
		slots = append(slots, slot)
	}
	if got, want := len(a.chunks), 4; got != want {
		t.Errorf("%d chunks, want %d", got, want)
	}
	for i, slot := range slots {
		if *slot.reveal() != *numbered(i) {
			t.Fatalf("secret %d has moved or changed", i)
		}
	}
	for i, slot := range slots {
		if i%2 == 0 {
			a.put(slot)
		}
	}
	if got, want := secrets(&a), len(slots)/2; got != want {
		t.Errorf("%d secrets, want the %d that were not put back", got, want)
	}
	for range (len(slots) + 1) / 2 {
		slot, err := a.take()
		if err != nil {
			t.Fatal(err)
		}
		if *slot.reveal() != (blst.Scalar{}) {
			t.Fatal("a slot comes back with its secret")
		}
	}
	if got, want := len(a.chunks), 4; got != want {
		t.Errorf("%d chunks after reuse, want %d", got, want)
	}
	a.wipe()
	if got := secrets(&a); got != 0 {
		t.Errorf("%d secrets after wipe, want none", got)
	}
}

// numbered returns a scalar that names its index.
func numbered(i int) *blst.Scalar {
	b := make([]byte, 32)
	b[30], b[31] = byte((i+1)>>8), byte(i+1)
	return new(blst.Scalar).Deserialize(b)
}

func TestArenaProtectionsHoldForEveryChunk(t *testing.T) {
	a := arena{pages: secretmem.Map}
	t.Cleanup(func() { a.release() })
	if err := a.grow(); err != nil {
		t.Fatal(err)
	}
	granted := slices.Clone(a.protections)
	a.protections = append(a.protections, "granted to the first chunk only")
	if err := a.grow(); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(a.protections, granted) {
		t.Errorf("got %v, want %v", a.protections, granted)
	}
}
