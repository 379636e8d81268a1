package slashing_test

import (
	"context"
	"errors"
	"iter"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/secure-signer/secure-signer/bls"
	"github.com/secure-signer/secure-signer/eth2"
	"github.com/secure-signer/secure-signer/record"
	"github.com/secure-signer/secure-signer/record/memory"
	"github.com/secure-signer/secure-signer/slashing"
)

// counting counts the calls that reach a store.
type counting struct {
	record.Store
	loads, writes int
}

func (c *counting) Load(ctx context.Context, key record.Key) (record.Record, error) {
	c.loads++
	return c.Store.Load(ctx, key)
}

func (c *counting) Create(ctx context.Context, key record.Key, value []byte) error {
	c.writes++
	return c.Store.Create(ctx, key, value)
}

func (c *counting) Replace(ctx context.Context, key record.Key, old record.Version, value []byte) error {
	c.writes++
	return c.Store.Replace(ctx, key, old, value)
}

func TestRecordRefusesAndRemembers(t *testing.T) {
	g, _ := newGuard(t, 2)
	for _, step := range []struct {
		pub  byte
		ask  message
		want string
	}{
		{0, vote(1, 2, 1), ""},
		{0, vote(1, 2, 1), ""},
		{0, vote(1, 2, 2), "double_vote"},
		{1, vote(1, 2, 2), ""}, // another key's votes are its own
		{0, vote(0, 3, 1), "surround_vote"},
		{0, block(5, 1), ""},
		{0, block(5, 2), "double_block"},
		{0, block(4, 1), "below_watermark"},
		{0, vote(2, 2, 1), "source_after_target"},
		{7, block(5, 1), "no_record"},
	} {
		err := step.ask.record(g, key(step.pub))
		if got := reasonOf(t, err); got != step.want {
			t.Errorf("key %d, %v: reason %q (%v), want %q", step.pub, step.ask, got, err, step.want)
		}
	}
}

func TestRecordOfAnIdenticalRetryIsMadeDurableAgain(t *testing.T) {
	_, inner := newGuard(t, 1)
	store := &counting{Store: inner}
	g := slashing.New(store, slashing.Config{Network: timeless()})
	for i := range 2 {
		if err := block(5, 1).record(g, key(0)); err != nil {
			t.Fatal(err)
		}
		if store.writes != i+1 {
			t.Errorf("after %d requests: %d writes", i+1, store.writes)
		}
	}
}

func TestARefusalWritesNothing(t *testing.T) {
	_, inner := newGuard(t, 1)
	store := &counting{Store: inner}
	g := slashing.New(store, slashing.Config{Network: timeless()})
	if got := reasonOf(t, vote(5, 4, 1).record(g, key(0))); got != "source_after_target" {
		t.Fatalf("reason %q", got)
	}
	if got := reasonOf(t, block(5, 1).record(g, key(1))); got != "no_record" {
		t.Fatalf("reason %q", got)
	}
	if store.writes != 0 {
		t.Errorf("%d writes", store.writes)
	}
}

// oneOfEach kind of message.
func oneOfEach() map[eth2.Kind]eth2.Message {
	return map[eth2.Kind]eth2.Message{
		eth2.KindAttestation:                 vote(1, 2, 1).typed(),
		eth2.KindBlock:                       block(1, 1).typed(),
		eth2.KindAggregationSlot:             &eth2.AggregationSlot{},
		eth2.KindAggregateAndProof:           &eth2.AggregateAndProof{},
		eth2.KindRandaoReveal:                &eth2.RandaoReveal{},
		eth2.KindDeposit:                     &eth2.Deposit{},
		eth2.KindVoluntaryExit:               &eth2.VoluntaryExit{},
		eth2.KindSyncCommitteeMessage:        &eth2.SyncCommitteeMessage{},
		eth2.KindSyncCommitteeSelectionProof: &eth2.SyncCommitteeSelectionProof{},
		eth2.KindContributionAndProof:        &eth2.ContributionAndProof{},
		eth2.KindValidatorRegistration:       &eth2.ValidatorRegistration{},
		eth2.KindExecutionPayloadBid:         &eth2.ExecutionPayloadBid{},
		eth2.KindExecutionPayloadEnvelope:    &eth2.ExecutionPayloadEnvelope{},
		eth2.KindPayloadAttestation:          &eth2.PayloadAttestation{},
		eth2.KindProposerPreferences:         &eth2.ProposerPreferences{},
		eth2.KindBuilderRequestAuth:          &eth2.BuilderRequestAuth{},
	}
}

