package stamp

import (
	"errors"
	"fmt"
	"unsafe"

	"github.com/millrace-streams/millrace/batch/internal/wire"
	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
)

// Combining describes the part of an aggregation that runs in the stamping tasks.
type Combining[K, V, K2, A any] struct {
	Name   func() string // of the aggregation, settled when a task starts
	Keys   serde.Serde[K2]
	Values serde.Serde[A]

	// KeyOf returns the key of a record, or the reason for dropping it.
	KeyOf func(*processor.Record[K, V]) (key K2, dropped string)

	// Fold adds a record to a partial result. some says whether sum is one already.
	Fold func(sum A, some bool, r *processor.Record[K, V]) A
}

// NoKey is the reason for dropping a record whose key is absent.
const NoKey = "the record has no key"

// Combine ends a branch of the tree with an aggregation.
func Combine[K, V, K2, A any](n *Node[K, V], how Combining[K, V, K2, A]) {
	n.children = append(n.children, func(t *task) Receive[K, V] {
		c := &combiner[K, V, K2, A]{Combining: how, task: t, name: how.Name()}
		t.leaves = append(t.leaves, c)
		return c.stage
	})
}

// combiner folds the records of one aggregation in one task. It keeps nothing beyond the
// current transaction.
type combiner[K, V, K2, A any] struct {
	Combining[K, V, K2, A]
	task *task
	name string

	staged  []staged[K, V]
	keyBuf  []byte // keys of the staged records
	applied int    // number of staged records that are applied

	groups  []*group[A] // by batch, the open one last
	bytes   int64       // of the groups
	typical int64       // average size of an encoded value at the last flush, in bytes
	scratch []byte
}

type staged[K, V any] struct {
	record processor.Record[K, V]
	keyEnd int // in keyBuf
}

// group has the partial results of one batch, in order of first appearance.
type group[A any] struct {
	batch   wire.Span
	index   map[string]int // into entries
	entries []entry[A]
}

type entry[A any] struct {
	key   string
	value A
}

func (c *combiner[K, V, K2, A]) restage(anew bool) {
	clear(c.staged)
	c.staged, c.keyBuf = c.staged[:0], c.keyBuf[:0]
	if anew {
		c.applied = 0
	}
}

// stage keeps a record that has come through the operators.
func (c *combiner[K, V, K2, A]) stage(r *processor.Record[K, V]) (err error) {
	key, reason := c.KeyOf(r)
	if reason == "" && wire.Absent(c.Keys, key) {
		reason = NoKey
	}
	if reason != "" {
		c.task.ctx.Drop(reason)
		return nil
	}
	if c.keyBuf, err = c.Keys.Append(c.keyBuf, key); err != nil {
		return fmt.Errorf("%s: encode a key: %w", c.name, err)
	}
	c.staged = append(c.staged, staged[K, V]{record: *r, keyEnd: len(c.keyBuf)})
	return nil
}

func (c *combiner[K, V, K2, A]) apply() error {
	if len(c.staged) == 0 {
		return nil
	}
	g := c.group(c.task.batch)
	for ; c.applied < len(c.staged); c.applied++ {
		start := 0
		if c.applied > 0 {
			start = c.staged[c.applied-1].keyEnd
		}
		s := &c.staged[c.applied]
		key := c.keyBuf[start:s.keyEnd]
		if i, ok := g.index[string(key)]; ok {
			g.entries[i].value = c.Fold(g.entries[i].value, true, &s.record)
			continue
		}
		var none A
		first := c.Fold(none, false, &s.record)
		e := entry[A]{key: string(key), value: first}
		g.index[e.key] = len(g.entries)
		g.entries = append(g.entries, e)
		c.bytes += int64(len(e.key)) + int64(unsafe.Sizeof(e)) + indexEntry + c.typical
	}
	return nil
}

// indexEntry is roughly the size of an entry in a group's index, without the bytes of its
// key.
const indexEntry = 48

func (c *combiner[K, V, K2, A]) held() int64 { return c.bytes }

// group returns the group of a batch, which most likely is that of the last record.
func (c *combiner[K, V, K2, A]) group(b wire.Span) *group[A] {
	for i := len(c.groups) - 1; i >= 0; i-- {
		if c.groups[i].batch.To == b.To {
			return c.groups[i]
		}
	}
	g := &group[A]{batch: b, index: make(map[string]int)}
	c.groups = append(c.groups, g)
	return g
}

// flush sends the partial results and forgets them, also those that cannot be encoded.
func (c *combiner[K, V, K2, A]) flush(send func(key []byte, m wire.Message)) error {
	var errs []error
	var key []byte
	var sent, bytes int64
	for _, g := range c.groups {
		for i := range g.entries {
			e := &g.entries[i]
			payload, err := c.Values.Append(c.scratch[:0], e.value)
			if err != nil {
				errs = append(errs, fmt.Errorf("%s: encode a value: %w", c.name, err))
				continue
			}
			c.scratch, key = payload, append(key[:0], e.key...)
			sent, bytes = sent+1, bytes+int64(len(payload))
			send(key, wire.Message{Kind: wire.Partial, Name: c.name, Span: g.batch, Payload: payload})
		}
	}
	if sent > 0 {
		c.typical = bytes / sent
	}
	c.recycle()
	return errors.Join(errs...)
}

// recycle keeps the memory of the last group for the next transaction: most likely it is
// that of the open batch. It drops a large group of which little was used, since clearing
// it costs its capacity and nothing counts that memory.
func (c *combiner[K, V, K2, A]) recycle() {
	c.bytes = 0
	if len(c.groups) == 0 {
		return
	}
	g := c.groups[len(c.groups)-1]
	if most := cap(g.entries); most > 1024 && len(g.entries) < most/4 {
		c.groups = nil
		return
	}
	clear(g.index)
	clear(g.entries)
	g.entries = g.entries[:0]
	clear(c.groups)
	c.groups = append(c.groups[:0], g)
}
