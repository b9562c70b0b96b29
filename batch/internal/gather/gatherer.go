package gather

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"github.com/millrace-streams/millrace/batch/internal/closing"
	"github.com/millrace-streams/millrace/batch/internal/wire"
	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/state"
)

// Name is the name of the gather topic, and of its store.
const Name = "gather"

// Config describes the gather task.
type Config struct {
	Feeds []Feed
	Chunk int // see closing.Start

	spec state.Spec[[]byte, []byte]
}

// Feed is what the gather task gets from the counting tasks of one Every.
type Feed struct {
	Every   string
	Points  []Gathered
	Outputs []Output // in order of declaration
}

// Gathered is a [Point] of any types.
type Gathered interface {
	// Use says that an output needs the point.
	Use()

	used() bool
	name() string
}

// Output is what is done with the rows of each batch.
type Output struct {
	Name func() string // settled at Build
	Run  func(*Gatherer) closing.Run
}

// Specs returns the specs of all stores.
func (c *Config) Specs() []processor.StoreSpec {
	c.spec = state.KeyValue(Name, serde.Bytes, serde.Bytes)
	return []processor.StoreSpec{c.spec}
}

// Gatherer is the processor of the gather task.
type Gatherer struct {
	*Config
	ctx     wire.Context
	rows    closing.Progress // rows by rowKey; watermarks by marksPrefix
	marks   map[string]*closing.Watermarks
	points  map[string]bool
	closers *closing.Closers
}

// marksPrefix sets the rows of watermarks apart. No rowKey begins with it, since no name
// is empty.
const marksPrefix = "\x00"

// New returns the gatherer of the gather task.
func New(c *Config) *Gatherer { return &Gatherer{Config: c} }

// Context returns the context of the gather task, for outputs.
func (g *Gatherer) Context() wire.Context { return g.ctx }

// Init opens the store. The work that the last commit left begins soon.
func (g *Gatherer) Init(ctx wire.Context) error {
	g.ctx = ctx
	g.rows = state.Open(ctx, g.spec)
	g.marks, g.points = make(map[string]*closing.Watermarks), make(map[string]bool)
	var closers []*closing.Closer
	for _, f := range g.Feeds {
		marks, err := closing.Open(marksPrefix+f.Every, f.Every, g.rows)
		if err != nil {
			return err
		}
		g.marks[f.Every] = marks
		one, err := closing.NewCloser(marks, g.steps(f))
		if err != nil {
			return err
		}
		closers = append(closers, one)
	}
	g.closers = closing.Start(ctx, g.Chunk, nil, closers...)
	return nil
}

// steps runs the outputs of a batch, and then deletes its rows.
func (g *Gatherer) steps(f Feed) (steps []closing.Step) {
	for _, o := range f.Outputs {
		steps = append(steps, closing.Step{Name: o.Name(), Durable: true, Run: o.Run(g)})
	}
	for _, p := range f.Points {
		if p.used() {
			g.points[p.name()] = true
			steps = append(steps, closing.Step{Name: p.name() + "/drop", Durable: true, Run: g.drop(p.name())})
		}
	}
	return steps
}

// drop deletes the rows of a point, of a batch and of all batches before it.
func (g *Gatherer) drop(name string) closing.Run {
	// This instance has deleted the batches up to this end. A scan that starts there does
	// not read over what is deleted, which takes time.
	var dropped int64
	return func(b wire.Span, cursor []byte, budget *int) ([]byte, bool, error) {
		limit := rowKey(name, b.To+1, nil)
		for e, err := range g.rows.From(rowKey(name, dropped+1, nil)) {
			if err != nil {
				return cursor, false, err
			}
			if bytes.Compare(e.Key, limit) >= 0 {
				break
			}
			if *budget <= 0 {
				return cursor, false, nil
			}
			*budget--
			if _, _, err := g.rows.Delete(e.Key); err != nil {
				return cursor, false, err
			}
		}
		dropped = b.To
		return nil, true, nil
	}
}

// Process takes a row or a marker.
func (g *Gatherer) Process(ctx wire.Context, r wire.Record) error {
	m := r.Value
	switch m.Kind {
	case wire.Row:
		if !g.points[m.Name] {
			ctx.Drop("the result is not there any more")
			return nil
		}
		return g.rows.Put(rowKey(m.Name, m.To, r.Key), m.Payload)
	case wire.Marker:
		marks := g.marks[m.Name]
		if marks == nil {
			ctx.Drop("the batches are not there any more")
			return nil
		}
		if err := marks.Mark(m); err != nil {
			return err
		}
		return g.closers.Work(ctx)
	}
	return fmt.Errorf("batch: the gather task got a message of kind %q", m.Kind)
}

// Patient implements [processor.Patient]: nobody waits for the rows of an incomplete
// batch. The closers ask for commits.
func (g *Gatherer) Patient() bool { return true }

// Flush ends the share of a transaction.
func (g *Gatherer) Flush(wire.Context) error {
	g.closers.Committing()
	return nil
}

// rowKey returns the key of a gathered row: [1B length][name of the point][8B end of the
// batch, big-endian][key].
func rowKey(name string, to int64, key []byte) []byte {
	k := append([]byte{byte(len(name))}, name...)
	return append(binary.BigEndian.AppendUint64(k, uint64(to)), key...)
}