// A kind that is new to eth2 fails this test until somebody has decided whether
// it can be slashed.
func TestOnlyKindsThatCanBeSlashedTouchTheStore(t *testing.T) {
	messages := oneOfEach()
	for _, kind := range eth2.Kinds() {
		t.Run(kind.String(), func(t *testing.T) {
			m, ok := messages[kind]
			if !ok || m.Kind() != kind {
				t.Fatalf("is %v slashable? This test does not know it", kind)
			}
			store := &counting{Store: memory.New()}
			g := slashing.New(store, slashing.Config{Network: timeless()})
			err := g.Record(context.Background(), key(0), m, root(1))
			if kind == eth2.KindAttestation || kind == eth2.KindBlock {
				if got := reasonOf(t, err); got != "no_record" {
					t.Errorf("reason %q, want no_record", got)
				}
			} else if err != nil || store.loads+store.writes != 0 {
				t.Errorf("error %v, %d loads, %d writes", err, store.loads, store.writes)
			}
		})
	}
}

func TestARecordBelongsToOneChain(t *testing.T) {
	g, store := newGuard(t, 1)
	if err := block(5, 1).record(g, key(0)); err != nil {
		t.Fatal(err)
	}
	other := timeless()
	other.GenesisValidatorsRoot = eth2.Root{1}
	stranger := slashing.New(store, slashing.Config{Network: other})
	if got := reasonOf(t, block(6, 1).record(stranger, key(0))); got != "no_record" {
		t.Errorf("reason %q, want no_record", got)
	}
	var out strings.Builder
	if err := stranger.Export(context.Background(), &out, nil); err != nil || !strings.Contains(out.String(), `"data":[]`) {
		t.Errorf("exported another chain's records: %s (%v)", &out, err)
	}
}

func TestTheClockBoundsWhatIsSigned(t *testing.T) {
	// The clock stands at slot 80, epoch 10.
	for _, tt := range []struct {
		name   string
		config slashing.Config
		now    func() time.Time
		ask    message
		want   string
	}{
		{"a block of this epoch", slashing.Config{MaxFutureEpochs: 1}, at(80), block(80, 1), ""},
		{"the last block of the next epoch", slashing.Config{MaxFutureEpochs: 1}, at(80), block(95, 1), ""},
		{"the first block after the next epoch", slashing.Config{MaxFutureEpochs: 1}, at(80), block(96, 1), "too_far_future"},
		{"a vote for the next epoch", slashing.Config{MaxFutureEpochs: 1}, at(80), vote(9, 11, 1), ""},
		{"a vote for the epoch after the next", slashing.Config{MaxFutureEpochs: 1}, at(80), vote(9, 12, 1), "too_far_future"},
		{"a vote for the last epoch there is", slashing.Config{MaxFutureEpochs: 1}, at(80), vote(9, maxUint64, 1), "too_far_future"},
		{"a block for the last slot there is", slashing.Config{MaxFutureEpochs: 1}, at(80), block(maxUint64, 1), "too_far_future"},
		{"a vote for this epoch with a bound of 0", slashing.Config{}, at(80), vote(9, 10, 1), ""},
		{"a vote for the next epoch with a bound of 0", slashing.Config{}, at(80), vote(9, 11, 1), "too_far_future"},
		{"a vote for the last epoch there is with a bound past it", slashing.Config{MaxFutureEpochs: math.MaxUint64}, at(80), vote(9, maxUint64, 1), ""},
		{"a vote for the last epoch there is without a bound", slashing.Config{Unbounded: true}, at(80), vote(9, maxUint64, 1), ""},
		{"a vote for the last epoch there is without a time of genesis", slashing.Config{Network: timeless()}, at(80), vote(9, maxUint64, 1), ""},
		{"a vote of an epoch long past", slashing.Config{MaxFutureEpochs: 1}, at(80), vote(0, 1, 1), ""},
		{"a block of epoch 1 before genesis", slashing.Config{MaxFutureEpochs: 1}, func() time.Time { return genesis.Add(-time.Hour) }, block(15, 1), ""},
		{"a block of epoch 2 before genesis", slashing.Config{MaxFutureEpochs: 1}, func() time.Time { return genesis.Add(-time.Hour) }, block(16, 1), "too_far_future"},
		{"a vote for epoch 1 before 1970", slashing.Config{MaxFutureEpochs: 1}, func() time.Time { return time.Unix(-1, 0) }, vote(0, 1, 1), ""},
		{"a vote for epoch 2 before 1970", slashing.Config{MaxFutureEpochs: 1}, func() time.Time { return time.Unix(-1, 0) }, vote(0, 2, 1), "too_far_future"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			store := &counting{Store: memory.New()}
			if tt.config.Network == nil {
				tt.config.Network = chain()
			}
			tt.config.Now = tt.now
			g := slashing.New(store, tt.config)
			if err := g.Enroll(context.Background(), key(0), slashing.Generated); err != nil {
				t.Fatal(err)
			}
			store.loads = 0
			err := tt.ask.record(g, key(0))
			if got := reasonOf(t, err); got != tt.want {
				t.Errorf("reason %q (%v), want %q", got, err, tt.want)
			}
			if tt.want != "" && store.loads != 0 {
				t.Errorf("%d loads for a request that the clock refuses", store.loads)
			}
		})
	}
}

