package task

import (
	"errors"
	"fmt"

	"github.com/millrace-streams/millrace/internal/engine"
	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/internal/store"
	"github.com/millrace-streams/millrace/processor"
)

// openedStore is a store of the task with its table and changelog.
type openedStore struct {
	instance  engine.Store
	table     *engine.Table
	changelog string // full name of the topic; empty if it has none
	fromTopic string // the topic of its table, if that is its changelog
	topicID   [16]byte
	position  int64 // in the changelog, -1 at first
}

func (t *Task) openStores() error {
	_, stores, _ := t.parts()
	if len(stores) > 0 && t.cfg.DB == nil {
		return errors.New("it has stores but no database")
	}
	for _, s := range stores {
		if s.Spec.Kind == store.Times {
			continue
		}
		if err := t.openStore(s); err != nil {
			return fmt.Errorf("store %s: %w", s.Name, err)
		}
	}
	return nil
}

// openGlobals makes readers of the global stores that the task's nodes read.
func (t *Task) openGlobals() error {
	nodes, _, _ := t.parts()
	for _, n := range nodes {
		for _, name := range n.Globals {
			if t.globals[name] != nil {
				continue
			}
			global, rows := t.cfg.Graph.Global(name), t.cfg.Globals[name]
			if global == nil || rows == nil {
				return fmt.Errorf("node %s: the global store %s is not open", n.Name, name)
			}
			if t.globals == nil {
				t.globals = map[string]store.GlobalReader{}
			}
			t.globals[name] = global.Read(global.Store.Spec, rows, t.cfg.Budget)
		}
	}
	return nil
}

func (t *Task) timeOfWrites() int64 {
	if t.writeTime >= 0 {
		return int64(t.writeTime)
	}
	return int64(t.eventTime)
}

func (t *Task) openStore(s *graph.Store) error {
	table, err := t.cfg.DB.Table(s.Name, s.Spec.Persistent())
	if err != nil {
		return err
	}
	opened := &openedStore{table: table, position: -1}
	env := engine.Env{
		Table:       table,
		Budget:      t.cfg.Budget,
		Now:         t.timeOfWrites,
		EveryUpdate: t.cfg.EveryUpdate,
		StreamTime:  func() int64 { return int64(t.streamTime) },
		Again:       func() { t.workLeft = true },
		Converted: func(rows int64, now bool) {
			if t.cfg.Observer != nil {
				t.cfg.Observer.Converted(s.Name, s.Spec.Migrations.Newest(), rows, now)
			}
		},
		TimesLost: t.timesLost(),
	}
	if t.cells != nil { // the store of the times themselves has none
		env.Time = t.cells.storeTime(s.Name)
		if s.Spec.Kind.Segmented {
			env.Kept = t.cells.keptTime(s.Name)
		}
	}
	if s.FromTopic != nil {
		opened.fromTopic = s.FromTopic.Topic
	}
	if s.Spec.Logged() {
		opened.changelog = s.Spec.ChangelogTopic(t.cfg.ApplicationID)
		opened.topicID, _ = t.cfg.DB.TopicID(table, opened.changelog)
		if at, ok := t.cfg.DB.Position(table, opened.changelog); ok {
			opened.position = at
		}
		headers := s.Spec.Headers()
		env.Log = func(key, value []byte, timestamp int64, origin *engine.Origin) error {
			return t.log(opened.changelog, headers, key, value, timestamp, origin)
		}
	}
	if opened.instance, err = s.Spec.Open(env); err != nil {
		return err
	}
	t.stores = append(t.stores, opened)
	return nil
}

// Expired returns, by full topic name, the offsets up to which the task's windowed
// changelogs contain only records that a finished commit has deleted from the stores.
func (t *Task) Expired() map[string]int64 {
	expired := map[string]int64{}
	for _, s := range t.stores {
		if s.changelog == "" {
			continue
		}
		if at := t.cfg.DB.LiveFrom(s.table, s.changelog); at > 0 {
			expired[s.changelog] = at
		}
	}
	return expired
}

// log sends a changelog record. origin is the record that changed the row last. The
// record always goes to the task's own partition, from which the task is restored. No
// policy applies: without the record the committed state could not be restored. Deletions
// have no headers.
func (t *Task) log(topic string, headers processor.Headers, key, value []byte, timestamp int64, origin *engine.Origin) error {
	if t.current == nil && origin.Topic != "" {
		before := t.origin
		t.origin = processor.Metadata{Topic: origin.Topic, Partition: origin.Partition, Offset: origin.Offset}
		defer func() { t.origin = before }()
	}
	out := graph.Output{
		Topic: topic, Partition: t.cfg.ID.Partition,
		Key: key, Value: value, Timestamp: processor.Timestamp(timestamp),
	}
	if value != nil {
		out.Headers = headers
	}
	if err := t.check(&out); err != nil {
		return t.refuse(&out, err)
	}
	return t.send(out)
}
