package custody

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/secure-signer/secure-signer/bls"
	"github.com/secure-signer/secure-signer/record"
	"github.com/secure-signer/secure-signer/record/memory"
	"github.com/secure-signer/secure-signer/slashing"
	"github.com/secure-signer/secure-signer/vault"
)

func TestWhatLoadServes(t *testing.T) {
	w := newWorld(t)
	c := w.start()
	good, goodPub := secret(t, 1)
	mustImport(t, c, good, Imported)

	halfDeleted, halfDeletedPub := secret(t, 2)
	mustImport(t, c, halfDeleted, Imported)
	w.faults[stepUnseal] = failAndNotPersist
	if _, err := c.Delete(t.Context(), halfDeletedPub); !errors.Is(err, errFault) {
		t.Fatal(err)
	}

	unrecorded, unrecordedPub := secret(t, 3)
	w.sealed[unrecordedPub] = unrecorded.Bytes()

	unreadable, unreadablePub := secret(t, 4)
	mustImport(t, c, unreadable, Imported)
	damage(t, w, unreadablePub)

	clear(w.serving)
	c = w.unloaded()
	report, err := c.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got, want := w.servingKeys(), []bls.PublicKey{goodPub}; !slices.Equal(got, want) {
		t.Errorf("in service: %v, want %v", got, want)
	}
	if report.Served != 1 {
		t.Errorf("served %d, want 1", report.Served)
	}
	if diff := cmp.Diff(report.Problems, c.Withheld(t.Context()), cmp.Comparer(func(a, b error) bool { return a.Error() == b.Error() })); diff != "" {
		t.Errorf("what Load reports is not what is withheld:\n%s", diff)
	}
	problems := make(map[bls.PublicKey]error)
	for _, p := range report.Problems {
		problems[p.PublicKey] = p.Err
	}
	for pub, want := range map[bls.PublicKey]error{halfDeletedPub: ErrDisabled, unrecordedPub: slashing.ErrNoRecord} {
		if !errors.Is(problems[pub], want) {
			t.Errorf("problem of %v: %v, want %v", pub, problems[pub], want)
		}
	}
	if err := problems[unreadablePub]; err == nil || !strings.Contains(err.Error(), "load the record") {
		t.Errorf("problem of an unreadable record: %v", err)
	}
}

