package bls

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	blst "github.com/supranational/blst/bindings/go"
)

func TestHashCacheForgetsTheRootUsedLongestAgo(t *testing.T) {
	var hashed []byte
	c := newHashCache(3, func(root [32]byte) *blst.P2 {
		hashed = append(hashed, root[0])
		return new(blst.P2)
	})
	for _, root := range []byte{1, 2, 3, 1, 4, 1, 3, 2} {
		c.point([32]byte{root})
		if len(c.entries) > 3 || len(c.entries) != c.recent.Len() {
			t.Fatalf("%d roots by name, %d by age, want at most 3 of both", len(c.entries), c.recent.Len())
		}
	}
	// 4 drives out 2, not the 1 asked for meanwhile; 2 comes back and drives out 4.
	if got, want := string(hashed), "\x01\x02\x03\x04\x02"; got != want {
		t.Errorf("hashed %x, want %x", got, want)
	}
}

func TestHashCacheHashesARootOnceHoweverManyWait(t *testing.T) {
	var hashed atomic.Int32
	release := make(chan struct{})
	c := newHashCache(8, func([32]byte) *blst.P2 {
		hashed.Add(1)
		<-release
		return new(blst.P2)
	})
	points := make([]*blst.P2, 64)
	var asking, waiting sync.WaitGroup
	for i := range points {
		asking.Add(1)
		waiting.Go(func() {
			asking.Done()
			points[i] = c.point([32]byte{7})
		})
	}
	asking.Wait()
	time.Sleep(10 * time.Millisecond) // for all of them to reach the one hash
	close(release)
	waiting.Wait()
	if got := hashed.Load(); got != 1 {
		t.Errorf("hashed %d times, want once", got)
	}
	for i, p := range points {
		if p == nil || p != points[0] {
			t.Fatalf("waiter %d got another point", i)
		}
	}
}

func TestCachedHashesAreNotChangedBySigning(t *testing.T) {
	c := newHashCache(1, hashToCurve)
	sk := interopKey(t, 0)
	root := [32]byte{9}
	before := *c.point(root)
	if _, err := sign(c.point(root), sk.secret()); err != nil {
		t.Fatal(err)
	}
	if *c.point(root) != before {
		t.Error("signing changed the shared point")
	}
}
