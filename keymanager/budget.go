package keymanager

import "context"

// A budget bounds the memory of what runs at the same time.
type budget struct {
	tokens chan struct{} // holds what is in use, a unit each
	turn   chan struct{} // held by the one who is taking: two never wait for each other's half
}

// budgetUnit is what a token stands for, in bytes. Whatever takes less counts as
// one, so that the budget bounds also how many run at once.
const budgetUnit = 16 << 20

func newBudget(bytes int64) *budget {
	return &budget{tokens: make(chan struct{}, max(1, bytes/budgetUnit)), turn: make(chan struct{}, 1)}
}

// take waits until that many bytes are free, or all of them if there are never
// so many, and returns what gives them back.
func (b *budget) take(ctx context.Context, bytes int64) (giveBack func(), err error) {
	select {
	case b.turn <- struct{}{}:
		defer func() { <-b.turn }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	want := min(max(1, (bytes+budgetUnit-1)/budgetUnit), int64(cap(b.tokens)))
	taken := 0
	giveBack = func() {
		for range taken {
			<-b.tokens
		}
	}
	for range want {
		select {
		case b.tokens <- struct{}{}:
			taken++
		case <-ctx.Done():
			giveBack()
			return nil, ctx.Err()
		}
	}
	return giveBack, nil
}
