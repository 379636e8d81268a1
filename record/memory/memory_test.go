package memory_test

import (
	"testing"

	"github.com/secure-signer/secure-signer/record"
	"github.com/secure-signer/secure-signer/record/memory"
	"github.com/secure-signer/secure-signer/record/recordtest"
)

func TestStore(t *testing.T) {
	recordtest.Run(t, recordtest.Harness{
		Open: func(testing.TB) record.Store { return memory.New() },
	})
}
