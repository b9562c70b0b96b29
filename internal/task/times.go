package task

import (
	"errors"
	"fmt"
	"slices"

	"github.com/millrace-streams/millrace/internal/store"
)

// openTimes opens the store of operator times, which large sub-topologies have. It must
// be called before the times are read.
func (t *Task) openTimes() error {
	_, stores, _ := t.parts()
	for _, s := range stores {
		if s.Spec.Kind != store.Times || t.cfg.DB == nil {
			continue
		}
		if err := t.openStore(s); err != nil {
			return fmt.Errorf("store %s: %w", s.Name, err)
		}
		t.times = t.stores[len(t.stores)-1].instance.(*store.OperatorTimes)
	}
	return nil
}

// restored returns the initial values: Kafka's, unless a tool has set an offset and so
// removed its values. In that case it returns the newest values that are left.
func (t *Task) restored(kafka map[string]int64) (map[string]int64, error) {
	if kafka[elsewhereName] != 0 {
		return t.readTimes(kafka[sequenceName])
	}
	if t.cfg.DB == nil || kafka != nil && !t.timesLost() {
		return kafka, nil
	}
	left := []map[string]int64{kafka, t.cfg.DB.Times()}
	if t.times != nil {
		row, err := t.readTimes(0)
		if err != nil {
			return nil, err
		}
		left = append(left, row)
	}
	return newest(left), nil
}

// timesLost reports whether the values in the metadata of the offsets are missing or may
// be old. This is so if no input has metadata of a commit, or if an input has an offset
// that no commit has set. A commit writes metadata with each offset, even without values.
func (t *Task) timesLost() bool {
	some := false
	for _, in := range t.cfg.Inputs {
		switch {
		case IsMetadata(in.Metadata):
			some = true
		case !slices.Contains(t.cfg.Fresh, Partition{in.Topic, in.Partition}):
			return true
		}
	}
	return !some
}

// warnOfLostTimes logs the inputs whose partition time, and with it the positions of
// processors, are not known any more.
func (t *Task) warnOfLostTimes() {
	if t.cfg.ID.Global() {
		return // no tool sets the positions in the database of a global store
	}
	for _, q := range t.queues {
		if IsMetadata(q.metadata) {
			continue
		}
		t.logger.Warn("a tool has set the offset of an input, and neither a stop record nor a disk has the metadata of its last commit: "+
			"its partition time is unknown until its next record, and batches of package batch that were open have no result",
			"topic", q.topic, "partition", q.partition, "offset", q.position)
	}
}

// readTimes returns the values in the store. A commit with the given sequence number
// wrote them.
func (t *Task) readTimes(sequence int64) (map[string]int64, error) {
	if t.times == nil {
		return t.timesOfEarlier(sequence)
	}
	row, err := t.times.Get()
	if err != nil {
		return nil, err
	}
	m, err := decodeMetadata(string(row))
	if err != nil {
		return nil, fmt.Errorf("store %s: %w", t.times.StoreName(), err)
	}
	// With at-least-once the changelog may be ahead of the offsets.
	if m.values[sequenceName] < sequence {
		return nil, fmt.Errorf("store %s is not restored: it has commit %d, the offsets have commit %d", t.times.StoreName(), m.values[sequenceName], sequence)
	}
	return m.values, nil
}

// timesOfEarlier returns the values of an earlier, larger version of the sub-topology
// that had the store, as far as the local database has them.
func (t *Task) timesOfEarlier(sequence int64) (map[string]int64, error) {
	if t.cfg.DB != nil {
		if at, ok := t.cfg.DB.Time(sequenceName); ok && at >= sequence {
			return t.cfg.DB.Times(), nil
		}
	}
	return nil, errors.New("the stream times of the task's operators are not in the local state, but only in the changelog that an earlier version of the topology, with more operators, has written: " +
		"run the earlier version on this state directory once, or reset the application")
}

// carried returns the values that go into the metadata of the offsets. If there are too
// many, it returns a reference to their store.
func (t *Task) carried(values map[string]int64, changed bool) (map[string]int64, error) {
	m := metadata{partitionTime: -1, values: values}
	size := m.size()
	if size <= maxMetadata {
		return values, nil
	}
	if t.times == nil {
		return nil, fmt.Errorf("task %s: the operator times and positions of the sub-topology (%d) take %d bytes of offset metadata, more than %d: "+
			"use fewer positions, or divide it with Repartition", t.cfg.ID, len(values), size, maxMetadata)
	}
	if changed {
		t.times.Put([]byte(m.encode()))
	}
	return map[string]int64{sequenceName: values[sequenceName], elsewhereName: 1}, nil
}
