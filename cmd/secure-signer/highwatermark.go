package main

import (
	"errors"
	"strconv"

	"github.com/secure-signer/secure-signer/web3signer"
)

// An optional is a flag that holds a number or, unlike one of 0, nothing.
type optional[N ~uint64] struct{ value *N }

func (o *optional[N]) String() string {
	if o.value == nil {
		return ""
	}
	return strconv.FormatUint(uint64(*o.value), 10)
}

func (o *optional[N]) Set(text string) error {
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return errors.New("want a number from 0 to 2^64-1")
	}
	v := N(n)
	o.value = &v
	return nil
}

func (o *optional[N]) Type() string { return "number" }

// stopsAt is where the signer stops, as the Web3Signer API tells it. The log tells,
// too: a flag that was forgotten after a move looks like a fault.
func (d *daemon) stopsAt() *web3signer.HighWatermark {
	h := d.guard.HighWatermark()
	if !h.Set {
		return nil
	}
	d.log.Warn("the high watermark: nothing is signed from there on", "epoch", h.Epoch, "slot", h.Slot)
	return &web3signer.HighWatermark{Epoch: h.Epoch, Slot: h.Slot}
}
