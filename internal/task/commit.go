package task

import (
	"errors"
	"fmt"
	"slices"

	"github.com/millrace-streams/millrace/internal/engine"
	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/processor"
)

// generation is what Begin has passed to the shell, for Finish to apply.
type generation struct {
	offsets     []Offset
	values      map[string]int64
	onCommitted []func()
	calls       []string
}

var (
	errBegun    = errors.New("Begin before the last commit was finished")
	errNotBegun = errors.New("Finish without Begin")
)

// Begin flushes nodes and stores, which may send records, and returns what must be
// committed. After it, either Finish or an abort must follow. Records may be processed in
// between; they belong to the next commit.
func (t *Task) Begin() (c Commit, err error) {
	if err := t.over(); err != nil {
		return Commit{}, err
	}
	if t.begun != nil {
		return Commit{}, t.fail(errBegun)
	}
	defer t.contain(&err)
	if t.dirty {
		if err := t.flushNodes(); err != nil {
			return Commit{}, err
		}
	}
	t.expire()
	values, changed := t.cells.commit()
	carried, err := t.carried(values, changed)
	if err != nil {
		return Commit{}, t.fail(err)
	}
	if t.dirty || changed {
		if err := t.flushStores(); err != nil {
			return Commit{}, err
		}
	}
	t.begun = &generation{offsets: t.offsets(carried, changed), values: values, onCommitted: t.onCommitted, calls: t.calls}
	t.onCommitted, t.calls = nil, nil
	t.dirty, t.unflushed, t.awaited, t.commitRequested = false, false, false, false
	return Commit{Offsets: t.begun.offsets}, nil
}

// expire makes stores note which rows their next flush deletes.
func (t *Task) expire() {
	for _, s := range t.stores {
		if e, ok := s.instance.(engine.Expirer); ok {
			e.Expire()
		}
	}
}

const flushCall = "flush"

// flushNodes makes nodes forward what they hold back, parents first.
func (t *Task) flushNodes() error {
	t.eventTime = t.timeBetweenRecords()
	t.call = flushCall
	defer func() { t.call = "" }()
	for _, h := range t.flushes {
		err := h.call()
		if err != nil || t.failure != nil {
			err = t.failOutside(h.node, err)
		}
		t.origin, t.originInput = noRecord, nil
		if err != nil {
			return err
		}
	}
	t.called(flushCall)
	return nil
}

// flushStores makes the stores log their changes.
func (t *Task) flushStores() error {
	t.eventTime = t.timeBetweenRecords()
	if t.batch == nil && len(t.stores) > 0 {
		t.batch = t.cfg.DB.NewBatch()
	}
	for _, s := range t.stores {
		rows := t.batch.Table(s.table)
		if at, ok := t.cfg.DB.Position(s.table, s.changelog); ok {
			rows.Logged(at)
		}
		if err := s.instance.Flush(rows); err != nil {
			return t.fail(t.flushError(s.instance.StoreName(), err))
		}
	}
	return nil
}

// flushError adds the place to an error of a store's flush: the record that made the
// value. No policy applies, because the row cannot be left out of the state.
func (t *Task) flushError(store string, err error) error {
	var value *engine.EncodeError
	if !errors.As(err, &value) || value.Origin.Topic == "" {
		return fmt.Errorf("task %s: flush store %s: %w", t.cfg.ID, store, err)
	}
	o := value.Origin
	return &processor.Error{Phase: processor.Produce, Node: store, Topic: o.Topic, Partition: o.Partition, Offset: o.Offset, Err: err}
}

// offsets returns the positions that moved, with their metadata. If only values have
// changed, one position carries them.
func (t *Task) offsets(carried map[string]int64, changed bool) []Offset {
	var offsets []Offset
	for _, q := range t.queues {
		if q.position != q.begun {
			q.begun = q.position
			offsets = append(offsets, q.offset(carried))
		}
	}
	if len(offsets) == 0 && changed {
		if i := slices.IndexFunc(t.queues, func(q *queue) bool { return q.position >= 0 }); i >= 0 {
			offsets = append(offsets, t.queues[i].offset(carried))
		}
	}
	return offsets
}

