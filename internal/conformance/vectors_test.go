package conformance

import (
	"encoding/hex"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/millrace-streams/millrace/internal/needtest"
	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/topology"
	"github.com/millrace-streams/millrace/topologytest"
	"github.com/millrace-streams/millrace/windowstore"
)

// Other packages test the remaining vectors: serde tests those of serdes, of windowed
// keys in topics, and of partitions; internal/task tests the metadata of committed
// offsets. Layouts on the disk are Millrace's own. The rest are layouts of operations
// that Millrace does not have.

// layout is a vector of layouts.json.
type layout struct {
	Kind, Key, Bytes string
	Start            int64
	Seq              int
}

func loadLayouts(t *testing.T, kind string) (out []layout) {
	t.Helper()
	dirs, asked := corpusDirs()
	for _, dir := range dirs {
		if filepath.Base(dir) == "cases" {
			dir = filepath.Dir(dir)
		}
		file := filepath.Join(dir, "vectors", "layouts.json")
		if !exists(file) {
			continue
		}
		var all []layout
		if err := readJSON(file, &all); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		for _, l := range all {
			if l.Kind == kind {
				out = append(out, l)
			}
		}
	}
	switch {
	case len(out) > 0:
	case asked: // perhaps a folder of cases only
		t.Skipf("no vectors of kind %s in %q", kind, dirs)
	default:
		needtest.Missing(t, "no vectors of kind %s in %q: set MILLRACE_CONFORMANCE to the conformance corpus", kind, dirs)
	}
	return out
}

// TestWindowStoreKeys compares the keys in the changelogs of window stores. A store that
// retains duplicates numbers its puts from 1.
func TestWindowStoreKeys(t *testing.T) {
	t.Parallel()
	for _, l := range loadLayouts(t, "window-store-key") {
		t.Run(fmt.Sprintf("%s/%d/%d", l.Key, l.Start, l.Seq), func(t *testing.T) {
			t.Parallel()
			var opts []windowstore.Option
			if l.Seq > 0 {
				opts = append(opts, windowstore.RetainDuplicates())
			}
			spec := windowstore.New("st", serde.String, serde.String, time.Second, time.Hour, opts...)
			b := topology.New()
			in := topology.Source(b, "in", serde.String, serde.String)
			topology.Process(in, "put", func() *putter { return &putter{spec: spec, start: processor.Timestamp(l.Start)} }, serde.String, serde.String, spec)
			topo, err := b.Build()
			if err != nil {
				t.Fatal(err)
			}
			d := topologytest.New(t, topo, topologytest.ApplicationID(applicationID), topologytest.EveryUpdate())
			for range max(l.Seq, 1) {
				d.Send("in", 0, []byte(l.Key), []byte("v"), 0)
			}
			logged := d.Topic(internalTopic("st", "changelog"))
			if len(logged) != max(l.Seq, 1) {
				t.Fatalf("%d records in the changelog", len(logged))
			}
			if got := hex.EncodeToString(logged[len(logged)-1].Key); got != l.Bytes {
				t.Errorf("key %s, want %s", got, l.Bytes)
			}
		})
	}
}

// putter puts each record into one window.
type putter struct {
	spec  windowstore.Spec[string, string]
	start processor.Timestamp
	store windowstore.Store[string, string]
}

func (p *putter) Init(ctx processor.Context[string, string]) error {
	p.store = windowstore.Open(ctx, p.spec)
	return nil
}

func (p *putter) Process(_ processor.Context[string, string], r processor.Record[string, string]) error {
	return p.store.Put(r.Key, r.Value, p.start)
}
