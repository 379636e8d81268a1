package witness_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/secure-signer/secure-signer/record"
	"github.com/secure-signer/secure-signer/rollback"
	"github.com/secure-signer/secure-signer/rollback/witness"
)

const (
	copies = 3
	calls  = 14 // of each copy in one schedule
)

// TestNoNumberIsWonTwice is the proof of this package: three copies of a signer,
// each with the true client, race over true witnesses. The adversary is the network
// and the power supply: he delays, loses, repeats and misdelivers what is sent,
// answers in the place of a witness with what it once said or with what the asker
// wants to hear, offers claims of his own, and turns off witnesses, of which each
// may forget the last that it wrote. If there are four, one of them is his: it
// signs as if it had forgotten everything.
//
// In each schedule no number is won twice, no read falls below what any call
// had found out before it began, and nothing is read that no copy has asked for.
//
// SECURE_SIGNER_LONG=1 runs 5,000 schedules instead of 100. One of them is not
// repeated exactly by its number: the copies run beside each other.
func TestNoNumberIsWonTwice(t *testing.T) {
	schedules := uint64(100)
	switch {
	case os.Getenv("SECURE_SIGNER_LONG") != "":
		schedules = 5_000
	case testing.Short():
		schedules = 50
	}
	var (
		next  atomic.Uint64
		total tally
		mu    sync.Mutex
		all   sync.WaitGroup
	)
	for range runtime.GOMAXPROCS(0) {
		all.Go(func() {
			for seed := next.Add(1); seed <= schedules && !t.Failed(); seed = next.Add(1) {
				synctest.Test(t, func(t *testing.T) {
					w := newWorld(seed)
					w.run()
					for _, broken := range w.broken {
						t.Errorf("schedule %d: %s", seed, broken)
					}
					mu.Lock()
					defer mu.Unlock()
					total.add(w.tally)
				})
			}
		})
	}
	all.Wait()
	t.Logf("%d schedules: %+v", schedules, total)
	for what, n := range map[string]uint64{
		"numbers were won": total.Won, "calls failed": total.Failed, "numbers were lost to all": total.Split,
		"messages came late": total.Late, "messages were lost": total.Lost, "answers were old": total.Replayed, "answers were forged": total.Forged,
		"claims were forged": total.Planted, "witnesses lied": total.Lies, "witnesses died": total.Deaths, "writes were torn": total.Torn,
	} {
		if n < schedules/4 {
			t.Errorf("only %d times %s in %d schedules: the adversary aims badly", n, what, schedules)
		}
	}
}

// A tally counts what has happened.
type tally struct {
	Reads, Won, Failed, Split                                 uint64
	Late, Lost, Replayed, Forged, Planted, Deaths, Torn, Lies uint64
}

func (t *tally) add(o tally) {
	t.Reads += o.Reads
	t.Won += o.Won
	t.Failed += o.Failed
	t.Split += o.Split
	t.Late += o.Late
	t.Lost += o.Lost
	t.Replayed += o.Replayed
	t.Forged += o.Forged
	t.Planted += o.Planted
	t.Deaths += o.Deaths
	t.Torn += o.Torn
	t.Lies += o.Lies
}

// A world is one schedule.
type world struct {
	signer    ed25519.PrivateKey
	witnesses []*machine
	carried   sync.WaitGroup // all that is under way

	mu sync.Mutex // guards what follows
	tally
	rng    *rand.Rand
	floor  uint64          // no call that begins now may find less
	asked  uint64          // the highest number that a copy has asked for
	won    map[uint64]bool // of each number that was tried, by whichever copy
	broken []string
}

func newWorld(seed uint64) *world {
	w := &world{rng: rand.New(rand.NewPCG(seed, 0)), signer: newKey(100), won: make(map[uint64]bool)}
	n := []int{3, 3, 4, 4, 5}[seed%5]
	for i := range n {
		m := &machine{world: w, key: newKey(byte(i)), disk: make(map[record.Key]record.Record), liar: n == 4 && i == 0}
		m.process = m.boot()
		if err := witness.Enrol(context.Background(), m.process, w.signer.Public().(ed25519.PublicKey)); err != nil {
			panic(err)
		}
		w.witnesses = append(w.witnesses, m)
	}
	return w
}

func newKey(seed byte) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{seed}, ed25519.SeedSize))
}

// chance is true in one of n cases.
func (w *world) chance(n int) bool { return w.intN(n) == 0 }

func (w *world) intN(n int) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.rng.IntN(n)
}

func (w *world) count(n *uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	*n++
}

