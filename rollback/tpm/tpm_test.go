package tpm_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"

	"github.com/secure-signer/secure-signer/rollback"
	"github.com/secure-signer/secure-signer/rollback/rollbacktest"
	"github.com/secure-signer/secure-signer/rollback/tpm"
	"github.com/secure-signer/secure-signer/tpmlink"
	"github.com/secure-signer/secure-signer/tpmlink/tpmtest"
)

func dial(t *testing.T, path string) *tpmlink.Link {
	t.Helper()
	link, err := tpmlink.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { link.Close() })
	return link
}

func endorse(t *testing.T, link *tpmlink.Link, m *tpmtest.TPM) tpmlink.Endorsement {
	t.Helper()
	roots, err := tpmlink.LoadRoots(m.Roots)
	if err != nil {
		t.Fatal(err)
	}
	e, err := link.Endorse(t.Context(), tpmlink.Trust{Roots: roots})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

const firstEpoch = 1000

// create makes counters that end with the test.
func create(t *testing.T, m *tpmtest.TPM) (tpm.Identity, []byte) {
	t.Helper()
	link := dial(t, m.Path)
	id, secret, err := tpm.Create(t.Context(), link, endorse(t, link, m), tpm.Options{Epoch: firstEpoch})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tpm.Remove(context.WithoutCancel(t.Context()), link, id, nil) })
	return id, secret
}

func open(t *testing.T, link *tpmlink.Link, id tpm.Identity, secret []byte) *tpm.Counters {
	t.Helper()
	c, err := tpm.Open(t.Context(), link, id, secret)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close(context.WithoutCancel(t.Context())) })
	return c
}