func TestDisableForbidsAndEnrollAllowsAgain(t *testing.T) {
	ctx := context.Background()
	g, _ := newGuard(t, 1)
	if err := g.Disable(ctx, key(1)); !errors.Is(err, slashing.ErrNoRecord) {
		t.Errorf("Disable of an unknown key: %v", err)
	}
	if err := block(5, 1).record(g, key(0)); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := g.Disable(ctx, key(0)); err != nil {
			t.Fatal(err)
		}
	}
	for _, m := range []message{block(5, 1), block(6, 1), vote(1, 2, 1)} {
		if got := reasonOf(t, m.record(g, key(0))); got != "key_disabled" {
			t.Errorf("%v: reason %q, want key_disabled", m, got)
		}
	}
	if s, err := g.State(ctx, key(0)); err != nil || !s.Disabled() {
		t.Errorf("state %+v (%v)", s, err)
	}
	if err := g.Enroll(ctx, key(0), slashing.ArrivedNoFloor); err != nil {
		t.Fatal(err)
	}
	if got := reasonOf(t, block(5, 2).record(g, key(0))); got != "double_block" {
		t.Errorf("what was signed before the deletion is forgotten: reason %q", got)
	}
	if err := block(6, 1).record(g, key(0)); err != nil {
		t.Error(err)
	}
}

func TestEnroll(t *testing.T) {
	ctx := context.Background()
	before := func() time.Time { return genesis.Add(-time.Second) }
	clock := func(slot eth2.Slot, source, target eth2.Epoch) slashing.Floors {
		return slashing.Floors{HasSlot: true, Slot: slot, HasSource: true, Source: source, HasTarget: true, Target: target}
	}
	for _, tt := range []struct {
		name    string
		network *eth2.Network
		now     func() time.Time
		origin  slashing.Origin
		want    slashing.Floors
		err     error
	}{
		{"a generated key has no floor", chain(), at(80), slashing.Generated, slashing.Floors{}, nil},
		{"a generated key needs no clock", timeless(), at(80), slashing.Generated, slashing.Floors{}, nil},
		{"a key that arrives is floored by the clock", chain(), at(80), slashing.Arrived, clock(81, 9, 10), nil},
		{"the floor's target is that of the next slot", chain(), at(79), slashing.Arrived, clock(80, 9, 10), nil},
		{"the source floor does not go below epoch 0", chain(), at(0), slashing.Arrived, clock(1, 0, 0), nil},
		{"a key that arrives before genesis has no floor", chain(), before, slashing.Arrived, slashing.Floors{}, nil},
		{"a key that arrives needs a clock", timeless(), at(80), slashing.Arrived, slashing.Floors{}, slashing.ErrClockUnknown},
		{"an explicit choice needs no clock", timeless(), at(80), slashing.ArrivedNoFloor, slashing.Floors{}, nil},
		{"an explicit choice has no floor", chain(), at(80), slashing.ArrivedNoFloor, slashing.Floors{}, nil},
		{"history that was never imported is no history", chain(), at(80), slashing.WithHistory, slashing.Floors{}, slashing.ErrNoRecord},
	} {
		t.Run(tt.name, func(t *testing.T) {
			g := slashing.New(memory.New(), slashing.Config{Network: tt.network, Now: tt.now})
			if err := g.Enroll(ctx, key(0), tt.origin); !errors.Is(err, tt.err) {
				t.Fatalf("error %v, want %v", err, tt.err)
			}
			if tt.err != nil {
				if _, err := g.State(ctx, key(0)); !errors.Is(err, slashing.ErrNoRecord) {
					t.Errorf("a refused key has a record (%v)", err)
				}
				return
			}
			if got := watermarks(t, g, key(0)); got != tt.want {
				t.Errorf("watermarks %+v, want %+v", got, tt.want)
			}
		})
	}
	t.Run("a key that comes again keeps its record and is floored too", func(t *testing.T) {
		g := slashing.New(memory.New(), slashing.Config{Network: chain(), Now: at(80), MaxFutureEpochs: 1})
		if err := g.Enroll(ctx, key(0), slashing.Generated); err != nil {
			t.Fatal(err)
		}
		if err := block(90, 1).record(g, key(0)); err != nil {
			t.Fatal(err)
		}
		if err := g.Enroll(ctx, key(0), slashing.Arrived); err != nil {
			t.Fatal(err)
		}
		if got, want := watermarks(t, g, key(0)), clock(90, 9, 10); got != want {
			t.Errorf("watermarks %+v, want %+v", got, want)
		}
	})
	t.Run("an unknown origin is refused", func(t *testing.T) {
		g := slashing.New(memory.New(), slashing.Config{Network: timeless()})
		if err := g.Enroll(ctx, key(0), slashing.Generated+1); err == nil {
			t.Error("enrolled")
		}
	})
	t.Run("the error for an unknown clock says what to do", func(t *testing.T) {
		if text := slashing.ErrClockUnknown.Error(); !strings.Contains(text, "without a floor") {
			t.Error(text)
		}
	})
}

