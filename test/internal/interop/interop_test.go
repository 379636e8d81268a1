package interop

import "testing"

// Source: the interop genesis of every consensus client.
func TestKeyZeroIsTheOneThatAllClientsUse(t *testing.T) {
	const want = "0xa99a76ed7796f7be22d5b7e85deeb7c5677e88e511e0b337618f8c4eb61349b4bf2d153f649f7b53359fe8b94a38e44c"
	if got := New(0).Hex(); got != want {
		t.Errorf("key 0 = %s, want %s", got, want)
	}
}
