package main

import (
	"context"
	"io"
	"time"
)

// transferTime is how long a transfer may stand still.
const transferTime = 5 * time.Minute

// transfer sends body, if it is not nil, and copies the answer to out, or returns
// it where out is nil. It may take any time, as long as it moves.
func (c *client) transfer(ctx context.Context, method, path string, body *measured, out *metered) (text []byte, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	idle := time.AfterFunc(transferTime, cancel)
	defer idle.Stop()
	moves := func(tell func(int64)) func(int64) {
		return func(n int64) { idle.Reset(transferTime); tell(n) }
	}
	var in io.Reader
	if body != nil {
		body.tell = moves(body.tell)
		in = body
	}
	answer, err := c.ask(ctx, method, path, in)
	if err == nil {
		defer answer.Close()
		if out == nil {
			text, err = io.ReadAll(io.LimitReader(answer, maxAnswer))
		} else {
			out.tell = moves(out.tell)
			_, err = io.Copy(out, answer)
		}
		if out != nil && out.err != nil {
			return nil, out.err
		}
		if err != nil {
			err = c.unreachable(err)
		}
	}
	if err != nil && !idle.Stop() {
		err = c.unreachable(context.DeadlineExceeded)
	}
	return text, err
}

// A measured tells how much was read from it.
type measured struct {
	r    io.Reader
	n    int64
	tell func(int64)
}

func (m *measured) Read(p []byte) (int, error) {
	n, err := m.r.Read(p)
	m.n += int64(n)
	m.tell(m.n)
	return n, err
}

// A metered tells how much was written to it.
type metered struct {
	w    io.Writer
	n    int64
	err  error // of w
	tell func(int64)
}

func (m *metered) Write(p []byte) (int, error) {
	n, err := m.w.Write(p)
	m.n += int64(n)
	m.err = err
	m.tell(m.n)
	return n, err
}
