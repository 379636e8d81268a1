package main

import (
	"context"
	"io"
	"time"
)

// standstill is how long a transfer may stand still. It may take any time as long
// as it moves.
const standstill = 5 * time.Minute

// upload posts a body of any length and returns the answer. moved is told how many
// bytes have gone.
func (c *client) upload(ctx context.Context, path string, body io.Reader, moved func(int64)) ([]byte, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	sent := track(body, cancel, moved)
	defer sent.idle.Stop()
	answer, err := c.ask(ctx, "POST", path, sent)
	if err != nil {
		return nil, sent.explain(c, err)
	}
	defer answer.Close()
	text, err := io.ReadAll(io.LimitReader(answer, maxAnswer))
	if err != nil {
		return nil, sent.explain(c, c.unreachable(err))
	}
	return text, nil
}

// download writes an answer of any length to w. moved is told how many bytes have
// come.
func (c *client) download(ctx context.Context, path string, w io.Writer, moved func(int64)) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	answer, err := c.ask(ctx, "GET", path, nil)
	if err != nil {
		return err
	}
	defer answer.Close()
	received := track(answer, cancel, moved)
	defer received.idle.Stop()
	_, err = io.Copy(w, received)
	if received.err != nil { // else it is w's
		err = received.explain(c, c.unreachable(received.err))
	}
	return err
}

// A tracked reader tells how much was read from it, and cancels where nothing is
// for too long.
type tracked struct {
	r     io.Reader
	n     int64
	err   error // of r
	moved func(int64)
	idle  *time.Timer
}

func track(r io.Reader, cancel func(), moved func(int64)) *tracked {
	return &tracked{r: r, moved: moved, idle: time.AfterFunc(standstill, cancel)}
}

func (t *tracked) Read(p []byte) (int, error) {
	n, err := t.r.Read(p)
	t.n += int64(n)
	if err != nil && err != io.EOF {
		t.err = err
	}
	t.idle.Reset(standstill)
	t.moved(t.n)
	return n, err
}

// explain is the error of a transfer, which is that it stood still if it did.
func (t *tracked) explain(c *client, err error) error {
	if !t.idle.Stop() {
		return c.unreachable(context.DeadlineExceeded)
	}
	return err
}