func (q *queue) offset(carried map[string]int64) Offset {
	q.metadata = metadata{partitionTime: q.partitionTime, mark: q.mark, values: carried}.encode()
	return Offset{Topic: q.topic, Partition: q.partition, Offset: q.position, Metadata: q.metadata}
}

// Finish applies the commit of the last Begin as one atomic batch of the database. Call
// it after Kafka has confirmed the commit. positions has, by full topic name, the next
// offset of each changelog partition that the transaction wrote. A task that has failed
// since Begin can still be finished: its failure does not undo a confirmed commit.
func (t *Task) Finish(positions map[string]int64) (err error) {
	if t.closed {
		return errClosed
	}
	g := t.begun
	if g == nil {
		return t.fail(errNotBegun)
	}
	defer t.contain(&err)
	t.begun, t.lent = nil, false
	if err := t.apply(g, positions); err != nil {
		return t.fail(fmt.Errorf("task %s: %w", t.cfg.ID, err))
	}
	for _, s := range t.stores {
		s.instance.Committed()
	}
	t.continueWork()
	t.cfg.Memory.forget(g.offsets, g.calls)
	if err := g.tell(); err != nil {
		return t.fail(fmt.Errorf("task %s: OnCommitted: %w", t.cfg.ID, err))
	}
	return nil
}

// continueWork asks for a commit, if a store has work for one.
func (t *Task) continueWork() {
	if t.workLeft {
		t.workLeft, t.dirty, t.awaited = false, true, true
	}
}

// tell calls all functions that wait for the commit. The commit happens once, so a panic
// in one must not keep it from the others.
func (g *generation) tell() error {
	var errs []error
	for _, f := range g.onCommitted {
		errs = append(errs, hook{f: func() error { f(); return nil }}.call())
	}
	return errors.Join(errs...)
}

func (t *Task) apply(g *generation, positions map[string]int64) error {
	if t.cfg.DB == nil {
		return nil
	}
	if t.batch == nil {
		if len(g.values) == 0 {
			return nil
		}
		t.batch = t.cfg.DB.NewBatch()
	}
	for _, s := range t.stores {
		if next, ok := positions[s.changelog]; ok && s.changelog != "" {
			s.position = next
			t.batch.SetPosition(s.table, s.changelog, next)
		}
		if s.fromTopic != "" {
			t.batch.SetPosition(s.table, s.fromTopic, t.committedIn(s.fromTopic))
		}
	}
	t.batch.SetProgress(t.reached())
	for name, v := range g.values {
		t.batch.SetTime(name, v)
	}
	t.batch.SetStamp(t.now)
	return t.cfg.DB.Apply(t.batch)
}

// committedIn returns the offset of an input in the commit that is being finished. A
// table whose topic is its changelog has the rows of the records below it.
func (t *Task) committedIn(topic string) int64 {
	i := slices.IndexFunc(t.queues, func(q *queue) bool { return q.topic == topic })
	if i < 0 {
		return -1
	}
	return t.queues[i].begun
}

// reached returns the progress of the commit that is being finished. It is valid until
// the next call.
func (t *Task) reached() *engine.Progress {
	p := &t.progress
	p.Inputs, p.Changelogs = p.Inputs[:0], p.Changelogs[:0]
	for _, q := range t.queues {
		p.Inputs = append(p.Inputs, engine.InputProgress{
			Topic: q.topic, Partition: q.partition, TopicID: q.topicID, Offset: q.begun, Metadata: q.metadata,
		})
	}
	for _, s := range t.stores {
		if s.changelog != "" {
			p.Changelogs = append(p.Changelogs, engine.ChangelogProgress{Topic: s.changelog, TopicID: s.topicID, Position: s.position})
		}
	}
	return p
}

// failOutside passes an error of a punctuator or a flush to the policy, unless the task
// ends.
func (t *Task) failOutside(n *graph.Node, err error) error {
	if t.failure != nil {
		return t.failure
	}
	if graph.IsFinal(err) {
		return t.fail(err)
	}
	_, err = t.nodes.Fail(n, processor.Process, err, nil)
	return t.fail(err)
}
