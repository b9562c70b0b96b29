package global

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/millrace-streams/millrace/internal/engine"
	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/internal/task"
	"github.com/millrace-streams/millrace/processor"
)

// Config configures a Writer.
type Config struct {
	ApplicationID string
	Global        *graph.Global
	DB            *engine.DB // of this store only; the Writer does not close it
	Budget        *engine.Budget
	Out           Outbox
	Policy        processor.ErrorPolicy

	Logger   *slog.Logger
	Observer task.Observer
	Misuse   *task.Misuse
	Foreign  func() bool
	Context  context.Context
	Sleep    func(ctx context.Context, d time.Duration) error
}

// Outbox takes the dead letters of the writer.
type Outbox interface {
	task.Outbox

	// Flush returns when Kafka has all records that were sent. If Kafka refuses a record,
	// refused returns the record to send instead, or nil.
	Flush(refused func(task.Refusal) (again *graph.Output, failure error)) error
}

// Position is the position in one partition of the topic: the offset to read next.
type Position struct {
	Partition int32
	Offset    int64
	TopicID   [16]byte
	Metadata  string // of the task
}

// Batch has records that were read from one partition.
type Batch struct {
	Partition int32
	Inputs    []graph.Input
	Next      int64 // the offset after the batch, control records included
}

// Writer writes one global store. Only one goroutine at a time may use it.
type Writer struct {
	cfg    Config
	task   *task.Task
	memory *task.Memory
	at     []Position // as of the last commit
}

// Table opens the table of a global store.
func Table(db *engine.DB, g *graph.Global) (*engine.Table, error) {
	return db.Table(g.Store.Name, g.Store.Spec.Persistent())
}

// Positions returns the positions on a disk, and the time of the last [Writer.Confirm].
// There are none if the disk is new, or if the store is in memory.
func Positions(db *engine.DB, g *graph.Global) (at []Position, confirmed time.Time, err error) {
	table, err := Table(db, g)
	if err != nil {
		return nil, time.Time{}, err
	}
	p, ok, err := db.Progress()
	if err != nil || !ok {
		return nil, time.Time{}, err
	}
	for _, in := range p.Inputs {
		if in.Topic == g.Topic.Name {
			at = append(at, Position{in.Partition, in.Offset, in.TopicID, in.Metadata})
		}
	}
	if ms, ok := db.Position(table, confirmedName); ok {
		confirmed = time.UnixMilli(ms)
	}
	return at, confirmed, nil
}

// New makes a Writer that continues at the given positions, one for each partition. If
// New returns an error, nothing has to be closed.
func New(cfg Config, at []Position, now time.Time) (*Writer, error) {
	w := &Writer{cfg: cfg, memory: task.NewMemory(), at: slices.Clone(at)}
	return w, w.start(now)
}

// Rows returns the reader of the store.
func (w *Writer) Rows() (*engine.Reader, error) { return w.cfg.DB.Reader(w.cfg.Global.Store.Name) }

// Store returns the instance of the store, for reads by the owner of the writer's
// goroutine.
func (w *Writer) Store() (processor.Store, error) { return w.task.Store(w.cfg.Global.Store.Name) }

// At returns the position in a partition, as of the last commit.
func (w *Writer) At(partition int32) int64 {
	for _, p := range w.at {
		if p.Partition == partition {
			return p.Offset
		}
	}
	return -1
}

// start makes the task at the positions of the last commit.
func (w *Writer) start(now time.Time) error {
	cfg := task.Config{
		ApplicationID: w.cfg.ApplicationID, Graph: w.cfg.Global.Graph, Whole: true,
		ID: processor.Task{SubTopology: -1, Partitions: int32(len(w.at))},
		DB: w.cfg.DB, Budget: w.cfg.Budget, Out: w.cfg.Out, Policy: w.cfg.Policy, Logger: w.cfg.Logger, Observer: w.cfg.Observer,
		Misuse: w.cfg.Misuse, Foreign: w.cfg.Foreign, Memory: w.memory, Context: w.cfg.Context, Now: now, Sleep: w.cfg.Sleep,
	}
	for _, p := range w.at {
		cfg.Inputs = append(cfg.Inputs, task.Committed{
			Topic: w.cfg.Global.Topic.Name, TopicID: p.TopicID, Partition: p.Partition, Offset: p.Offset, Metadata: p.Metadata,
		})
	}
	t, err := task.New(cfg)
	w.task = t
	return err
}

