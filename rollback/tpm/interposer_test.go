package tpm_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"

	"github.com/secure-signer/secure-signer/rollback"
	"github.com/secure-signer/secure-signer/rollback/tpm"
	"github.com/secure-signer/secure-signer/tpmlink"
	"github.com/secure-signer/secure-signer/tpmlink/tpmtest"
)

// Codes of the commands that matter to an interposer.
const (
	nvIncrement      = 0x134
	nvRead           = 0x14e
	startAuthSession = 0x176
)

func codeOf(command []byte) uint32 { return binary.BigEndian.Uint32(command[6:]) }

// An interposer sits on the bus, as a host can. It sees every command and makes
// every answer.
type interposer struct {
	mu    sync.Mutex
	relay func(command []byte, send tpmtest.Wire) ([]byte, error)
	heard map[uint32][]byte // the last answer to a command, by its code
}

func (i *interposer) set(relay func(command []byte, send tpmtest.Wire) ([]byte, error)) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.relay = relay
}

func (i *interposer) wire(command []byte, send tpmtest.Wire) ([]byte, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.relay(command, send)
}

// listen passes everything on, and remembers it.
func (i *interposer) listen(command []byte, send tpmtest.Wire) ([]byte, error) {
	answer, err := send(command)
	i.heard[codeOf(command)] = slices.Clone(answer)
	return answer, err
}

// only does something to commands of one code, and passes on all others.
func only(code uint32, relay func(command []byte, send tpmtest.Wire) ([]byte, error)) func([]byte, tpmtest.Wire) ([]byte, error) {
	return func(command []byte, send tpmtest.Wire) ([]byte, error) {
		if codeOf(command) == code {
			return relay(command, send)
		}
		return send(command)
	}
}

// attacks are made on one register, which is fooled if it returned no error, and
// what it says is not so. Truth asks the TPM past the interposer.
var attacks = map[string]func(i *interposer, victim rollback.Register, truth func() uint64) (fooled bool){
	"an old value is replayed": func(i *interposer, victim rollback.Register, truth func() uint64) bool {
		i.set(i.listen)
		ctx := context.Background()
		_, err1 := victim.Read(ctx)
		err2 := victim.Increment(ctx)
		if err := errors.Join(err1, err2); err != nil {
			panic(err)
		}
		old := slices.Clone(i.heard[nvRead])
		i.set(only(nvRead, func([]byte, tpmtest.Wire) ([]byte, error) { return old, nil }))
		got, err := victim.Read(ctx)
		return err == nil && got != truth()
	},
	"an increment is dropped, and the answer to another replayed": func(i *interposer, victim rollback.Register, truth func() uint64) bool {
		i.set(i.listen)
		if err := victim.Increment(context.Background()); err != nil {
			panic(err)
		}
		old, before := slices.Clone(i.heard[nvIncrement]), truth()
		i.set(only(nvIncrement, func([]byte, tpmtest.Wire) ([]byte, error) { return old, nil }))
		err := victim.Increment(context.Background())
		return err == nil && truth() != before+1
	},
	"an increment is dropped, and a success made up": func(i *interposer, victim rollback.Register, truth func() uint64) bool {
		before := truth()
		i.set(only(nvIncrement, func([]byte, tpmtest.Wire) ([]byte, error) {
			// Success, no parameters, one session that goes on: as of a password.
			return []byte{0x80, 0x02, 0, 0, 0, 19, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0}, nil
		}))
		err := victim.Increment(context.Background())
		return err == nil && truth() != before+1
	},
	"an increment is sent twice": func(i *interposer, victim rollback.Register, truth func() uint64) bool {
		before := truth()
		i.set(only(nvIncrement, func(command []byte, send tpmtest.Wire) ([]byte, error) {
			answer, err := send(command)
			if _, again := send(command); again != nil {
				return nil, again
			}
			return answer, err
		}))
		err := victim.Increment(context.Background())
		return err == nil && truth() != before+1
	},
	"a value is changed on its way": func(i *interposer, victim rollback.Register, truth func() uint64) bool {
		i.set(only(nvRead, func(command []byte, send tpmtest.Wire) ([]byte, error) {
			answer, err := send(command)
			if err == nil && len(answer) > 23 {
				answer[23]-- // the last byte of the value
			}
			return answer, err
		}))
		got, err := victim.Read(context.Background())
		return err == nil && got != truth()
	},
}

// passwordRegister is what this package is not: it proves its secret by sending it.
type passwordRegister struct {
	link   *tpmlink.Link
	handle tpm2.TPMHandle
	secret []byte
	name   tpm2.TPM2BName
	first  uint64
}

func (r *passwordRegister) auth() tpm2.AuthHandle {
	return tpm2.AuthHandle{Handle: r.handle, Name: r.name, Auth: tpm2.PasswordAuth(r.secret)}
}

