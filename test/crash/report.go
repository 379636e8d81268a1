// Package crash rebuilds what a disk may hold after a crash, from the system
// calls of a program that wrote to it, and judges whether a journal recovers.
package crash

import (
	"fmt"
	"os"
	"strings"

	"github.com/secure-signer/secure-signer/record"
)

// Key is the key of the journals under test.
var Key = [32]byte{1, 2, 3}

// The words that the workload begins its lines with.
const (
	Created  = "created"  // the journal exists
	Asked    = "asked"    // it is about to write this version
	Promised = "promised" // it was told that this version is durable
	Seen     = "seen"     // it has loaded this version
)

// Say writes one line to the standard output in one system call.
func Say(word string, key record.Key, v record.Version) {
	if _, err := fmt.Fprintf(os.Stdout, "%s %d %s\n", word, v, key); err != nil {
		panic(err)
	}
}

// hear reads what Say wrote.
func hear(line string) (word string, key record.Key, v record.Version, err error) {
	if _, err := fmt.Sscanf(line, "%s %d", &word, &v); err != nil {
		return "", "", 0, fmt.Errorf("line %q: %w", line, err)
	}
	name := strings.SplitN(strings.TrimSuffix(line, "\n"), " ", 3)[2]
	return word, record.Key(name), v, nil
}

// Value is what the workload writes as a version of a key. Some are long, so that
// frames have several pages.
func Value(key record.Key, v record.Version) []byte {
	return fmt.Appendf(nil, "%s at version %d%s", key, v, strings.Repeat(".", int(v*v)%900))
}