// pause lets a short time pass, now and then a long one.
func (w *world) pause() {
	d := time.Duration(w.intN(40)) * time.Millisecond
	if w.chance(12) {
		d *= 60
	}
	time.Sleep(d)
}

func (w *world) run() {
	var all sync.WaitGroup
	for range copies {
		all.Go(w.live)
	}
	done := make(chan struct{})
	w.carried.Go(func() { w.failPower(done) })
	all.Wait()
	close(done)
	w.carried.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	for n, won := range w.won {
		if !won && n <= w.floor {
			w.Split++
		}
	}
}

// failPower turns off one witness after the other.
func (w *world) failPower(done chan struct{}) {
	for {
		select {
		case <-done:
			return
		case <-time.After(time.Duration(w.intN(1500)) * time.Millisecond):
			w.witnesses[w.intN(len(w.witnesses))].die()
		}
	}
}

// live is what a copy does.
func (w *world) live() {
	config := witness.Config{Signer: w.signer, Client: &http.Client{Transport: w}}
	for i, m := range w.witnesses {
		config.Witnesses = append(config.Witnesses, witness.Witness{URL: fmt.Sprintf("http://%d", i), Key: m.key.Public().(ed25519.PublicKey)})
	}
	client, err := witness.New(config)
	if err != nil {
		panic(err)
	}
	defer client.Close()
	var known uint64
	for range calls {
		w.pause()
		switch w.intN(8) {
		case 0:
			w.raise(client, known+uint64(w.intN(3)))
		case 1, 2, 3:
			known = w.read(client.Epochs(), known)
		default:
			if w.advance(client.Epochs(), known+1) {
				known++
			} else {
				known = w.read(client.Epochs(), known)
			}
		}
	}
}

// begin notes that a copy asks for n, and returns what a call may not fall below.
func (w *world) begin(n uint64) (floor uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.asked = max(w.asked, n)
	if _, tried := w.won[n]; !tried {
		w.won[n] = false
	}
	return w.floor
}

func (w *world) read(c rollback.Counter, known uint64) uint64 {
	floor := w.begin(0)
	n, err := c.Read(context.Background())
	w.mu.Lock()
	defer w.mu.Unlock()
	w.Reads++
	switch {
	case err != nil:
		w.Failed++
		return known
	case n < floor:
		w.broken = append(w.broken, fmt.Sprintf("a read fell to %d after %d was known", n, floor))
	case n > w.asked:
		w.broken = append(w.broken, fmt.Sprintf("%d was read, and nobody has asked for more than %d", n, w.asked))
	}
	w.floor = max(w.floor, n)
	return n
}

func (w *world) raise(c *witness.Client, n uint64) {
	w.begin(n)
	err := c.Raise(context.Background(), n)
	w.mu.Lock()
	defer w.mu.Unlock()
	if err == nil {
		w.floor = max(w.floor, n)
	}
}

func (w *world) advance(c rollback.Counter, n uint64) bool {
	floor := w.begin(n)
	err := c.Advance(context.Background(), n)
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case err != nil:
		w.Failed++
		return false
	case w.won[n]:
		w.broken = append(w.broken, fmt.Sprintf("number %d was won twice", n))
	case n <= floor:
		w.broken = append(w.broken, fmt.Sprintf("number %d was won after %d was known", n, floor))
	}
	w.Won++
	w.won[n] = true
	w.floor = max(w.floor, n)
	return true
}

var errNetwork = errors.New("the network has swallowed it")

// RoundTrip carries a request to a witness and its answer back, or so it says.
func (w *world) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	to := w.witnesses[r.URL.Host[0]-'0']
	answers := make(chan []byte, 1)
	w.carried.Go(func() {
		for range 1 + w.intN(6)/5 { // twice, now and then
			w.pause()
			if r.Context().Err() != nil {
				w.count(&w.Late)
			}
			answer := w.carry(to, body)
			if w.chance(12) {
				w.count(&w.Lost)
				continue
			}
			w.pause()
			select {
			case answers <- answer:
			default:
			}
		}
	})
	select {
	case answer := <-answers:
		if answer == nil {
			return nil, errNetwork
		}
		return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(bytes.NewReader(answer))}, nil
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
}

