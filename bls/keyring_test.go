package bls

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	blst "github.com/supranational/blst/bindings/go"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestKeyring(t *testing.T) {
	k := openKeyring(t, Config{})
	if got := k.PublicKeys(); got == nil || len(got) != 0 || k.Len() != 0 {
		t.Errorf("a new keyring holds %v", got)
	}
	var want []PublicKey
	for i := range uint64(20) {
		key := add(t, k, i)
		want = append(want, key.PublicKey())
	}
	slices.SortFunc(want, func(a, b PublicKey) int { return bytes.Compare(a[:], b[:]) })
	if got := k.PublicKeys(); !slices.Equal(got, want) || k.Len() != len(want) {
		t.Errorf("got %v, want %v in ascending order", got, want)
	}
	for _, pub := range want {
		key, ok := k.Key(pub)
		if !ok || key.PublicKey() != pub || key.String() != pub.String() {
			t.Errorf("%v: got %v, %v", pub, key, ok)
		}
	}
	if key, ok := k.Key(PublicKey{1}); ok {
		t.Errorf("a key that was never added: %v", key)
	}
}

// TestWhoeverAsksForTheListSharesIt: a hundred clients that read it slowly held
// half a gigabyte of lists.
func TestWhoeverAsksForTheListSharesIt(t *testing.T) {
	k := openKeyring(t, Config{})
	first := add(t, k, 0).PublicKey()
	one := k.PublicKeys()
	if again := k.PublicKeys(); &again[0] != &one[0] {
		t.Error("another list of the same keys")
	}
	second := add(t, k, 1).PublicKey()
	if two := k.PublicKeys(); len(two) != 2 || !slices.Contains(two, second) {
		t.Errorf("after a key was added: %v", two)
	}
	k.Remove(first)
	if left := k.PublicKeys(); len(left) != 1 || left[0] != second {
		t.Errorf("after a key was removed: %v", left)
	}
	if len(one) != 1 || one[0] != first {
		t.Errorf("a list that is being read became %v", one)
	}
	if err := k.Close(); err != nil {
		t.Error(err)
	}
	if none := k.PublicKeys(); len(none) != 0 {
		t.Errorf("after Close: %v", none)
	}
}

func TestAddRefuses(t *testing.T) {
	k := openKeyring(t, Config{})
	key := add(t, k, 0)
	if _, err := k.Add(key.PublicKey(), interopKey(t, 0)); !errors.Is(err, ErrDuplicate) {
		t.Errorf("the same key: got %v, want %v", err, ErrDuplicate)
	}
	wiped := interopKey(t, 1)
	pub := wiped.PublicKey()
	wiped.Wipe()
	if _, err := k.Add(pub, wiped); !errors.Is(err, ErrInvalidSecretKey) {
		t.Errorf("a wiped key: got %v, want %v", err, ErrInvalidSecretKey)
	}
	if _, ok := k.Key(pub); ok || k.Len() != 1 || secrets(&k.arena) != 1 {
		t.Error("a refused key has left a trace")
	}
}

func TestOpenKeyringRefusesNegativeSizes(t *testing.T) {
	for _, cfg := range []Config{{Workers: -1}, {CachedRoots: -1}} {
		if _, err := OpenKeyring(cfg); err == nil {
			t.Errorf("%+v: no error", cfg)
		}
	}
}

func TestAddCopiesTheSecret(t *testing.T) {
	k := openKeyring(t, Config{})
	key := add(t, k, 0) // which wipes the SecretKey
	sig, err := k.Sign(t.Context(), key, [32]byte{1})
	if err != nil {
		t.Fatal(err)
	}
	if !Verify(key.PublicKey(), [32]byte{1}, sig) {
		t.Error("the signature does not verify")
	}
}