func TestWhatAReloadServes(t *testing.T) {
	w := newWorld(t)
	if _, err := w.unloaded().Reload(t.Context()); !errors.Is(err, ErrLoading) {
		t.Errorf("before the keys are loaded: %v, want ErrLoading", err)
	}
	c := w.start()
	served, servedPub := secret(t, 1)
	mustImport(t, c, served, Imported)
	added, addedPub := secret(t, 2) // by another process, and its record is here
	mustImport(t, c, added, Imported)
	delete(w.serving, addedPub)
	deleted, deletedPub := secret(t, 3) // brought back by another process
	mustImport(t, c, deleted, Imported)
	mustDelete(t, c, deletedPub, Deleted)
	w.sealed[deletedPub] = deleted.Bytes()
	unrecorded, unrecordedPub := secret(t, 4)
	w.sealed[unrecordedPub] = unrecorded.Bytes()

	report, err := c.Reload(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if !w.serves(servedPub) || !w.serves(addedPub) || w.serves(deletedPub) || w.serves(unrecordedPub) || report.Served != 2 || len(report.Problems) != 2 {
		t.Errorf("in service %v, report %+v", w.servingKeys(), report)
	}
	w.check()

	again, err := c.Reload(t.Context())
	if err != nil || again.Served != 2 || len(again.Problems) != 2 {
		t.Errorf("once more: %+v, %v", again, err)
	}

	// A vault that has lost a key takes none out of service.
	delete(w.sealed, servedPub)
	if _, err := c.Reload(t.Context()); err != nil || !w.serves(servedPub) {
		t.Errorf("%v, in service: %t", err, w.serves(servedPub))
	}
}

// damage makes the record of pub unreadable.
func damage(t *testing.T, w *world, pub bls.PublicKey) {
	t.Helper()
	for e, err := range w.store.List(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(string(e.Key), string(pub[:])) {
			if err := w.store.Replace(t.Context(), e.Key, e.Version, []byte("not a record")); err != nil {
				t.Fatal(err)
			}
			return
		}
	}
	t.Fatal("no record to damage")
}

func TestNothingChangesBeforeTheKeysAreLoaded(t *testing.T) {
	w := newWorld(t)
	c := w.unloaded()
	sk, pub := secret(t, 1)
	_, importErr := c.Import(t.Context(), sk, slashing.Arrived)
	_, deleteErr := c.Delete(t.Context(), pub)
	_, generateErr := c.Generate(t.Context())
	for what, err := range map[string]error{"import": importErr, "delete": deleteErr, "generate": generateErr} {
		if !errors.Is(err, ErrLoading) {
			t.Errorf("%s: %v, want ErrLoading", what, err)
		}
	}
	if c.Ready() || len(w.trace) != 0 {
		t.Errorf("ready %v, steps %v", c.Ready(), w.trace)
	}
}

func TestALoadThatIsCutShortIsNotReady(t *testing.T) {
	w := newWorld(t)
	for n := range byte(3) {
		sk, _ := secret(t, n)
		mustImport(t, w.start(), sk, Imported)
	}
	clear(w.serving)
	c := w.unloaded()
	ctx, cancel := context.WithCancel(t.Context())
	c.Keyring = cancelAfterFirst{fakeKeyring{w}, cancel}
	if _, err := c.Load(ctx); !errors.Is(err, context.Canceled) || c.Ready() {
		t.Errorf("load: %v, ready %v; want context.Canceled and not ready", err, c.Ready())
	}
	if got := len(c.List()); got != 1 {
		t.Errorf("%d keys in service, want 1", got)
	}
}

type cancelAfterFirst struct {
	fakeKeyring
	cancel func()
}

func (k cancelAfterFirst) Add(pub bls.PublicKey, sk *bls.SecretKey) (*bls.Key, error) {
	defer k.cancel()
	return k.fakeKeyring.Add(pub, sk)
}

func TestWhereANewKeyStarts(t *testing.T) {
	atClock := slashing.Floors{
		HasSlot: true, Slot: epochNow*32 + 1,
		HasSource: true, Source: epochNow - 1,
		HasTarget: true, Target: epochNow,
	}
	for _, tt := range []struct {
		name   string
		floor  Floor
		origin slashing.Origin
		want   slashing.Floors
	}{
		{"one that arrives starts at the clock", ClockFloor, slashing.Arrived, atClock},
		{"one that arrives starts at genesis if the operator says so", NoFloor, slashing.Arrived, slashing.Floors{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			c := w.start()
			c.NewKeyFloor = tt.floor
			sk, pub := secret(t, 1)
			if _, err := c.Import(t.Context(), sk, tt.origin); err != nil {
				t.Fatal(err)
			}
			s, err := w.guard.State(t.Context(), pub)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, s.Watermarks()); diff != "" {
				t.Errorf("floors (-want +got):\n%s", diff)
			}
		})
	}
	t.Run("one that is generated starts at genesis", func(t *testing.T) {
		w := newWorld(t)
		pub, err := w.start().Generate(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		s, err := w.guard.State(t.Context(), pub)
		if err != nil || s.Watermarks() != (slashing.Floors{}) {
			t.Errorf("floors %+v, %v; want none", s.Watermarks(), err)
		}
	})
	t.Run("one that arrives with no clock is refused", func(t *testing.T) {
		network := *builtin(t, "mainnet")
		network.GenesisTime = 0
		w := newWorld(t)
		w.guard = slashing.New(w.store, slashing.Config{Network: &network})
		c := w.start()
		sk, pub := secret(t, 1)
		if _, err := c.Import(t.Context(), sk, slashing.Arrived); !errors.Is(err, slashing.ErrClockUnknown) {
			t.Errorf("import: %v, want ErrClockUnknown", err)
		}
		if w.serves(pub) || w.holds(pub) {
			t.Error("the key is held")
		}
	})
}

func TestParseFloor(t *testing.T) {
	for text, want := range map[string]Floor{"clock": ClockFloor, "none": NoFloor} {
		if got, err := ParseFloor(text); err != nil || got != want {
			t.Errorf("%q: %v, %v; want %v", text, got, err, want)
		}
	}
	if _, err := ParseFloor("None"); err == nil {
		t.Error(`"None" is accepted`)
	}
}

func TestDeletingWhatIsNotHeld(t *testing.T) {
	w := newWorld(t)
	c := w.start()
	_, unknown := secret(t, 1)
	mustDelete(t, c, unknown, NotFound)

	// The vault has it, but nothing is known of it: it can still be deleted.
	sk, unrecorded := secret(t, 2)
	w.sealed[unrecorded] = sk.Bytes()
	mustDelete(t, c, unrecorded, Deleted)
	if w.holds(unrecorded) {
		t.Error("the key is still in the vault")
	}
}

// TestOperationsOnOneKeyExcludeEachOther: the steps of one operation are never
// mixed with those of another on the same key.
func TestOperationsOnOneKeyExcludeEachOther(t *testing.T) {
	w := newWorld(t)
	c := w.start()
	const rounds = 50
	var all sync.WaitGroup
	for n := range byte(2) {
		sk, pub := secret(t, n)
		for range 4 {
			all.Go(func() {
				for range rounds {
					if _, err := c.Import(t.Context(), sk, slashing.Arrived); err != nil {
						t.Errorf("import: %v", err)
					}
				}
			})
			all.Go(func() {
				for range rounds {
					if _, err := c.Delete(t.Context(), pub); err != nil {
						t.Errorf("delete: %v", err)
					}
				}
			})
		}
	}
	all.Wait()
	w.check()
	for n := range byte(2) {
		_, pub := secret(t, n)
		trace := w.takeTrace(pub)
		imports := 0
		for operation := range slices.Chunk(trace, 3) {
			switch {
			case slices.Equal(operation, []string{stepEnroll, stepSeal, stepServe}):
				imports++
			case !slices.Equal(operation, []string{stepDisable, stepForget, stepUnseal}):
				t.Fatalf("mixed steps: %v", operation)
			}
		}
		if imports < 2 {
			t.Errorf("only %d of the %d operations on a key were imports: the race was not run", imports, len(trace)/3)
		}
	}
}

// TestKeysSurviveARestart runs the real parts together.
func TestKeysSurviveARestart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "vault")
	sealer, err := vault.PassphraseWork([]byte("a passphrase"), vault.MinWork)
	if err != nil {
		t.Fatal(err)
	}
	if err := vault.Create(path, sealer); err != nil {
		t.Fatal(err)
	}
	store := memory.New()

	first, stop := realCustodian(t, path, sealer, store)
	kept, err := first.Generate(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	gone, err := first.Generate(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	mustDelete(t, first, gone, Deleted)
	stop()

	second, stop := realCustodian(t, path, sealer, store)
	defer stop()
	if got, want := second.List(), []bls.PublicKey{kept}; !slices.Equal(got, want) {
		t.Fatalf("in service after a restart: %v, want %v", got, want)
	}
	keyring := second.Keyring.(*bls.Keyring)
	key, _ := keyring.Key(kept)
	root := [32]byte{1}
	sig, err := keyring.Sign(t.Context(), key, root)
	if err != nil || !bls.Verify(kept, root, sig) {
		t.Errorf("signature by the reloaded key: %v, verified %v", err, bls.Verify(kept, root, sig))
	}
}

func realCustodian(t *testing.T, path string, sealer vault.Sealer, store record.Store) (*Custodian, func()) {
	t.Helper()
	v, err := vault.Open(path, sealer)
	if err != nil {
		t.Fatal(err)
	}
	keyring, err := bls.OpenKeyring(bls.Config{Workers: 1})
	if err != nil {
		t.Fatal(err)
	}
	c := &Custodian{Vault: v, Keyring: keyring, Guard: slashing.New(store, slashing.Config{Network: builtin(t, "mainnet")})}
	report, err := c.Load(t.Context())
	if err != nil || len(report.Problems) > 0 {
		t.Fatalf("load: %v, %v", err, report.Problems)
	}
	return c, func() {
		if err := errors.Join(keyring.Close(), v.Close()); err != nil {
			t.Error(err)
		}
	}
}
