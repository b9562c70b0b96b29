package operator

import (
	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/serde"
)

// StreamTableJoin joins each record of a stream with the newest row of its key in a
// table. Records without a value are dropped. A record without a key finds no row: it is
// joined if Left is true, and dropped otherwise.
type StreamTableJoin[K, V, V2, R any] struct {
	Table View[K, V2]
	Left  bool // join records without a row too
	Join  func(v V, row V2, found bool) (R, error)
	Out   serde.Serde[R]
}

// New makes the node's instance for one task.
func (c StreamTableJoin[K, V, V2, R]) New(t graph.Task, n *graph.Node, children []any) (any, error) {
	next, err := receiverOf[K, R](children)
	if err != nil {
		return nil, err
	}
	table, err := c.Table.Open(t, Reading{Kept: valuesAreKept(n)})
	return &streamTableJoin[K, V, V2, R]{
		joining: joining{base{t, n}}, table: table, left: c.Left, join: c.Join, values: absenceOf(c.Out), next: next,
	}, err
}

type streamTableJoin[K, V, V2, R any] struct {
	joining
	table  Lookup[K, V2]
	left   bool
	join   func(V, V2, bool) (R, error)
	values absence[R]
	out    graph.Record[K, R]
	next   graph.Receiver[K, R]
}

func (j *streamTableJoin[K, V, V2, R]) Receive(r *graph.Record[K, V]) error {
	switch {
	case r.NoValue:
		j.drop(nullValue)
		return nil
	case r.NoKey && !j.left:
		j.drop(nullKey)
		return nil
	}
	joined, err := j.call(r)
	if err != nil {
		if joined, err = j.callFailed(r, err); err != nil {
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

// call sets out's value to the result. joined is false if the record has none.
func (j *streamTableJoin[K, V, V2, R]) call(r *graph.Record[K, V]) (joined bool, err error) {
	defer graph.Guard(&err)
	var row Row[V2]
	if !r.NoKey {
		if row, err = j.table.Row(r.Key, r.KeyBytes); err != nil {
			return false, err
		}
	}
	if !row.Present && !j.left {
		return false, nil
	}
	j.out.Value, err = j.join(r.Value, row.Value, row.Present)
	return true, err
}

func (j *streamTableJoin[K, V, V2, R]) callFailed(r *graph.Record[K, V], err error) (joined bool, failure error) {
	ok, failure := j.joinFailed(err, func() (err error) { joined, err = j.call(r); return err })
	return ok && joined, failure
}

// joining is what all joins have in common.
type joining struct{ base }

// joinFailed passes an error of a lookup or of a joiner to the error policy. If a store
// could not be read, the task fails instead.
func (j *joining) joinFailed(err error, again func() error) (ok bool, failure error) {
	if graph.IsFinal(err) {
		return false, j.broken(err)
	}
	return j.failed(err, again)
}
