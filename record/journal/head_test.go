package journal

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/secure-signer/secure-signer/record"
)

// TestTheHeadNamesAllThatIsRecordedAndNothingElse: whoever remembers the head of a
// journal that was closed knows it again after it was opened, whatever Open has
// written anew, and after Close it says all that Close has made durable.
func TestTheHeadNamesAllThatIsRecordedAndNothingElse(t *testing.T) {
	dir := mustCreate(t)
	var last [32]byte
	seen := map[[32]byte]bool{}
	var snapshots uint64
	for round := range 5 {
		s, err := Open(dir, testKey)
		if err != nil {
			t.Fatal(err)
		}
		if _, now := s.Head(); now != last {
			t.Errorf("round %d: opened at head %x, closed at %x", round, now, last)
		}
		var all sync.WaitGroup
		for i := range 1000 * round { // none; some; more than a segment holds
			all.Go(func() {
				if err := s.Create(context.Background(), record.Key(fmt.Sprint(round, "/", i)), make([]byte, record.MaxValueSize)); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		_, before := s.Head()
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if _, last = s.Head(); last != before {
			t.Errorf("round %d: Close has moved the head", round)
		}
		if seen[last] && round > 0 {
			t.Errorf("round %d: two different journals have head %x", round, last)
		}
		snapshots += s.Stats().Snapshots - 1 // that of Open
		seen[last] = true
	}
	if snapshots == 0 {
		t.Error("no segment was ever full")
	}
}
