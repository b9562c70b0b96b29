package runtime

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-streams/millrace/internal/engine"
	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/internal/restore"
	"github.com/millrace-streams/millrace/internal/store"
	"github.com/millrace-streams/millrace/internal/task"
	"github.com/millrace-streams/millrace/internal/taskid"
	"github.com/millrace-streams/millrace/internal/worker"
)

// target is a database to restore: where it is, which changelogs it needs, and what
// happens then. During the restore nobody else uses the task.
type target struct {
	ctx    context.Context // ends when the target is no longer wanted
	cancel context.CancelFunc
	task   *worker.Task
	inputs []worker.Input // the offsets of the restored state
	logs   []*changelog
	left   int // changelogs that are not yet restored

	ready func() // called when all changelogs are restored
	gone  func() // called if ctx ends first
}

// changelog is the changelog of one store of a target.
type changelog struct {
	restore.Partition
	target *target
	store  string
	spec   *store.Spec
	table  *engine.Table
	done   bool
	wiped  bool // emptied; it is filled again

	// fromTopic is not nil if the changelog is the topic of the store's table. It is read
	// up to the committed offset.
	fromTopic *graph.FromTopic
	rows      *task.TableRows // makes rows of its records
	// old says that the table may have rows of another changelog, and must be emptied.
	old    bool
	warned bool // of compaction

	unwritten unwritten
}

// unwritten is what was read of a changelog and is not yet in the database.
type unwritten struct {
	batch *engine.Batch // nil if there is nothing
	bytes int64         // of the records: keys, values, and what a row takes besides
	next  int64         // the position after them
	id    restore.TopicID
}

// rowOverhead is what a row takes in a batch besides its key and its value: numbers,
// lengths, and its place in the order of the rows.
const rowOverhead = 40

// addChangelogs adds the changelogs of a task, and opens the tables of its stores.
func (t *target) addChangelogs(p *plan, id taskid.ID) error {
	t.task.Changelogs = nil
	for _, kept := range p.sub(id).Stores {
		table, err := t.task.DB.Table(kept.Name, kept.Spec.Persistent())
		if err != nil {
			return fmt.Errorf("store %s: %w", kept.Name, err)
		}
		topic := p.restoredFrom(kept)
		if topic == "" {
			continue
		}
		log := &changelog{target: t, store: kept.Name, spec: kept.Spec, table: table, fromTopic: kept.FromTopic}
		log.Topic, log.Partition.Partition, log.Bounded = topic, id.Partition, kept.FromTopic != nil
		if kept.FromTopic == nil {
			t.task.Changelogs = append(t.task.Changelogs, topic)
		}
		t.logs = append(t.logs, log)
	}
	return nil
}

// stamp notes the age and the progress of a restored target. Before the restore is
// complete, the age stays as it was. Data from a changelog is valid for as long as later
// deletions are kept there.
func (t *target) stamp(began time.Time) error {
	b := t.task.DB.NewBatch()
	defer b.Close()
	if t.task.DB.Stamp().Before(began) {
		b.SetStamp(began)
	}
	b.SetProgress(t.progress())
	return t.task.DB.Apply(b)
}

// progress returns the progress of a restored target. The committed offsets were read
// before the ends of its changelogs.
func (t *target) progress() *engine.Progress {
	p := &engine.Progress{}
	for _, in := range t.inputs {
		p.Inputs = append(p.Inputs, engine.InputProgress{
			Topic: in.Topic, Partition: in.Partition, TopicID: in.TopicID, Offset: in.Offset, Metadata: in.Known(),
		})
	}
	for _, log := range t.logs {
		if log.fromTopic != nil {
			continue // its position is the offset of the input
		}
		at := engine.ChangelogProgress{Topic: log.Topic, Position: -1}
		if next, ok := t.task.DB.Position(log.table, log.Topic); ok {
			at.Position = next
		}
		at.TopicID, _ = t.task.DB.TopicID(log.table, log.Topic)
		p.Changelogs = append(p.Changelogs, at)
	}
	return p
}

