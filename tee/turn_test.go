package tee

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestOneTakesItsTurnAfterTheOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turn, inside := NewTurn(), 0
		for range 10 {
			go func() {
				_, err := Take(t.Context(), turn, func() (int, error) {
					if inside++; inside != 1 {
						t.Errorf("%d at once", inside)
					}
					time.Sleep(time.Second)
					inside--
					return 0, nil
				})
				if err != nil {
					t.Error(err)
				}
			}()
		}
		time.Sleep(time.Minute)
		synctest.Wait()
	})
}

// A device that hangs must hold up one goroutine only, and nobody who gives up.
func TestWhoGivesUpLeavesTheTurnToWhatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turn, answer := NewTurn(), make(chan bool)
		var calls atomic.Int32
		hang := func() (bool, error) { calls.Add(1); return <-answer, nil }
		for range 3 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			if _, err := Take(ctx, turn, hang); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("got %v", err)
			}
			cancel()
		}
		if n := calls.Load(); n != 1 {
			t.Errorf("the device was asked %d times while it hung", n)
		}
		answer <- false
		go func() { answer <- true }()
		if v, err := Take(t.Context(), turn, hang); !v || err != nil {
			t.Errorf("after it had answered: %v, %v", v, err)
		}
	})
}

func TestNothingIsAskedForWhoHasGivenUp(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for range 100 {
		_, err := Take(ctx, NewTurn(), func() (int, error) { t.Error("asked"); return 0, nil })
		if !errors.Is(err, context.Canceled) {
			t.Fatalf("got %v", err)
		}
	}
}