// carry brings a request to a witness, and to others as well, or does not, and
// returns an answer, which need not be that of the witness. Nil is none.
func (w *world) carry(to *machine, body []byte) []byte {
	const claim = 1 + 1 + 32 + 32 // where it begins in a request
	switch w.intN(24) {
	case 0, 1:
		w.count(&w.Lost)
		return nil
	case 2, 3:
		if old := to.said(w.intN(1 << 20)); old != nil {
			w.count(&w.Replayed)
			return old
		}
	case 4: // it has what you want it to have
		w.count(&w.Forged)
		return append(bytes.Clone(body[claim:]), make([]byte, ed25519.SignatureSize)...)
	case 5: // a copy asks for the very far future
		w.count(&w.Planted)
		planted := bytes.Clone(body)
		binary.BigEndian.PutUint64(planted[claim:], 1<<40+uint64(w.intN(9)))
		to.serve(planted)
	case 6, 7:
		w.witnesses[w.intN(len(w.witnesses))].serve(body)
	case 8: // this is what another one says, and is it not as good?
		return w.witnesses[w.intN(len(w.witnesses))].serve(body)
	}
	return to.serve(body)
}

// A machine is one witness: what outlives its process.
type machine struct {
	*world
	key  ed25519.PrivateKey
	liar bool

	lock    sync.Mutex // guards what follows
	disk    map[record.Key]record.Record
	torn    func() // undoes the last write
	process *process
	answers [][]byte // all that it ever gave
}

// A process is one life of a witness, and its store.
type process struct {
	*machine
	dead    bool // guarded by the machine's lock
	handler http.Handler
}

func (m *machine) boot() *process {
	p := &process{machine: m}
	server := witness.Server{Key: m.key, Store: p, Log: slog.New(slog.DiscardHandler)}
	p.handler = server.Handler()
	return p
}

// die ends the process and starts another on the same disk, of which the last
// write may be gone, however long ago it was acknowledged.
func (m *machine) die() {
	torn := !m.chance(4)
	m.lock.Lock()
	m.process.dead = true
	torn = torn && m.torn != nil
	if torn {
		m.torn()
		m.torn = nil
	}
	m.process = m.boot()
	m.lock.Unlock()
	m.count(&m.Deaths)
	if torn {
		m.count(&m.Torn)
	}
}

// forgetful is the process of a witness that knows its signer and has promised
// nothing.
func (m *machine) forgetful() *process {
	p := (&machine{world: m.world, key: m.key, disk: make(map[record.Key]record.Record)}).boot()
	if err := witness.Enrol(context.Background(), p, m.signer.Public().(ed25519.PublicKey)); err != nil {
		panic(err)
	}
	return p
}

func (m *machine) serve(body []byte) []byte {
	lie := m.liar && m.chance(2)
	m.lock.Lock()
	p := m.process
	m.lock.Unlock()
	if lie {
		m.count(&m.Lies)
		p = m.forgetful()
	}
	answer := httptest.NewRecorder()
	p.handler.ServeHTTP(answer, httptest.NewRequest(http.MethodPost, "/witness/v1", bytes.NewReader(body)))
	m.lock.Lock()
	defer m.lock.Unlock()
	if p.dead || answer.Code != http.StatusOK {
		return nil
	}
	m.answers = append(m.answers, answer.Body.Bytes())
	return answer.Body.Bytes()
}

// said is something that it once said, the older the likelier.
func (m *machine) said(which int) []byte {
	m.lock.Lock()
	defer m.lock.Unlock()
	if len(m.answers) == 0 {
		return nil
	}
	return m.answers[which%len(m.answers)]
}

var errDisk = errors.New("the disk has failed")

// Load implements record.Store.
func (p *process) Load(_ context.Context, key record.Key) (record.Record, error) {
	p.pauseToWrite()
	p.lock.Lock()
	defer p.lock.Unlock()
	r, ok := p.disk[key]
	switch {
	case p.dead:
		return r, errDisk
	case !ok:
		return r, record.ErrNotFound
	}
	return r, nil
}

// Create implements record.Store.
func (p *process) Create(_ context.Context, key record.Key, value []byte) error {
	p.lock.Lock()
	defer p.lock.Unlock()
	p.disk[key] = record.Record{Value: value, Version: 1}
	return nil
}

// Replace implements record.Store. One that fails may have been done.
func (p *process) Replace(_ context.Context, key record.Key, old record.Version, value []byte) error {
	p.pauseToWrite()
	fault := p.intN(20)
	p.lock.Lock()
	defer p.lock.Unlock()
	before := p.disk[key]
	switch {
	case p.dead || fault == 0:
		return errDisk
	case before.Version != old:
		return record.ErrConflict
	}
	p.torn = func() { p.disk[key] = before }
	p.disk[key] = record.Record{Value: value, Version: old + 1}
	if fault == 1 {
		return errDisk
	}
	return nil
}

// List implements record.Store, and is not needed.
func (p *process) List(context.Context) iter.Seq2[record.Entry, error] { return nil }

func (p *process) pauseToWrite() { time.Sleep(time.Duration(p.intN(3)) * time.Millisecond) }
