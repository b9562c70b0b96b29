package operator

import (
	"fmt"

	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
)

// StreamTableJoin joins each record of a stream with the newest row of its key in a
// table. Records without a value are dropped. A record without a key finds no row: it is
// joined if Left is true, and dropped otherwise.
type StreamTableJoin[K, V, V2, R any] struct {
	Table View[K, V2]
	Left  bool // join records without a row too
	AsOf  bool // find the row as of the record's timestamp; the table keeps versions
	Join  func(v V, row V2, found bool) (R, error)
	Out   serde.Serde[R]

	// Buffer is the store in which records wait until the join's stream time is later
	// than their own by the grace; "" if they do not wait. Its time is that of the
	// records which came with a key and a value.
	Buffer string
	Grace  int64 // ms
	Keys   serde.Serde[K]
}

// New makes the node's instance for one task.
func (c StreamTableJoin[K, V, V2, R]) New(t graph.Task, n *graph.Node, children []any) (any, error) {
	next, err := receiverOf[K, R](children)
	if err != nil {
		return nil, err
	}
	table, err := c.Table.Open(t, Reading{Kept: valuesAreKept(n)})
	if err != nil {
		return nil, err
	}
	j := &streamTableJoin[K, V, V2, R]{
		joining: joining{base{t, n}}, table: table, asOf: c.AsOf, left: c.Left, join: c.Join, values: absenceOf(c.Out), next: next,
	}
	if c.Buffer == "" {
		return j, nil
	}
	b, err := openBuffer(j.base, c.Buffer, c.Grace)
	return &delayedJoin[K, V, V2, R]{streamTableJoin: j, keys: keyEncoder[K]{serde: c.Keys}, buffer: b}, err
}

type streamTableJoin[K, V, V2, R any] struct {
	joining
	table  Lookup[K, V2]
	asOf   bool
	left   bool
	join   func(V, V2, bool) (R, error)
	values absence[R]
	out    graph.Record[K, R]
	next   graph.Receiver[K, R]

	// from is where the record comes from that is joined, if it is not the task's: it has
	// waited.
	from *processor.Metadata
}

func (j *streamTableJoin[K, V, V2, R]) Receive(r *graph.Record[K, V]) error {
	if !j.takes(r) {
		return nil
	}
	return j.send(r)
}

// takes reports whether a record can have a result. If not, it is counted as dropped.
func (j *streamTableJoin[K, V, V2, R]) takes(r *graph.Record[K, V]) bool {
	switch {
	case r.NoValue:
		j.drop(nullValue)
	case r.NoKey && !j.left:
		j.drop(nullKey)
	default:
		return true
	}
	return false
}

// send sends the result of a record.
func (j *streamTableJoin[K, V, V2, R]) send(r *graph.Record[K, V]) error {
	joined, err := j.call(r)
	if err != nil {
		if joined, err = j.callFailed(r, j.about(err)); err != nil {
			return err
		}
	}
	if !joined {
		return nil
	}
	copyKey(&j.out, r)
	j.out.NoValue = j.values.is(j.out.Value)
	return j.next.Receive(&j.out)
}

// about makes an error name the record that is joined. Otherwise only the task's record
// would be named.
func (j *streamTableJoin[K, V, V2, R]) about(err error) error {
	if j.from == nil {
		return err
	}
	return fmt.Errorf("the record of topic %q, partition %d, offset %d, which has waited: %w", j.from.Topic, j.from.Partition, j.from.Offset, err)
}

// call sets out's value to the result. joined is false if the record has none.
func (j *streamTableJoin[K, V, V2, R]) call(r *graph.Record[K, V]) (joined bool, err error) {
	defer graph.Guard(&err)
	var row Row[V2]
	switch {
	case r.NoKey:
	case j.asOf:
		row, err = rowAsOf(j.table, r.Key, r.KeyBytes, r.Timestamp)
	default:
		row, err = j.table.Row(r.Key, r.KeyBytes)
	}
	if err != nil {
		return false, err
	}
	if !row.Present && !j.left {
		return false, nil
	}
	j.out.Value, err = j.join(r.Value, row.Value, row.Present)
	return true, err
}

func (j *streamTableJoin[K, V, V2, R]) callFailed(r *graph.Record[K, V], err error) (joined bool, failure error) {
	ok, failure := j.joinFailed(newRow, err, func() (err error) { joined, err = j.call(r); return err })
	return ok && joined, failure
}

// joining is what all joins have in common.
type joining struct{ base }

// joinFailed passes an error of a lookup or of a joiner to the error policy. If a store
// could not be read, the task fails instead.
func (j *joining) joinFailed(which whichRow, err error, again func() error) (ok bool, failure error) {
	if graph.IsFinal(err) {
		return false, j.broken(err)
	}
	return j.failedFor(which, err, again)
}

// rowFor returns the row of a key in the other table of a join. An error is passed to the
// error policy. If the policy skips it, the row is the one that comes with the error.
func rowFor[K, V any](j *joining, table Lookup[K, V], key K, encoding []byte) (row Row[V], failure error) {
	row, err := guardedRow(table, key, encoding)
	if err != nil {
		return rowForFailed(j, table, key, encoding, row, err)
	}
	return row, nil
}

func guardedRow[K, V any](table Lookup[K, V], key K, encoding []byte) (row Row[V], err error) {
	defer graph.Guard(&err)
	return table.Row(key, encoding)
}

func rowForFailed[K, V any](j *joining, table Lookup[K, V], key K, encoding []byte, row Row[V], err error) (_ Row[V], failure error) {
	again := row
	if ok, failure := j.joinFailed(rowLookedUp, err, func() (err error) { again, err = guardedRow(table, key, encoding); return err }); !ok {
		return row, failure
	}
	return again, nil
}
