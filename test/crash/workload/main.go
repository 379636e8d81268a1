// Command workload uses a journal as hard as it can and says on its standard
// output, a line in one write each, what it is about to ask and what it has been
// promised. The crash test runs it under strace.
//
//	workload <folder> <times to open> <changes of each client each time>
//
// It ends with 1 if the journal failed, and with 2 if it worked on after that.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync"

	"github.com/secure-signer/secure-signer/record"
	"github.com/secure-signer/secure-signer/record/journal"
	"github.com/secure-signer/secure-signer/test/crash"
)

const clients = 8

func main() {
	if err := run(os.Args[1], number(os.Args[2]), number(os.Args[3])); err != nil {
		fmt.Fprintln(os.Stderr, "workload:", err)
		if errors.Is(err, errNotPoisoned) {
			os.Exit(2)
		}
		os.Exit(1)
	}
}

func number(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		panic(err)
	}
	return n
}

func run(dir string, opens, changes int) error {
	if err := journal.Create(dir, crash.Key); err != nil {
		return err
	}
	crash.Say(crash.Created, "", 0)
	for range opens {
		if err := open(dir, changes); err != nil {
			return err
		}
	}
	return nil
}

func open(dir string, changes int) error {
	s, err := journal.Open(dir, crash.Key)
	if err != nil {
		return err
	}
	errs := make(chan error, clients)
	var wg sync.WaitGroup
	for i := range clients {
		wg.Go(func() { errs <- client(s, i, changes) })
	}
	wg.Wait()
	var failed error
	for range clients {
		failed = errors.Join(failed, <-errs)
	}
	if failed == nil {
		return s.Close()
	}
	if err := s.Create(context.Background(), "late", nil); !errors.Is(err, record.ErrUnavailable) || s.Err() == nil {
		return fmt.Errorf("%w: a call after %w: %v", errNotPoisoned, failed, err)
	}
	return failed
}

var errNotPoisoned = errors.New("the store works on after a failure")

// client changes its own records in turn, and after each looks at one of another
// client, whose change may be on its way.
func client(s *journal.Store, id, changes int) error {
	ctx := context.Background()
	for i := range changes {
		key := name(id, i)
		r, err := s.Load(ctx, key)
		if err != nil && !errors.Is(err, record.ErrNotFound) {
			return err
		}
		v := r.Version + 1
		crash.Say(crash.Asked, key, v)
		if v == 1 {
			err = s.Create(ctx, key, crash.Value(key, v))
		} else {
			err = s.Replace(ctx, key, v-1, crash.Value(key, v))
		}
		if err != nil {
			return err
		}
		crash.Say(crash.Promised, key, v)

		other := name((id+1+i%(clients-1))%clients, i+1)
		if r, err = s.Load(ctx, other); err == nil {
			crash.Say(crash.Seen, other, r.Version)
		}
	}
	return nil
}

func name(client, i int) record.Key {
	return record.Key(fmt.Sprintf("client %d key %d", client, i%3))
}