func TestRaiseAll(t *testing.T) {
	ctx := context.Background()
	g, _ := newGuard(t, 100)
	if err := g.Disable(ctx, key(3)); err != nil {
		t.Fatal(err)
	}
	want := slashing.FloorsThrough(chain(), 10)
	for range 2 {
		if err := g.RaiseAll(ctx, want); err != nil {
			t.Fatal(err)
		}
		if err := g.RaiseAll(ctx, slashing.FloorsThrough(chain(), 5)); err != nil { // lowers nothing
			t.Fatal(err)
		}
	}
	for i := range byte(100) {
		if got := watermarks(t, g, key(i)); got != want {
			t.Fatalf("key %d: watermarks %+v, want %+v", i, got, want)
		}
	}
	if s, err := g.State(ctx, key(3)); err != nil || !s.Disabled() {
		t.Errorf("raising enabled a disabled key (%v)", err)
	}
}

func TestEnrollAtStartsKeysWhoseHistoryIsLost(t *testing.T) {
	ctx := context.Background()
	g := slashing.New(memory.New(), slashing.Config{Network: chain(), Now: at(80), MaxFutureEpochs: 1})
	if _, err := importFile(g, file(entry(key(1), `{"slot":"500"}`, ""))); err != nil {
		t.Fatal(err)
	}
	floors := slashing.FloorsThrough(chain(), 10)
	if err := g.EnrollAt(ctx, []bls.PublicKey{key(0), key(1)}, floors); err != nil {
		t.Fatal(err)
	}
	if got := watermarks(t, g, key(0)); got != floors {
		t.Errorf("a key of which nothing is known: watermarks %+v, want %+v", got, floors)
	}
	floors.Slot = 500
	if got := watermarks(t, g, key(1)); got != floors {
		t.Errorf("a key with a higher history: watermarks %+v, want %+v", got, floors)
	}
	if err := vote(10, 11, 1).record(g, key(0)); err != nil {
		t.Errorf("the first duty above the floors: %v", err)
	}
}

