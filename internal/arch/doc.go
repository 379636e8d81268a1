// Package arch holds the architecture as tests: who may import whom, how big a
// file or a function may grow, and what each binary links.
//
// The tests parse the source themselves. A version that asked the go command
// would be answered from the test cache after a forbidden import was added.
package arch