// locate reads the position in the database, from which the changelog must be read.
func (log *changelog) locate() {
	db := log.target.task.DB
	log.From, log.TopicID = -1, restore.TopicID{}
	if at, ok := db.Position(log.table, log.Topic); ok {
		log.From = at
	}
	if id, ok := db.TopicID(log.table, log.Topic); ok {
		log.TopicID = id
	}
	if log.fromTopic != nil {
		log.To, log.old = log.target.committed(log.Topic), log.From < 0
	}
}

// behind reports whether the changelog has records that the store has not seen. markers
// is how many offsets behind the last record belong to its commit.
func (log *changelog) behind(highWatermark, markers int64) bool {
	if log.fromTopic != nil {
		return log.From < min(log.To, highWatermark)
	}
	return log.From+markers < highWatermark
}

// committed returns the committed offset of an input.
func (t *target) committed(topic string) int64 {
	for _, in := range t.inputs {
		if in.Topic == topic {
			return in.Offset
		}
	}
	return 0
}

// hold adds records, and the position after them, to what write will write. After an
// error it holds nothing.
func (log *changelog) hold(records []*kgo.Record, next int64, id restore.TopicID) error {
	if log.unwritten.batch == nil {
		log.unwritten.batch = log.target.task.DB.NewBulk()
	}
	rows := log.unwritten.batch.Table(log.table)
	if log.old {
		if err := rows.DeleteRange(nil, nil); err != nil {
			log.drop()
			return err
		}
		log.old = false
	}
	for i, r := range records {
		if err := log.row(rows, r, i == 0); err != nil {
			log.drop()
			return fmt.Errorf("record at offset %d: %w", r.Offset, err)
		}
		log.unwritten.bytes += int64(len(r.Key) + len(r.Value) + rowOverhead)
	}
	log.unwritten.next, log.unwritten.id = next, id
	return nil
}

// write writes what log holds to the database. began is the start of the restore.
func (log *changelog) write(began time.Time) error {
	b, db := log.unwritten.batch, log.target.task.DB
	if b == nil {
		return nil
	}
	defer log.drop()
	b.SetPosition(log.table, log.Topic, log.unwritten.next)
	b.SetTopicID(log.table, log.Topic, log.unwritten.id)
	if db.Stamp().IsZero() {
		b.SetStamp(began)
	}
	return db.Apply(b)
}

// drop forgets what log holds.
func (log *changelog) drop() {
	if log.unwritten.batch != nil {
		log.unwritten.batch.Close()
		log.unwritten = unwritten{}
	}
}

// row adds a record to rows. With check it also checks whether its key can be one of the
// store.
func (log *changelog) row(rows *engine.TableBatch, r *kgo.Record, check bool) error {
	if log.fromTopic != nil {
		in := worker.InputOf(r)
		key, value, ok, err := log.rows.Row(log.target.ctx, &in)
		if err != nil || !ok {
			return err
		}
		return log.spec.Restore(rows, key, engine.Stored{Value: value, Timestamp: r.Timestamp.UnixMilli()})
	}
	if check {
		if err := log.spec.CheckKey(r.Key); err != nil {
			return err
		}
	}
	rows.Logged(r.Offset)
	format, err := formatOf(r.Headers)
	if err != nil {
		return err
	}
	return log.spec.Restore(rows, r.Key, engine.Stored{Value: r.Value, Timestamp: r.Timestamp.UnixMilli(), Format: format})
}

// formatOf returns the number of the format of a changelog record's value.
func formatOf(headers []kgo.RecordHeader) (uint8, error) {
	for _, h := range headers {
		if h.Key == store.FormatHeader {
			return store.ParseFormat(h.Value)
		}
	}
	return 0, nil
}

// empty deletes all rows and sets the position to start.
func (log *changelog) empty(start int64) error {
	b := log.target.task.DB.NewBatch()
	defer b.Close()
	if err := b.Table(log.table).DeleteRange(nil, nil); err != nil {
		return err
	}
	b.SetPosition(log.table, log.Topic, start)
	log.wiped = true
	return log.target.task.DB.Apply(b)
}

// wipe deletes all rows and the position, so that the changelog is read from its start.
func (log *changelog) wipe(reason string) error {
	if err := log.target.task.DB.Wipe(log.table, log.Topic, reason); err != nil {
		return err
	}
	log.From, log.TopicID, log.wiped = -1, restore.TopicID{}, true
	return nil
}
