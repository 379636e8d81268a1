package main

import (
	"bytes"
	"testing"
	"time"
)

func TestALineOfProgressTellsHowFarAndHowLong(t *testing.T) {
	p := &progress{what: "imported"}
	for _, tt := range []struct {
		done, total int
		took        time.Duration
		want        string
	}{
		{0, 40, 0, "imported 0 of 40 [                              ]"},
		{20, 40, 10 * time.Second, "imported 20 of 40 [===============               ] 2/s, 10s left"},
		{40, 40, 20 * time.Second, "imported 40 of 40 [==============================] 2/s"},
		{41, 40, 20 * time.Second, "imported 41 of 40 [==============================] 2.05/s"},
		{7, 0, 14 * time.Second, "imported 7 0.5/s"},
	} {
		if got := p.line(tt.done, tt.total, tt.took); got != tt.want {
			t.Errorf("%d of %d after %v: %q, want %q", tt.done, tt.total, tt.took, got, tt.want)
		}
	}
}

func TestProgressIsSeldomWhereNobodyWatches(t *testing.T) {
	var out bytes.Buffer
	c := &tool{stderr: &out}
	p := c.progress("imported")
	p.report(1, 10)
	p.end()
	if out.Len() > 0 {
		t.Errorf("at once: %q", &out)
	}
	p.last = time.Now().Add(-2 * quietTime)
	p.report(2, 10)
	p.report(3, 10)
	if got := out.String(); got != "imported 2 of 10 [======                        ]\n" {
		t.Errorf("after a while: %q", got)
	}
}

func TestProgressOnATerminalIsOneLine(t *testing.T) {
	var out bytes.Buffer
	p := &progress{w: &out, what: "imported", live: true, began: time.Now()}
	p.report(1, 2)
	p.report(1, 2) // too soon
	p.report(2, 2)
	p.end()
	want := "\rimported 1 of 2 [===============               ]\x1b[K" +
		"\rimported 2 of 2 [==============================]\x1b[K\n"
	if got := out.String(); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