// Apply processes batches and commits them: it returns when the rows and the positions
// are in the database. After an error the store has the state of an earlier commit, and
// the Writer must be closed.
func (w *Writer) Apply(batches []Batch, now time.Time) error {
	for {
		err := w.apply(batches, now)
		var replay *task.ReplayError
		if !errors.As(err, &replay) {
			return err
		}
		// The error policy has asked for another try. It bounds the number of tries.
		if err := errors.Join(w.task.Close(), w.start(now)); err != nil {
			return err
		}
	}
}

func (w *Writer) apply(batches []Batch, now time.Time) error {
	topic := w.cfg.Global.Topic.Name
	for _, b := range batches {
		// A task changes the records that it processes, and a replay needs them
		// unchanged.
		if err := w.task.Add(topic, b.Partition, slices.Clone(b.Inputs), 0); err != nil {
			return err
		}
		w.task.SetPosition(topic, b.Partition, b.Next)
	}
	for {
		if n, err := w.task.Process(now, processAtOnce); err != nil {
			return err
		} else if n < processAtOnce {
			return w.commit()
		}
	}
}

// processAtOnce is how many records the task is asked to process at a time.
const processAtOnce = 1000

// Punctuate calls the wall-clock punctuators that are due, and commits.
func (w *Writer) Punctuate(now time.Time) error {
	n, err := w.task.Punctuate(now)
	if err != nil || n == 0 {
		return err
	}
	return w.commit()
}

// NextPunctuation returns when the next wall-clock punctuator is due.
func (w *Writer) NextPunctuation() (time.Time, bool) { return w.task.NextPunctuation() }

func (w *Writer) commit() error {
	c, err := w.task.Begin()
	if err != nil {
		return err
	}
	if err := w.cfg.Out.Flush(w.task.Refused); err != nil {
		return fmt.Errorf("dead letters of global store %s: %w", w.cfg.Global.Store.Name, err)
	}
	if err := w.task.Finish(nil); err != nil {
		return err
	}
	for _, moved := range c.Offsets {
		for i := range w.at {
			if p := &w.at[i]; p.Partition == moved.Partition {
				p.Offset, p.Metadata = moved.Offset, moved.Metadata
			}
		}
	}
	return nil
}

// Confirm records that at the given time the store had everything that the topic had, or
// was empty. Judge compares that time with how long the topic keeps deletions.
func (w *Writer) Confirm(at time.Time) error {
	table, err := Table(w.cfg.DB, w.cfg.Global)
	if err != nil {
		return err
	}
	var p engine.Progress
	for _, at := range w.at {
		p.Inputs = append(p.Inputs, engine.InputProgress{
			Topic: w.cfg.Global.Topic.Name, TopicID: at.TopicID, Partition: at.Partition, Offset: at.Offset, Metadata: at.Metadata,
		})
	}
	b := w.cfg.DB.NewBatch()
	defer b.Close()
	b.SetProgress(&p) // also offsets without records
	b.SetPosition(table, confirmedName, at.UnixMilli())
	return w.cfg.DB.Apply(b)
}

// confirmedName is the name, among the positions of a database, of the time of the last
// Confirm. No topic can have it.
const confirmedName = "#confirmed"

// Close closes the processor and the store. What was not committed is lost.
func (w *Writer) Close() error {
	if w.task == nil {
		return nil
	}
	return w.task.Close()
}
