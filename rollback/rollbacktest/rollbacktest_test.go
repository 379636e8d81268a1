package rollbacktest_test

import (
	"context"
	"sync/atomic"
	"testing"

	"github.com/secure-signer/secure-signer/rollback"
	"github.com/secure-signer/secure-signer/rollback/rollbacktest"
)

// A number is a Register in memory.
type number struct{ atomic.Uint64 }

func (n *number) Read(context.Context) (uint64, error) { return n.Load(), nil }

func (n *number) Increment(context.Context) error {
	n.Add(1)
	return nil
}

func TestARegisterInMemory(t *testing.T) {
	rollbacktest.Test(t, func(*testing.T) func() rollback.Counter {
		n := &number{}
		return func() rollback.Counter { return rollback.Exclusive(n) }
	})
}
