package recordtest_test

import (
	"math"
	"strings"
	"testing"

	"github.com/secure-signer/secure-signer/record"
	"github.com/secure-signer/secure-signer/record/recordtest"
)

func TestCheck(t *testing.T) {
	at := func(c recordtest.Call, began, ended int64) recordtest.Call {
		c.Key, c.Began, c.Ended = "key", began, ended
		if c.Unknown {
			c.Ended = math.MaxInt64
		}
		return c
	}
	create := recordtest.Call{Method: recordtest.Create, Value: "one"}
	absent := recordtest.Call{Method: recordtest.Load, Err: record.ErrNotFound}
	load := func(v record.Version, value string) recordtest.Call {
		return recordtest.Call{Method: recordtest.Load, Version: v, Value: value}
	}
	replace := func(old record.Version, value string) recordtest.Call {
		return recordtest.Call{Method: recordtest.Replace, Old: old, Value: value}
	}
	refused := replace(1, "two")
	refused.Err = record.ErrConflict
	unknown := replace(1, "two")
	unknown.Unknown = true
	retry := replace(1, "one")
	retry.Retry = true
	for _, test := range []struct {
		name string
		h    recordtest.History
		want string
	}{
		{"changes one after the other", recordtest.History{
			at(absent, 0, 1), at(create, 2, 3), at(replace(1, "two"), 4, 5), at(load(2, "two"), 6, 7)}, ""},
		{"a load that begins before a change has ended", recordtest.History{
			at(create, 0, 1), at(replace(1, "two"), 2, 5), at(load(1, "one"), 4, 6)}, ""},
		{"an unknown change that took effect", recordtest.History{
			at(create, 0, 1), at(unknown, 2, 0), at(load(1, "one"), 3, 4), at(load(2, "two"), 5, 6)}, ""},
		{"a retry", recordtest.History{
			at(create, 0, 1), at(retry, 2, 3), at(load(1, "one"), 4, 5)}, ""},
		{"a stale load", recordtest.History{
			at(create, 0, 1), at(replace(1, "two"), 2, 3), at(load(1, "one"), 4, 5)}, "found version 1, but 2"},
		{"a record that vanishes", recordtest.History{
			at(create, 0, 1), at(absent, 2, 3)}, "found version 0, but 1"},
		{"two changes of one version", recordtest.History{
			at(create, 0, 1), at(replace(1, "two"), 2, 5), at(replace(1, "three"), 2, 5)}, "two values"},
		{"an old value written again over a new one", recordtest.History{
			at(create, 0, 1), at(replace(1, "two"), 2, 3), at(retry, 4, 5)}, "found version 1, but 2"},
		{"a value from nowhere", recordtest.History{
			at(create, 0, 1), at(load(2, "two"), 2, 3)}, "nobody asked for"},
		{"a refused change that took effect", recordtest.History{
			at(create, 0, 1), at(replace(1, "three"), 2, 5), at(refused, 2, 5), at(load(2, "two"), 6, 7)}, "two values"},
	} {
		t.Run(test.name, func(t *testing.T) {
			switch err := test.h.Check(); {
			case test.want == "" && err != nil:
				t.Errorf("got error %v, want none", err)
			case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)):
				t.Errorf("got error %v, want one about %q", err, test.want)
			}
		})
	}
}
