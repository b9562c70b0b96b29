package batch

import (
	"errors"
	"fmt"
	"unsafe"

	"github.com/millrace-streams/millrace/batch/internal/wire"
	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
)

// leaf is a combiner as the stamping processor sees it. A record is staged first in all
// leaves, and applied when all user functions on the way have succeeded.
type leaf interface {
	// restage forgets what was staged; anew says that it is for another record than the
	// last time.
	restage(anew bool)
	apply() error
	// held is an estimate of the bytes that flush will set free.
	held() int64
	flush(send func(key []byte, m wire.Message)) error
}

// combiner folds the records of one aggregation in one task, for the current transaction
// only.
type combiner[K, V, K2, A any] struct {
	stamps *stamps
	op     string
	keys   serde.Serde[K2]
	values serde.Serde[A]
	keyOf  func(*processor.Record[K, V]) (K2, string)
	fold   func(sum A, some bool, r *processor.Record[K, V]) A

	staged  []staged[K, V]
	keyBuf  []byte // of what is staged
	applied int    // of what is staged

	groups  []*group[A] // by batch, the open one last
	bytes   int64       // of the groups
	typical int64       // bytes of an encoded value, on average, at the last flush
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

// stage is where a record's way through the operators ends.
func (c *combiner[K, V, K2, A]) stage(r *processor.Record[K, V]) (err error) {
	key, reason := c.keyOf(r)
	if reason == "" && absent(c.keys, key) {
		reason = noKey
	}
	if reason != "" {
		c.stamps.ctx.Drop(reason)
		return nil
	}
	if c.keyBuf, err = c.keys.Append(c.keyBuf, key); err != nil {
		return fmt.Errorf("%s: encode a key: %w", c.op, err)
	}
	c.staged = append(c.staged, staged[K, V]{record: *r, keyEnd: len(c.keyBuf)})
	return nil
}

func absent[T any](s serde.Serde[T], v T) bool {
	o, ok := s.(serde.Optional[T])
	return ok && o.Absent(v)
}

func (c *combiner[K, V, K2, A]) apply() error {
	if len(c.staged) == 0 {
		return nil
	}
	g := c.group(c.stamps.batch)
	for ; c.applied < len(c.staged); c.applied++ {
		start := 0
		if c.applied > 0 {
			start = c.staged[c.applied-1].keyEnd
		}
		s := &c.staged[c.applied]
		key := c.keyBuf[start:s.keyEnd]
		if i, ok := g.index[string(key)]; ok {
			g.entries[i].value = c.fold(g.entries[i].value, true, &s.record)
			continue
		}
		var none A
		first := c.fold(none, false, &s.record)
		e := entry[A]{key: string(key), value: first}
		g.index[e.key] = len(g.entries)
		g.entries = append(g.entries, e)
		c.bytes += int64(len(e.key)) + int64(unsafe.Sizeof(e)) + indexEntry + c.typical
	}
	return nil
}

// indexEntry is about what an entry takes in a group's index, besides the bytes of its
// key.
const indexEntry = 48

func (c *combiner[K, V, K2, A]) held() int64 { return c.bytes }

// group returns the group of a batch, most likely that of the last record.
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

// flush sends what there is, and forgets it, also what cannot be encoded.
func (c *combiner[K, V, K2, A]) flush(send func(key []byte, m wire.Message)) error {
	var errs []error
	var key []byte
	var sent, bytes int64
	for _, g := range c.groups {
		for i := range g.entries {
			e := &g.entries[i]
			payload, err := c.values.Append(c.scratch[:0], e.value)
			if err != nil {
				errs = append(errs, fmt.Errorf("%s: encode a value: %w", c.op, err))
				continue
			}
			c.scratch, key = payload, append(key[:0], e.key...)
			sent, bytes = sent+1, bytes+int64(len(payload))
			send(key, wire.Message{Kind: wire.Partial, Name: c.op, Span: g.batch, Payload: payload})
		}
	}
	if sent > 0 {
		c.typical = bytes / sent
	}
	c.recycle()
	return errors.Join(errs...)
}

// recycle keeps the memory of the last group, which is the open batch's most likely, for
// the next transaction, unless most of it was not used: clearing costs what there is, and
// nobody counts it.
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
