package operator

import (
	"fmt"
	"unsafe"

	"github.com/millrace-streams/millrace/internal/engine"
	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/processor"
)

// Sink implements Combinable.
func (c Combining[K, V, A]) Sink(s Sink[K, V]) func(t graph.Task, n *graph.Node, children []any) (any, error) {
	return func(t graph.Task, n *graph.Node, children []any) (any, error) {
		combiner := &combiner[K, V, A]{how: c, keys: keyEncoder[K]{serde: s.Keys}, index: map[string]int32{}}
		t.OnFlush(n, combiner.flush) // before the sink forgets the number of partitions
		inner, err := s.New(t, n, children)
		if err == nil {
			combiner.sink = inner.(*sink[K, V])
		}
		return combiner, err
	}
}

// combiner is a sink that sends, at each commit, one partial for each key in place of the
// records. It keeps nothing beyond the transaction.
//
// It passes some records on unchanged: large records, because their partial could be
// refused although they would not be, and all records while combining costs more than it
// saves.
type combiner[K, V, A any] struct {
	sink *sink[K, V]
	how  Combining[K, V, A]
	keys keyEncoder[K]

	asked, on bool // whether this transaction combines
	pause     int  // transactions left without combining
	records   int  // combined in this transaction

	index map[string]int32 // the place of a key in parts
	parts []part[K, A]     // in order of the first record
	bytes int64            // that the task holds for it
}

// part is a partial in the making.
type part[K, A any] struct {
	key    K
	bytes  []byte // of the key
	value  A
	there  bool
	at     processor.Timestamp
	origin engine.Origin // the last record
}

const (
	// Larger records are not combined, because a topic that accepts the record must
	// accept the partial.
	mostPartialBytes = 4 << 10
	// The number of transactions without combining after one in which most keys differed.
	pauseTransactions = 16
	// A transaction with fewer records does not count for that.
	enoughToTell = 512
	// The approximate size of an entry in a map, without the bytes of its key.
	indexEntry = 48
)

// Patient implements [graph.PatientNode]: somebody waits for a record that is held back.
func (c *combiner[K, V, A]) Patient() bool { return false }

func (c *combiner[K, V, A]) Receive(r *graph.Record[K, V]) error {
	if r.NoKey || r.NoValue || r.Timestamp < 0 || !c.combines() {
		return c.sink.Receive(r)
	}
	key, err := c.keys.bytes(r.KeyBytes, r.Key)
	if err != nil || len(key)+headerBytes(r.Headers) > mostPartialBytes {
		return c.sink.Receive(r) // which reports the error
	}
	p := c.partOf(key, r)
	if err := c.add(p, r); err != nil {
		return c.sink.base.broken(err)
	}
	p.at, p.origin = max(p.at, r.Timestamp), c.sink.base.origin(r.Headers)
	c.records++
	return nil
}

// add adds a record to a part. After an error the part may have changed in place, so the
// transaction must not be committed.
func (c *combiner[K, V, A]) add(p *part[K, A], r *graph.Record[K, V]) (err error) {
	defer mayNotFail(&err)
	defer graph.Guard(&err)
	p.value, p.there, err = c.how.Add(p.value, p.there, r)
	return err
}

// mayNotFail adds to an error of a function that combines what to do about it.
func mayNotFail(err *error) {
	if *err == nil {
		return
	}
	*err = fmt.Errorf("combining records, whose functions must not fail: %w; correct the function, or remove the option Combine so that the error policy decides about the record", *err)
}

// combines reports whether the records of this transaction are combined.
func (c *combiner[K, V, A]) combines() bool {
	if !c.asked {
		c.asked, c.on = true, c.pause == 0 && c.sink.base.task.Combines(c.sink.out.Topic)
		c.pause = max(c.pause-1, 0)
	}
	return c.on
}

func headerBytes(headers processor.Headers) (n int) {
	for i := range headers {
		n += len(headers[i].Key) + len(headers[i].Value)
	}
	return n
}

// partOf returns the part of a key. It may be used until the next call.
func (c *combiner[K, V, A]) partOf(key []byte, r *graph.Record[K, V]) *part[K, A] {
	if i, ok := c.index[string(key)]; ok {
		return &c.parts[i]
	}
	own := c.sink.bytes.copy(key)
	c.index[unsafe.String(unsafe.SliceData(own), len(own))] = int32(len(c.parts))
	c.parts = append(c.parts, part[K, A]{key: r.Key, bytes: own})
	n := int64(unsafe.Sizeof(part[K, A]{})) + int64(len(own)) + indexEntry
	c.bytes += n
	c.sink.base.task.Hold(n)
	return &c.parts[len(c.parts)-1]
}

// flush sends the partials.
func (c *combiner[K, V, A]) flush() error {
	c.asked = false
	if c.records >= enoughToTell && 4*len(c.parts) > 3*c.records {
		c.pause = pauseTransactions
	}
	for i := range c.parts {
		if err := c.send(&c.parts[i]); err != nil {
			return err
		}
	}
	c.forget()
	return nil
}

func (c *combiner[K, V, A]) send(p *part[K, A]) error {
	c.sink.base.flushing(p.origin)
	r := graph.Record[K, V]{KeyBytes: p.bytes}
	r.Key, r.Timestamp, r.Headers = p.key, p.at, marked(p.origin.Headers)
	if err := c.preparePart(&r, p); err != nil {
		// No user function has run, so there is nothing that a policy could skip.
		return c.sink.base.broken(err)
	}
	return c.sink.base.task.Send(c.sink.out)
}

// preparePart sets out to a partial.
func (c *combiner[K, V, A]) preparePart(r *graph.Record[K, V], p *part[K, A]) (err error) {
	defer graph.Guard(&err)
	count, err := c.sink.address(r)
	if err != nil {
		return err
	}
	c.sink.out.Timestamp, c.sink.out.Headers, c.sink.out.Key = r.Timestamp, r.Headers, p.bytes
	if c.sink.out.Value, err = encodeTo(&c.sink.bytes, c.how.Values, p.value); err != nil {
		return err
	}
	return c.sink.defaultPartition(r, count)
}

// forget empties the combiner. It keeps the memory of a usual transaction for the next
// one.
func (c *combiner[K, V, A]) forget() {
	const usual = 1 << 16
	if c.sink.base.task.Hold(-c.bytes); len(c.parts) > usual || cap(c.parts) > 8*len(c.parts) {
		c.index, c.parts = map[string]int32{}, nil
	}
	clear(c.index)
	clear(c.parts)
	c.parts, c.bytes, c.records = c.parts[:0], 0, 0
}