func TestRemove(t *testing.T) {
	k := openKeyring(t, Config{})
	kept, removed := add(t, k, 0), add(t, k, 1)
	pub := removed.PublicKey()
	if !k.Remove(pub) {
		t.Fatal("not removed")
	}
	if k.Remove(pub) {
		t.Error("removed twice")
	}
	if _, ok := k.Key(pub); ok || k.Len() != 1 {
		t.Error("the key is still listed")
	}
	if got := secrets(&k.arena); got != 1 {
		t.Errorf("%d secrets in the arena, want 1", got)
	}
	if sig, err := k.Sign(t.Context(), removed, [32]byte{1}); !errors.Is(err, ErrRemoved) || sig != (Signature{}) {
		t.Errorf("got %v, %v, want %v", sig, err, ErrRemoved)
	}
	if _, err := k.Sign(t.Context(), kept, [32]byte{1}); err != nil {
		t.Error(err)
	}

	// The old handle must not come alive when its slot serves another key.
	other := add(t, k, 2)
	if _, err := k.Sign(t.Context(), removed, [32]byte{1}); !errors.Is(err, ErrRemoved) {
		t.Errorf("got %v, want %v", err, ErrRemoved)
	}
	sig, err := k.Sign(t.Context(), other, [32]byte{1})
	if err != nil || !Verify(other.PublicKey(), [32]byte{1}, sig) {
		t.Errorf("got %v, %v, want a signature by the key in the reused slot", sig, err)
	}
	if again := add(t, k, 1); again == removed {
		t.Error("a key added again has its old handle")
	}
}

func TestSignWithoutAKey(t *testing.T) {
	k := openKeyring(t, Config{})
	for name, key := range map[string]*Key{"nil": nil, "a handle of no keyring": {}} {
		if sig, err := k.Sign(t.Context(), key, [32]byte{1}); !errors.Is(err, ErrRemoved) || sig != (Signature{}) {
			t.Errorf("%s: got %v, %v, want %v", name, sig, err, ErrRemoved)
		}
	}
}

