package slashing_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"runtime"
	"runtime/metrics"
	"sync"
	"testing"
	"time"

	"github.com/secure-signer/secure-signer/bls"
	"github.com/secure-signer/secure-signer/eth2"
	"github.com/secure-signer/secure-signer/record/memory"
	"github.com/secure-signer/secure-signer/slashing"
)

func BenchmarkAttest(b *testing.B) {
	var s slashing.State
	var err error
	for epoch := eth2.Epoch(0); b.Loop(); epoch++ {
		if s, err = s.Attest(epoch, epoch+1, root(1)); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkRecord(b *testing.B) {
	g, _ := newGuard(b, 1)
	m := &eth2.Attestation{}
	for epoch := eth2.Epoch(0); b.Loop(); epoch++ {
		m.Data.Source.Epoch, m.Data.Target.Epoch = epoch, epoch+1
		if err := g.Record(context.Background(), key(0), m, root(1)); err != nil {
			b.Fatal(err)
		}
	}
}

const manyKeys = 100_000

func manyKey(i int) bls.PublicKey {
	var pub bls.PublicKey
	binary.BigEndian.PutUint32(pub[:], uint32(i))
	return pub
}

// manyFile is an interchange of manyKeys that is never in memory as a whole.
func manyFile() io.Reader {
	r, w := io.Pipe()
	go func() {
		fmt.Fprintf(w, `{%s,"data":[`, metadata())
		for i := range manyKeys {
			if i > 0 {
				io.WriteString(w, ",")
			}
			io.WriteString(w, entry(manyKey(i),
				`{"slot":"8000000","signing_root":"`+root(1).String()+`"}`,
				`{"source_epoch":"250000","target_epoch":"250001","signing_root":"`+root(1).String()+`"}`))
		}
		io.WriteString(w, "]}")
		w.Close()
	}()
	return r
}

// heapGrowth runs do and returns by how much, in bytes, the heap with its garbage
// exceeded what it was before.
func heapGrowth(do func()) int64 {
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	heap := func() int64 { metrics.Read(sample); return int64(sample[0].Value.Uint64()) }
	runtime.GC()
	before := heap()
	peak := before
	stop := make(chan struct{})
	var watcher sync.WaitGroup
	watcher.Go(func() {
		for {
			select {
			case <-stop:
				return
			case <-time.After(2 * time.Millisecond):
				peak = max(peak, heap())
			}
		}
	})
	do()
	close(stop)
	watcher.Wait()
	return max(peak, heap()) - before
}

// The figure includes the records in the store.
func TestInterchangeOf100000KeysNeedsLessThan200MB(t *testing.T) {
	if testing.Short() {
		t.Skip("100,000 keys take some seconds")
	}
	const limit = 200 << 20
	g := slashing.New(memory.New(), slashing.Config{Network: timeless()})
	grown := heapGrowth(func() {
		imported, err := g.Import(context.Background(), manyFile(), nil)
		if err != nil || len(imported) != manyKeys {
			t.Errorf("imported %d keys (%v)", len(imported), err)
		}
	})
	t.Logf("import: %d MB", grown>>20)
	if grown > limit {
		t.Errorf("an import needed %d MB", grown>>20)
	}
	grown = heapGrowth(func() {
		if err := g.Export(context.Background(), io.Discard, nil); err != nil {
			t.Error(err)
		}
	})
	t.Logf("export: %d MB", grown>>20)
	if grown > limit {
		t.Errorf("an export needed %d MB", grown>>20)
	}
	runtime.KeepAlive(g)
}

func BenchmarkImport100000Keys(b *testing.B) {
	var grown int64
	for b.Loop() {
		g := slashing.New(memory.New(), slashing.Config{Network: timeless()})
		grown = max(grown, heapGrowth(func() {
			if _, err := g.Import(context.Background(), manyFile(), nil); err != nil {
				b.Fatal(err)
			}
		}))
	}
	b.ReportMetric(float64(grown>>20), "MB")
}

func BenchmarkExport100000Keys(b *testing.B) {
	g := slashing.New(memory.New(), slashing.Config{Network: timeless()})
	if _, err := g.Import(context.Background(), manyFile(), nil); err != nil {
		b.Fatal(err)
	}
	var grown int64
	for b.Loop() {
		grown = max(grown, heapGrowth(func() {
			if err := g.Export(context.Background(), io.Discard, nil); err != nil {
				b.Fatal(err)
			}
		}))
	}
	b.ReportMetric(float64(grown>>20), "MB")
}