func read(t *testing.T, r rollback.Register) uint64 {
	t.Helper()
	n, err := r.Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestCountersOfATPM(t *testing.T) {
	m := tpmtest.Start(t)
	id, secret := create(t, m)
	if !id.TPM.Verified() || id.Epochs.Handle != tpm.DefaultHandle || id.Stops.Handle != tpm.DefaultHandle+1 {
		t.Errorf("got %+v", id)
	}
	text, err := json.Marshal(id)
	if err != nil {
		t.Fatal(err)
	}
	var again tpm.Identity
	if err := json.Unmarshal(text, &again); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(id, again); diff != "" {
		t.Errorf("by way of JSON:\n%s", diff)
	}

	c := open(t, dial(t, m.Path), again, secret)
	if e, s := read(t, c.Epochs), read(t, c.Stops); e != firstEpoch || s != 0 {
		t.Errorf("they begin at %d and %d, want %d and 0", e, s, firstEpoch)
	}
	for range 3 {
		if err := c.Epochs.Increment(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Stops.Increment(t.Context()); err != nil {
		t.Fatal(err)
	}
	want := func(c *tpm.Counters, when string) {
		t.Helper()
		if e, s := read(t, c.Epochs), read(t, c.Stops); e != firstEpoch+3 || s != 1 {
			t.Errorf("%s they are at %d and %d, want %d and 1", when, e, s, firstEpoch+3)
		}
	}
	want(c, "after increments")
	want(open(t, dial(t, m.Path), id, secret), "over another connection")

	m.PowerOff(t)
	m.PowerOn(t)
	want(c, "after a power cut, which has ended every session,")
	if err := errors.Join(c.Close(t.Context()), c.Close(t.Context())); err != nil {
		t.Errorf("close: %v", err)
	}
	want(c, "after the session was closed")
}

func TestTheConformanceSuite(t *testing.T) {
	m := tpmtest.Start(t)
	for name, pick := range map[string]func(*tpm.Counters) rollback.Register{
		"epochs": func(c *tpm.Counters) rollback.Register { return c.Epochs },
		"stops":  func(c *tpm.Counters) rollback.Register { return c.Stops },
	} {
		t.Run(name, func(t *testing.T) {
			rollbacktest.Test(t, func(t *testing.T) func() rollback.Counter {
				id, secret := create(t, m)
				return func() rollback.Counter {
					return rollback.Exclusive(pick(open(t, dial(t, m.Path), id, secret)))
				}
			})
		})
	}
}

// asOwner runs a command as the owner of the machine can.
func asOwner(t *testing.T, m *tpmtest.TPM, command func(transport.TPM) error) {
	t.Helper()
	if err := dial(t, m.Path).Do(t.Context(), command); err != nil {
		t.Fatal(err)
	}
}

func undefine(handle uint32) func(transport.TPM) error {
	return func(t transport.TPM) error {
		public, err := tpm2.NVReadPublic{NVIndex: tpm2.TPMHandle(handle)}.Execute(t)
		if err != nil {
			return err
		}
		_, err = tpm2.NVUndefineSpace{
			AuthHandle: tpm2.TPMRHOwner,
			NVIndex:    tpm2.NamedHandle{Handle: tpm2.TPMHandle(handle), Name: public.NVName},
		}.Execute(t)
		return err
	}
}

// redefine makes the index anew, exactly as Create does but for the secret, and
// moves it to where it was.
func redefine(handle uint32, secret []byte, attributes tpm2.TPMANV) func(transport.TPM) error {
	return func(t transport.TPM) error {
		area := tpm2.TPMSNVPublic{NVIndex: tpm2.TPMHandle(handle), NameAlg: tpm2.TPMAlgSHA256, Attributes: attributes, DataSize: 8}
		if _, err := (tpm2.NVDefineSpace{AuthHandle: tpm2.TPMRHOwner, Auth: tpm2.TPM2BAuth{Buffer: secret}, PublicInfo: tpm2.New2B(area)}).Execute(t); err != nil {
			return err
		}
		name, err := tpm2.NVName(&area)
		if err != nil {
			return err
		}
		_, err = tpm2.NVIncrement{
			AuthHandle: tpm2.AuthHandle{Handle: area.NVIndex, Name: *name, Auth: tpm2.PasswordAuth(secret)},
			NVIndex:    tpm2.NamedHandle{Handle: area.NVIndex, Name: *name},
		}.Execute(t)
		return err
	}
}

var asCreated = tpm2.TPMANV{NT: tpm2.TPMNTCounter, AuthRead: true, AuthWrite: true, NoDA: true}

func TestTheMachinesOwnerCannotReplaceACounter(t *testing.T) {
	m := tpmtest.Start(t)
	tests := map[string]struct {
		change func(t *testing.T, id tpm.Identity, secret []byte)
		want   string
	}{
		"deleted": {func(t *testing.T, id tpm.Identity, _ []byte) {
			asOwner(t, m, undefine(id.Epochs.Handle))
		}, "it was deleted"},
		"deleted and made again with another secret": {func(t *testing.T, id tpm.Identity, _ []byte) {
			asOwner(t, m, undefine(id.Epochs.Handle))
			asOwner(t, m, redefine(id.Epochs.Handle, []byte("guess"), asCreated))
		}, "made another in its place"},
		"made again by who has the secret, for the owner to write": {func(t *testing.T, id tpm.Identity, secret []byte) {
			attributes := asCreated
			attributes.OwnerWrite = true
			asOwner(t, m, undefine(id.Epochs.Handle))
			asOwner(t, m, redefine(id.Epochs.Handle, secret, attributes))
		}, "made another in its place"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			id, secret := create(t, m)
			c := open(t, dial(t, m.Path), id, secret)
			test.change(t, id, secret)
			check := func(what string, err error) {
				t.Helper()
				if !errors.Is(err, tpm.ErrNoCounter) || !strings.Contains(err.Error(), test.want) {
					t.Errorf("%s: got %v, want %q", what, err, test.want)
				}
			}
			_, err := c.Epochs.Read(t.Context())
			check("read", err)
			check("increment", c.Epochs.Increment(t.Context()))
			_, err = tpm.Open(t.Context(), dial(t, m.Path), id, secret)
			check("open", err)
			if _, err := c.Stops.Read(t.Context()); err != nil {
				t.Errorf("the other counter: %v", err)
			}
		})
	}
}

func TestOpenTakesWhatCreateMadeOnly(t *testing.T) {
	m, stranger := tpmtest.Start(t), tpmtest.Start(t)
	id, secret := create(t, m)
	create(t, stranger)
	for name, test := range map[string]struct {
		on     *tpmtest.TPM
		change func(id *tpm.Identity, secret []byte) []byte
		want   string
	}{
		"another TPM": {stranger, func(_ *tpm.Identity, secret []byte) []byte { return secret }, "this is another TPM"},
		"another TPM, called ours": {stranger, func(id *tpm.Identity, secret []byte) []byte {
			id.TPM = endorse(t, dial(t, stranger.Path), stranger)
			return secret
		}, "made another in its place"},
		"another secret": {m, func(_ *tpm.Identity, secret []byte) []byte {
			return append([]byte{secret[0] ^ 0x80 | 1}, secret[1:]...)
		}, "made another in its place"},
		"half a secret":   {m, func(_ *tpm.Identity, secret []byte) []byte { return secret[:16] }, "has 16 bytes"},
		"a secret with 0": {m, func(_ *tpm.Identity, secret []byte) []byte { return append([]byte{0}, secret[1:]...) }, "or a zero"},
		"another index": {m, func(id *tpm.Identity, secret []byte) []byte {
			id.Epochs.Handle += 7
			return secret
		}, "not as this release makes it"},
		"a counter that was made later": {m, func(id *tpm.Identity, secret []byte) []byte {
			id.Epochs.First += 5
			return secret
		}, "was made at"},
		"another template": {m, func(id *tpm.Identity, secret []byte) []byte {
			id.TPM.Template = "rsa-4096"
			return secret
		}, "does not know it"},
	} {
		t.Run(name, func(t *testing.T) {
			id, secret := id, append([]byte(nil), secret...)
			secret = test.change(&id, secret)
			_, err := tpm.Open(t.Context(), dial(t, test.on.Path), id, secret)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
	if c := open(t, dial(t, m.Path), id, secret); read(t, c.Epochs) != firstEpoch {
		t.Error("one of these has moved the counter")
	}
}

func TestCreateTakesNothingFromAnybody(t *testing.T) {
	m := tpmtest.Start(t)
	link := dial(t, m.Path)
	e := endorse(t, link, m)
	asOwner(t, m, redefine(tpm.DefaultHandle+1, []byte("another program's"), asCreated))
	_, _, err := tpm.Create(t.Context(), link, e, tpm.Options{})
	if !errors.Is(err, tpm.ErrTaken) || !strings.Contains(err.Error(), "tpm2_nvundefine -C o 0x1805351") {
		t.Errorf("got %v", err)
	}
	asOwner(t, m, undefine(tpm.DefaultHandle+1))
	if err := link.Do(t.Context(), undefine(tpm.DefaultHandle)); !errors.Is(err, tpm2.TPMRCHandle) {
		t.Errorf("the first counter was left behind: %v", err)
	}

	id, _, err := tpm.Create(t.Context(), link, e, tpm.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := tpm.Remove(t.Context(), link, id, nil); err != nil {
		t.Error(err)
	}
	if err := tpm.Remove(t.Context(), link, id, nil); !errors.Is(err, tpm2.TPMRCHandle) {
		t.Errorf("removed twice: %v", err)
	}

	asOwner(t, m, func(t transport.TPM) error {
		_, err := tpm2.HierarchyChangeAuth{AuthHandle: tpm2.TPMRHOwner, NewAuth: tpm2.TPM2BAuth{Buffer: []byte("owner's")}}.Execute(t)
		return err
	})
	if _, _, err := tpm.Create(t.Context(), link, e, tpm.Options{}); err == nil || !strings.Contains(err.Error(), "owner hierarchy has another password") {
		t.Errorf("without the owner's password: %v", err)
	}
	if _, _, err := tpm.Create(t.Context(), link, e, tpm.Options{OwnerAuth: []byte("owner's")}); err != nil {
		t.Errorf("with the owner's password: %v", err)
	}
}

// TestATPMInSoftwareForgets: what no session can tell. It is asserted so that the
// package comment stays true.
func TestATPMInSoftwareForgets(t *testing.T) {
	m := tpmtest.Start(t)
	id, secret := create(t, m)
	saved := m.SaveState(t)
	c := open(t, dial(t, m.Path), id, secret)
	if err := c.Epochs.Increment(t.Context()); err != nil {
		t.Fatal(err)
	}
	m.PowerOff(t)
	m.RestoreState(t, saved)
	m.PowerOn(t)
	if got := read(t, open(t, dial(t, m.Path), id, secret).Epochs); got != firstEpoch {
		t.Errorf("got %d, want %d: if such a TPM cannot be rolled back any more, say so", got, firstEpoch)
	}
}