// TestSignedUntilIsAboveAllThatIsAllowed asks for every message that a Guard
// allows until a time, and then for what conflicts with it, of a Guard that knows
// nothing but the floors of that time.
func TestSignedUntilIsAboveAllThatIsAllowed(t *testing.T) {
	for _, bound := range []uint64{0, 1, 3} {
		for _, slot := range []eth2.Slot{0, 7, 8, 83} {
			cfg := slashing.Config{Network: chain(), Now: at(slot), MaxFutureEpochs: bound}
			floors, err := slashing.New(memory.New(), cfg).SignedUntil(cfg.Now())
			if err != nil {
				t.Fatal(err)
			}
			restored, _ := newGuard(t, 1)
			if err := restored.RaiseAll(context.Background(), floors); err != nil {
				t.Fatal(err)
			}
			allowed := 0
			last := chain().EpochOf(slot) + eth2.Epoch(bound)
			for m, conflicts := range messages(last + 1) { // the clock refuses the last epoch
				if m.record(mustEnroll(t, cfg), key(0)) != nil {
					continue
				}
				allowed++
				for _, conflict := range conflicts {
					if err := conflict.record(restored, key(0)); !errors.Is(err, slashing.ErrSlashable) {
						t.Errorf("bound %d, slot %d: %v was allowed, and now %v: %v", bound, slot, m, conflict, err)
					}
				}
			}
			if floors.Target != last || allowed == 0 {
				t.Errorf("bound %d, slot %d: floors %+v, want no epoch after %d; %d messages allowed", bound, slot, floors, last, allowed)
			}
		}
	}
}

// messages yields every block and vote of the epochs until last, and what
// conflicts with each.
func messages(last eth2.Epoch) iter.Seq2[message, []message] {
	return func(yield func(message, []message) bool) {
		for slot := range chain().FirstSlot(last + 1) {
			if !yield(block(slot, 1), []message{block(slot, 2)}) {
				return
			}
		}
		for target := range last + 1 {
			for source := range max(target, 1) {
				conflicts := []message{vote(source, target, 2)}
				if source > 0 {
					conflicts = append(conflicts, vote(source-1, target+1, 2))
				}
				if !yield(vote(source, target, 1), conflicts) {
					return
				}
			}
		}
	}
}

func mustEnroll(t *testing.T, cfg slashing.Config) *slashing.Guard {
	t.Helper()
	g := slashing.New(memory.New(), cfg)
	if err := g.Enroll(context.Background(), key(0), slashing.Generated); err != nil {
		t.Fatal(err)
	}
	return g
}

func TestSignedUntil(t *testing.T) {
	for _, tt := range []struct {
		name string
		cfg  slashing.Config
		at   time.Time
		want eth2.Epoch
		err  error
	}{
		{"before genesis the clock stands at epoch 0", slashing.Config{Network: chain(), MaxFutureEpochs: 1}, genesis.Add(-time.Hour), 1, nil},
		{"without a bound, the default one is assumed", slashing.Config{Network: chain(), Unbounded: true}, at(80)(), 11, nil},
		{"an absurd bound does not wrap around", slashing.Config{Network: chain(), MaxFutureEpochs: math.MaxUint64}, at(80)(), math.MaxUint64, nil},
		{"without a time of genesis there are none", slashing.Config{Network: timeless(), MaxFutureEpochs: 1}, at(80)(), 0, slashing.ErrClockUnknown},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := slashing.New(memory.New(), tt.cfg).SignedUntil(tt.at)
			if got.Target != tt.want || !errors.Is(err, tt.err) {
				t.Errorf("epoch %d, %v; want %d, %v", got.Target, err, tt.want, tt.err)
			}
		})
	}
}

func TestFloorsThrough(t *testing.T) {
	for _, tt := range []struct {
		last   eth2.Epoch
		slot   eth2.Slot
		source eth2.Epoch
	}{
		{0, 7, 0},
		{1, 15, 0},
		{10, 87, 9},
		{math.MaxUint64 / 8, math.MaxUint64, math.MaxUint64/8 - 1},
		{math.MaxUint64, math.MaxUint64, math.MaxUint64 - 1},
	} {
		want := slashing.Floors{HasSlot: true, Slot: tt.slot, HasSource: true, Source: tt.source, HasTarget: true, Target: tt.last}
		if got := slashing.FloorsThrough(chain(), tt.last); got != want {
			t.Errorf("epoch %d: %+v, want %+v", tt.last, got, want)
		}
	}
}