func (r *passwordRegister) Read(ctx context.Context) (n uint64, err error) {
	err = r.link.Do(ctx, func(t transport.TPM) error {
		answer, err := tpm2.NVRead{AuthHandle: r.auth(), NVIndex: tpm2.NamedHandle{Handle: r.handle, Name: r.name}, Size: 8}.Execute(t)
		if err != nil {
			return err
		}
		n = binary.BigEndian.Uint64(answer.Data.Buffer) - r.first + firstEpoch
		return nil
	})
	return n, err
}

func (r *passwordRegister) Increment(ctx context.Context) error {
	return r.link.Do(ctx, func(t transport.TPM) error {
		_, err := tpm2.NVIncrement{AuthHandle: r.auth(), NVIndex: tpm2.NamedHandle{Handle: r.handle, Name: r.name}}.Execute(t)
		return err
	})
}

func TestTheBusIsTheHosts(t *testing.T) {
	m := tpmtest.Start(t)
	for name, test := range map[string]func(*testing.T, *tpmtest.TPM){
		"who makes up or replays answers fools nobody": testAttacks,
		"who listens learns no secret":                 testSecret,
		"a Create that fails leaves nothing":           testFailedCreate,
		"a lost answer is unknown":                     testLostAnswers,
		"a TPM that says busy is asked again":          testBusy,
		"no answer is trusted before it is proved":     testFlips,
	} {
		t.Run(name, func(t *testing.T) { test(t, m) })
	}
}

// testAttacks: every attack fails on the counters of this package, and
// succeeds on one by a password: so the attacks are real.
func testAttacks(t *testing.T, m *tpmtest.TPM) {
	id, secret := create(t, m)
	honest := open(t, dial(t, m.Path), id, secret)
	truth := func() uint64 { return read(t, honest.Epochs) }

	bus := func(t *testing.T) (*interposer, *tpmlink.Link) {
		i := &interposer{heard: make(map[uint32][]byte)}
		i.relay = i.listen
		return i, dial(t, m.Interpose(t, i.wire))
	}
	for name, attack := range attacks {
		t.Run(name, func(t *testing.T) {
			i, link := bus(t)
			c := open(t, link, id, secret)
			if attack(i, c.Epochs, truth) {
				t.Error("the counter was fooled")
			}
			i.set(i.listen)
			if got := read(t, c.Epochs); got != truth() {
				t.Errorf("after the attack it says %d, and is at %d", got, truth())
			}

			i, link = bus(t)
			name := nameOf(t, link, id.Epochs.Handle)
			if !attack(i, &passwordRegister{link, tpm2.TPMHandle(id.Epochs.Handle), secret, name, id.Epochs.First}, truth) {
				t.Error("a counter by a password was not fooled: the attack is none")
			}
		})
	}
}

