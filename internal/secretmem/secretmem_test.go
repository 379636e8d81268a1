package secretmem

import "testing"

func TestAKeyHasRoomThatIsItsOwn(t *testing.T) {
	a, err := NewKey()
	if err != nil {
		t.Fatal(err)
	}
	b, err := NewKey()
	if err != nil {
		t.Fatal(err)
	}
	if *a != [32]byte{} || *b != [32]byte{} {
		t.Error("the room holds something already")
	}
	a[31], b[0] = 1, 2
	if a[0] != 0 || b[31] != 0 {
		t.Error("two keys share room")
	}
	for _, key := range []*[32]byte{a, b} {
		if err := FreeKey(key); err != nil {
			t.Error(err)
		}
	}
}