func TestARecordThatCannotBeReadRefuses(t *testing.T) {
	ctx := context.Background()
	g, store := newGuard(t, 0)
	if err := store.Create(ctx, recordKey(timeless(), key(0)), []byte("nonsense")); err != nil {
		t.Fatal(err)
	}
	_, stateErr := g.State(ctx, key(0))
	for name, err := range map[string]error{
		"Record":  block(1, 1).record(g, key(0)),
		"Enroll":  g.Enroll(ctx, key(0), slashing.Generated),
		"Disable": g.Disable(ctx, key(0)),
		"State":   stateErr,
		"Export":  g.Export(ctx, new(strings.Builder), nil),
	} {
		if err == nil || !strings.Contains(err.Error(), "not a slashing record") || errors.Is(err, slashing.ErrNoRecord) {
			t.Errorf("%s: error %v", name, err)
		}
	}
	if r, err := store.Load(ctx, recordKey(timeless(), key(0))); err != nil || string(r.Value) != "nonsense" {
		t.Errorf("the damaged record was overwritten: %q (%v)", r.Value, err)
	}
}

// hangingUp is a store whose caller goes away in the middle of a write.
type hangingUp struct {
	record.Store
	hangUp  context.CancelFunc
	written error // of the write's own context, at its end
	bounded bool
}

func (h *hangingUp) Replace(ctx context.Context, key record.Key, old record.Version, value []byte) error {
	h.hangUp()
	_, h.bounded = ctx.Deadline()
	h.written = ctx.Err()
	return h.Store.Replace(ctx, key, old, value)
}

func TestACallerWhoHangsUp(t *testing.T) {
	t.Run("before the write has changed nothing", func(t *testing.T) {
		_, inner := newGuard(t, 1)
		store := &counting{Store: inner}
		ctx, cancel := context.WithCancel(context.Background())
		g := slashing.New(&loadsThen{store, cancel}, slashing.Config{Network: timeless()})
		if err := g.Record(ctx, key(0), block(5, 1).typed(), root(1)); !errors.Is(err, context.Canceled) {
			t.Errorf("error %v", err)
		}
		if store.loads != 1 || store.writes != 0 {
			t.Errorf("%d loads, %d writes", store.loads, store.writes)
		}
	})
	t.Run("during the write gets what was written", func(t *testing.T) {
		_, inner := newGuard(t, 1)
		ctx, cancel := context.WithCancel(context.Background())
		store := &hangingUp{Store: inner, hangUp: cancel}
		g := slashing.New(store, slashing.Config{Network: timeless()})
		if err := g.Record(ctx, key(0), block(5, 1).typed(), root(1)); err != nil {
			t.Errorf("error %v", err)
		}
		if store.written != nil || !store.bounded {
			t.Errorf("the write's context: error %v, bounded %v", store.written, store.bounded)
		}
	})
}

// loadsThen calls a function after each load.
type loadsThen struct {
	record.Store
	then func()
}

func (l *loadsThen) Load(ctx context.Context, key record.Key) (record.Record, error) {
	defer l.then()
	return l.Store.Load(ctx, key)
}

// stuck is a store that never finishes a write.
type stuck struct{ record.Store }

func (stuck) Replace(ctx context.Context, _ record.Key, _ record.Version, _ []byte) error {
	<-ctx.Done()
	return ctx.Err()
}

func TestAStoreThatNeverAnswersIsGivenUp(t *testing.T) {
	_, inner := newGuard(t, 1)
	synctest.Test(t, func(t *testing.T) {
		g := slashing.New(stuck{inner}, slashing.Config{Network: timeless()})
		start := time.Now()
		err := block(5, 1).record(g, key(0))
		if !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, slashing.ErrSlashable) {
			t.Errorf("error %v", err)
		}
		if waited := time.Since(start); waited != 10*time.Second {
			t.Errorf("gave up after %v", waited)
		}
	})
}

// listFails is a store whose List ends with an error after one record.
type listFails struct{ record.Store }

func (l listFails) List(ctx context.Context) iter.Seq2[record.Entry, error] {
	return func(yield func(record.Entry, error) bool) {
		for e, err := range l.Store.List(ctx) {
			if !yield(e, err) {
				return
			}
			yield(record.Entry{}, record.ErrUnavailable)
			return
		}
	}
}

func TestAListThatEndsEarlyIsAnError(t *testing.T) {
	_, inner := newGuard(t, 2)
	g := slashing.New(listFails{inner}, slashing.Config{Network: chain(), Now: at(80)})
	if err := g.RaiseAll(context.Background(), slashing.Floors{}); !errors.Is(err, record.ErrUnavailable) {
		t.Errorf("RaiseAll: %v", err)
	}
	var out strings.Builder
	if err := g.Export(context.Background(), &out, nil); !errors.Is(err, record.ErrUnavailable) {
		t.Errorf("Export: %v", err)
	}
}
