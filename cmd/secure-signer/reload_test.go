package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/secure-signer/secure-signer/web3signer"
)

func TestWhatComesOfAReload(t *testing.T) {
	fine := source{"fine", func(context.Context) ([]string, error) { return nil, nil }}
	bad := source{"bad", func(context.Context) ([]string, error) { return nil, errors.New("unreadable") }}
	partly := source{"partly", func(context.Context) ([]string, error) { return []string{"0x01", "0x02"}, nil }}
	huge := source{"huge", func(context.Context) (names []string, err error) {
		for i := range maxNames + 10 {
			names = append(names, fmt.Sprint(i))
		}
		return names, nil
	}}
	for _, tt := range []struct {
		name    string
		sources []source
		state   web3signer.ReloadState
		failed  []string
	}{
		{"everything is read", []source{fine, fine}, web3signer.ReloadCompleted, nil},
		{"one of two is not", []source{bad, fine}, web3signer.ReloadCompletedWithErrors, []string{"bad"}},
		{"some keys are not", []source{fine, partly}, web3signer.ReloadCompletedWithErrors, []string{"0x01", "0x02"}},
		{"nothing is", []source{bad, bad}, web3signer.ReloadFailed, []string{"bad", "bad"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newReloader(slog.New(slog.DiscardHandler), tt.sources)
			r.reload(t.Context())
			if got := r.state(); got.State != tt.state || !slices.Equal(got.Failed, tt.failed) || got.Ended.IsZero() {
				t.Errorf("got %+v, want %s %v", got, tt.state, tt.failed)
			}
		})
	}
	r := newReloader(slog.New(slog.DiscardHandler), []source{huge})
	r.reload(t.Context())
	if got := r.state().Failed; len(got) != maxNames+1 || got[maxNames] != "10 more" {
		t.Errorf("%d names, the last is %q", len(got), got[len(got)-1])
	}
}

func TestOneReloadAtATimeAndNoHangupIsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var read atomic.Int64
		r := newReloader(slog.New(slog.DiscardHandler), []source{{"slow", func(context.Context) ([]string, error) {
			read.Add(1)
			time.Sleep(time.Second)
			return nil, nil
		}}})
		if r.state().State != web3signer.ReloadIdle || !r.start() || r.start() {
			t.Error("before anything runs a reload can be started, once")
		}
		ctx, cancel := context.WithCancel(t.Context())
		hangup := make(chan os.Signal, 1)
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			r.run(ctx, hangup)
		}()
		time.Sleep(time.Second / 2)
		if r.start() || r.state().State != web3signer.ReloadRunning {
			t.Error("a second reload was started while one was running")
		}
		hangup <- syscall.SIGHUP
		time.Sleep(time.Second)
		if read.Load() != 2 || r.state().State != web3signer.ReloadRunning {
			t.Errorf("a hang-up during a reload: read %d times, %s", read.Load(), r.state().State)
		}
		time.Sleep(time.Second)
		if read.Load() != 2 || r.state().State != web3signer.ReloadCompleted {
			t.Errorf("afterwards: read %d times, %s", read.Load(), r.state().State)
		}
		cancel()
		<-ended
	})
}