func TestClose(t *testing.T) {
	k, err := OpenKeyring(Config{})
	if err != nil {
		t.Fatal(err)
	}
	key := add(t, k, 0)
	for range 2 {
		if err := k.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if sig, err := k.Sign(t.Context(), key, [32]byte{1}); !errors.Is(err, ErrClosed) || sig != (Signature{}) {
		t.Errorf("Sign: got %v, %v, want %v", sig, err, ErrClosed)
	}
	if _, err := k.Add(key.PublicKey(), interopKey(t, 0)); !errors.Is(err, ErrClosed) {
		t.Errorf("Add: got %v, want %v", err, ErrClosed)
	}
	if _, ok := k.Key(key.PublicKey()); ok || k.Len() != 0 || len(k.PublicKeys()) != 0 || k.Remove(key.PublicKey()) {
		t.Error("a closed keyring holds a key")
	}
	if got := key.slot.reveal(); got != nil {
		t.Error("a handle points into memory that was given back")
	}
}

// busyKeyring returns a keyring of one worker that is stuck hashing for the
// given key until release is called.
func busyKeyring(t *testing.T) (k *Keyring, key *Key, signing chan error, release func()) {
	t.Helper()
	k = openKeyring(t, Config{Workers: 1})
	key = add(t, k, 0)
	hashing, free := make(chan struct{}), make(chan struct{})
	k.hashes = newHashCache(1, func(root [32]byte) *blst.P2 {
		close(hashing)
		<-free
		return hashToCurve(root)
	})
	signing = make(chan error, 1)
	go func() {
		sig, err := k.Sign(context.WithoutCancel(t.Context()), key, [32]byte{1})
		if err == nil && !Verify(key.PublicKey(), [32]byte{1}, sig) {
			err = errors.New("the signature does not verify")
		}
		signing <- err
	}()
	<-hashing
	release = sync.OnceFunc(func() { close(free) })
	t.Cleanup(release)
	return k, key, signing, release
}

func TestRequestsThatNoWorkerHasTakenAreWithdrawn(t *testing.T) {
	k, key, signing, release := busyKeyring(t)
	ctx, cancel := context.WithCancel(t.Context())
	queued := make(chan error, 1)
	go func() {
		_, err := k.Sign(ctx, key, [32]byte{2})
		queued <- err
	}()
	time.Sleep(5 * time.Millisecond) // for the request to be in the queue
	cancel()
	if err := <-queued; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
	expired, cancel := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
	defer cancel()
	if _, err := k.Sign(expired, key, [32]byte{1}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want %v", err, context.DeadlineExceeded)
	}
	release()
	if err := <-signing; err != nil {
		t.Errorf("the signature under way: %v", err)
	}
}

func TestSignFirstGoesBeforeAllWhoWait(t *testing.T) {
	k := openKeyring(t, Config{Workers: 1})
	key := add(t, k, 0)
	const others = 20
	free, began := make(chan struct{}), make(chan byte, others+2)
	k.hashes = newHashCache(others+2, func(root [32]byte) *blst.P2 {
		began <- root[0]
		<-free
		return hashToCurve(root)
	})
	var all sync.WaitGroup
	ask := func(sign func(context.Context, *Key, [32]byte) (Signature, error), root byte) {
		all.Go(func() {
			sig, err := sign(t.Context(), key, [32]byte{root})
			if err != nil || !Verify(key.PublicKey(), [32]byte{root}, sig) {
				t.Errorf("root %d: %v, %v", root, sig, err)
			}
		})
	}
	ask(k.Sign, 0)
	if got := <-began; got != 0 { // and waits for free
		t.Fatalf("began with %d", got)
	}
	for i := range others {
		ask(k.Sign, byte(i+2))
	}
	time.Sleep(20 * time.Millisecond) // for the requests to be in the queues
	ask(k.SignFirst, 1)
	time.Sleep(20 * time.Millisecond)
	close(free)
	if got := <-began; got != 1 {
		t.Errorf("root %d was signed before what cannot wait", got)
	}
	all.Wait()
}

// A worker may be free: a request that came too late is still not signed.
func TestExpiredRequestIsNeverSigned(t *testing.T) {
	k := openKeyring(t, Config{})
	key := add(t, k, 0)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for range 100 {
		if _, err := k.Sign(ctx, key, [32]byte{1}); !errors.Is(err, context.Canceled) {
			t.Fatalf("got %v, want %v", err, context.Canceled)
		}
	}
}

func TestRemoveWaitsForTheSignatureUnderWay(t *testing.T) {
	k, key, signing, release := busyKeyring(t)
	removed := make(chan bool)
	go func() { removed <- k.Remove(key.PublicKey()) }()
	select {
	case <-removed:
		t.Fatal("Remove returned during a signature")
	case err := <-signing:
		t.Fatalf("the signature ended early: %v", err)
	case <-time.After(20 * time.Millisecond):
	}
	if got := secrets(&k.arena); got != 1 {
		t.Fatal("the secret was wiped during a signature")
	}
	release()
	if !<-removed {
		t.Error("not removed")
	}
	if err := <-signing; err != nil {
		t.Errorf("the signature under way: %v", err)
	}
	if got := secrets(&k.arena); got != 0 {
		t.Error("the secret is still there")
	}
}

func TestCloseWaitsForTheSignatureUnderWay(t *testing.T) {
	k, key, signing, release := busyKeyring(t)
	queued := make(chan error, 1)
	go func() {
		_, err := k.Sign(t.Context(), key, [32]byte{2})
		queued <- err
	}()
	closed := make(chan error)
	go func() { closed <- k.Close() }()
	select {
	case <-closed:
		t.Fatal("Close returned during a signature")
	case <-time.After(20 * time.Millisecond):
	}
	if err := <-queued; !errors.Is(err, ErrClosed) {
		t.Errorf("a queued request: got %v, want %v", err, ErrClosed)
	}
	release()
	if err := <-closed; err != nil {
		t.Error(err)
	}
	if err := <-signing; err != nil {
		t.Errorf("the signature under way: %v", err)
	}
}

// TestSigningDuringChanges signs, adds and removes at once. Whatever comes back
// is a valid signature by the key asked for, or says that the key is gone.
func TestSigningDuringChanges(t *testing.T) {
	const keys, rounds = 4, 25
	k := openKeyring(t, Config{Workers: 4, CachedRoots: 2})
	var pubs [keys]PublicKey
	for i := range pubs {
		pubs[i] = add(t, k, uint64(i)).PublicKey()
	}
	var signed, gone int
	var counts sync.Mutex
	var running sync.WaitGroup
	for i, pub := range pubs {
		running.Go(func() {
			for n := range uint64(rounds) {
				var root [32]byte
				binary.LittleEndian.PutUint64(root[:], n%5)
				key, ok := k.Key(pub)
				if !ok {
					continue
				}
				sig, err := k.Sign(t.Context(), key, root)
				counts.Lock()
				switch {
				case err == nil && Verify(pub, root, sig):
					signed++
				case errors.Is(err, ErrRemoved):
					gone++
				default:
					t.Errorf("key %d: got %v, %v", i, sig, err)
				}
				counts.Unlock()
			}
		})
	}
	running.Go(func() {
		sk := interopKey(t, 0)
		for range rounds {
			if !k.Remove(pubs[0]) {
				t.Error("not removed")
			}
			if _, err := k.Add(pubs[0], sk); err != nil {
				t.Error(err)
			}
		}
	})
	running.Wait()
	if least := (keys - 1) * rounds; signed < least {
		t.Errorf("%d signatures, want at least the %d of keys that stayed", signed, least)
	}
	t.Logf("%d signed, %d gone", signed, gone)
}

func TestCloseDuringSigning(t *testing.T) {
	for range 5 {
		k, err := OpenKeyring(Config{Workers: 2})
		if err != nil {
			t.Fatal(err)
		}
		key := add(t, k, 0)
		var running sync.WaitGroup
		for range 8 {
			running.Go(func() {
				for {
					sig, err := k.Sign(t.Context(), key, [32]byte{1})
					if errors.Is(err, ErrClosed) {
						return
					}
					if err != nil || sig == (Signature{}) {
						t.Errorf("got %v, %v", sig, err)
						return
					}
				}
			})
		}
		time.Sleep(2 * time.Millisecond)
		if err := k.Close(); err != nil {
			t.Error(err)
		}
		running.Wait()
	}
}

// TestHundredThousandKeys fills 49 chunks. The public keys are made up: Add
// trusts its caller, and computing them would take seconds.
func TestHundredThousandKeys(t *testing.T) {
	const keys = 100_000
	k := openKeyring(t, Config{})
	b := make([]byte, 32)
	pub := func(i int) (p PublicKey) {
		binary.BigEndian.PutUint32(p[:], uint32(i))
		return p
	}
	for i := range keys {
		binary.BigEndian.PutUint32(b[28:], uint32(i+1))
		if _, err := k.Add(pub(i), parseSecret(t, b)); err != nil {
			t.Fatal(err)
		}
	}
	if got := secrets(&k.arena); got != keys || k.Len() != keys {
		t.Fatalf("%d secrets of %d keys, want %d", got, k.Len(), keys)
	}
	for _, i := range []int{0, len(chunk{}) - 1, len(chunk{}), keys - 1} {
		key, _ := k.Key(pub(i))
		binary.BigEndian.PutUint32(b[28:], uint32(i+1))
		want, err := sign(hashToCurve([32]byte{1}), parseSecret(t, b).secret())
		if err != nil {
			t.Fatal(err)
		}
		if got, err := k.Sign(t.Context(), key, [32]byte{1}); err != nil || got != want {
			t.Errorf("key %d: got %v, %v, want %v", i, got, err, want)
		}
	}
	for i := 0; i < keys; i += 2 {
		k.Remove(pub(i))
	}
	if got := secrets(&k.arena); got != keys/2 || k.Len() != keys/2 {
		t.Errorf("%d secrets of %d keys, want %d", got, k.Len(), keys/2)
	}
}
