package main

import "runtime/debug"

// startPercent is how much garbage may lie beside what is in use while the vault
// and the journal are read, in percent of it. What reading leaves behind would
// otherwise come to more than 100,000 keys take, for a moment, and a machine or a
// container has to have room for that moment.
const startPercent = 25

// thrifty keeps memory small until generous is called, which gives back what
// nothing needs any more.
func thrifty() (generous func()) {
	before := debug.SetGCPercent(startPercent)
	return func() {
		debug.SetGCPercent(before)
		debug.FreeOSMemory()
	}
}
