// Package hostile attacks the real daemon over its sockets, while honest
// clients sign beside the attack.
//
// Thousands of mutations of real requests, written byte by byte, so that
// whatever an HTTP library would refuse to send is sent too; clients that send
// or read slowly, or not at all; floods of connections; bodies and headers that
// are made to fill memory; a TLS listener that is not spoken to in TLS.
//
// Afterwards: nothing panicked, every answer had a status and a body that the
// API promises, no goroutine and no descriptor is left over, memory stayed below
// a stated bound, the honest clients were served all the time, and package judge
// finds no conflict among everything that was signed.
//
// It says what it hit, and fails where it hardly hit what it aims at.
package hostile