func nameOf(t *testing.T, link *tpmlink.Link, handle uint32) (name tpm2.TPM2BName) {
	t.Helper()
	err := link.Do(t.Context(), func(t transport.TPM) error {
		public, err := tpm2.NVReadPublic{NVIndex: tpm2.TPMHandle(handle)}.Execute(t)
		if err == nil {
			name = public.NVName
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return name
}

// testSecret: the secret crosses the bus once, encrypted; and no session is without
// a salt, or whoever listens from the first command on knows its key.
func testSecret(t *testing.T, m *tpmtest.TPM) {
	var wire []byte
	sessions := 0
	link := dial(t, m.Interpose(t, func(command []byte, send tpmtest.Wire) ([]byte, error) {
		if codeOf(command) == startAuthSession {
			sessions++
			if key := tpm2.TPMHandle(binary.BigEndian.Uint32(command[10:])); key == tpm2.TPMRHNull {
				t.Error("a session without a salt")
			}
		}
		answer, err := send(command)
		wire = append(append(wire, command...), answer...)
		return answer, err
	}))
	id, secret, err := tpm.Create(t.Context(), link, endorse(t, link, m), tpm.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tpm.Remove(context.WithoutCancel(t.Context()), link, id, nil) })
	c := open(t, link, id, secret)
	if err := c.Epochs.Increment(t.Context()); err != nil {
		t.Fatal(err)
	}
	if sessions == 0 || bytes.Contains(wire, secret[:8]) {
		t.Errorf("the secret is among the %d bytes that crossed the bus, in %d sessions", len(wire), sessions)
	}
}

// testFailedCreate: nobody could use what it leaves, and the next
// one would find the index taken.
func testFailedCreate(t *testing.T, m *tpmtest.TPM) {
	for name, fail := range map[string]uint32{"the first increment fails": nvIncrement, "the first read fails": nvRead} {
		t.Run(name, func(t *testing.T) {
			on := false
			link := dial(t, m.Interpose(t, func(command []byte, send tpmtest.Wire) ([]byte, error) {
				if on && codeOf(command) == fail {
					return nil, errors.New("lost")
				}
				return send(command)
			}))
			e := endorse(t, link, m)
			on = true
			if _, _, err := tpm.Create(t.Context(), link, e, tpm.Options{}); err == nil {
				t.Error("it was made all the same")
			}
			for handle := range 2 {
				if err := link.Do(t.Context(), undefine(tpm.DefaultHandle+uint32(handle))); !errors.Is(err, tpm2.TPMRCHandle) {
					t.Errorf("an index was left behind: %v", err)
				}
			}
		})
	}
}

// testLostAnswers: the counter has moved, and nobody may call it his.
func testLostAnswers(t *testing.T, m *tpmtest.TPM) {
	id, secret := create(t, m)
	i := &interposer{heard: make(map[uint32][]byte)}
	i.relay = i.listen
	c := open(t, dial(t, m.Interpose(t, i.wire)), id, secret)
	before := read(t, c.Epochs)
	for name, lose := range map[string]func(command []byte, send tpmtest.Wire) ([]byte, error){
		"the connection breaks": func(command []byte, send tpmtest.Wire) ([]byte, error) {
			_, _ = send(command)
			return nil, errors.New("lost")
		},
		"an error is made up": func(command []byte, send tpmtest.Wire) ([]byte, error) {
			_, _ = send(command)
			return []byte{0x80, 0x01, 0, 0, 0, 10, 0, 0, 0x01, 0x01}, nil
		},
		"nothing comes": func(command []byte, send tpmtest.Wire) ([]byte, error) {
			_, _ = send(command)
			time.Sleep(300 * time.Millisecond)
			return nil, errors.New("lost")
		},
	} {
		i.set(only(nvIncrement, lose))
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		if err := rollback.Exclusive(c.Epochs).Advance(ctx, before+1); err == nil {
			t.Errorf("%s: it was taken for a success", name)
		}
		cancel()
		i.set(i.listen)
		if before++; read(t, c.Epochs) != before {
			t.Fatalf("%s: the counter did not move: nothing was tested", name)
		}
		if err := rollback.Exclusive(c.Epochs).Advance(t.Context(), before+1); err != nil {
			t.Errorf("%s: after it: %v", name, err)
		}
		before++
	}
}

// testBusy: and a lie of it is found out.
func testBusy(t *testing.T, m *tpmtest.TPM) {
	id, secret := create(t, m)
	honest := open(t, dial(t, m.Path), id, secret)
	for name, test := range map[string]struct{ carriedOut, want bool }{
		"it is":     {carriedOut: false, want: true},
		"it is not": {carriedOut: true, want: false},
	} {
		t.Run(name, func(t *testing.T) {
			said := 0
			c := open(t, dial(t, m.Interpose(t, only(nvIncrement, func(command []byte, send tpmtest.Wire) ([]byte, error) {
				if said++; said > 2 {
					return send(command)
				}
				if test.carriedOut {
					_, _ = send(command)
				}
				return []byte{0x80, 0x01, 0, 0, 0, 10, 0, 0, 0x09, 0x22}, nil // TPM_RC_RETRY
			}))), id, secret)
			before := read(t, honest.Epochs)
			err := c.Epochs.Increment(t.Context())
			if (err == nil) != test.want {
				t.Errorf("got %v", err)
			}
			if got := read(t, honest.Epochs); got != before+1 {
				t.Errorf("it has moved by %d", got-before)
			}
		})
	}
}

// testFlips: one bit of any answer changes, from the first to the last, and whatever
// comes of it is the truth or an error.
func testFlips(t *testing.T, m *tpmtest.TPM) {
	id, secret := create(t, m)
	count, opened, bits := 0, 0, 0
	step := 1
	if testing.Short() {
		step = 5
	}
	for target, more := 0, true; more; target += step + target%3 {
		more = false
		count = 0
		path := m.Interpose(t, func(command []byte, send tpmtest.Wire) ([]byte, error) {
			answer, err := send(command)
			if at := target - count; err == nil && at >= 0 && at < len(answer) {
				answer[at] ^= 1 << (target % 8)
				more = true
			}
			count += len(answer)
			return answer, err
		})
		link := dial(t, path)
		ctx, cancel := context.WithTimeout(t.Context(), 250*time.Millisecond) // as a changed length waits for more
		if c, err := tpm.Open(ctx, link, id, secret); err == nil {
			opened++
			if n, err := c.Epochs.Read(ctx); err == nil && n != firstEpoch {
				t.Errorf("with byte %d of all answers changed the epoch is %d", target, n)
			}
		}
		cancel()
		link.Close()
		bits++
	}
	t.Logf("%d bits of %d bytes changed: opened all the same %d times", bits, count, opened)
	if opened == bits {
		t.Error("every change was harmless: nothing was tested")
	}
}
