package operator

import (
	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
)

// GlobalJoin joins each record of a stream with the newest row of a global store. Key
// returns the key of the row. Records without a value are dropped.
//
// If the row's key is absent, Left joins the record without a row, and an inner join
// drops the record.
type GlobalJoin[K, V, K2, V2, R any] struct {
	Store string
	Key   func(processor.Record[K, V]) (K2, error)
	Keys  serde.Serde[K2]
	Left  bool // join records without a row too
	Join  func(v V, row V2, found bool) (R, error)
	Out   serde.Serde[R]
}

// globalStore is the part of a global store's instance that the join needs.
type globalStore[V any] interface {
	// Row returns the row of an encoded key.
	Row(key []byte) (value V, timestamp int64, ok bool, err error)
}

// New makes the node's instance for one task.
func (c GlobalJoin[K, V, K2, V2, R]) New(t graph.Task, n *graph.Node, children []any) (any, error) {
	next, err := receiverOf[K, R](children)
	if err != nil {
		return nil, err
	}
	rows, err := storeOf[globalStore[V2]](t, c.Store)
	return &globalJoin[K, V, K2, V2, R]{
		joining: joining{base{t, n}}, c: c, rows: rows, encoder: keyEncoder[K2]{serde: c.Keys}, keys: absenceOf(c.Keys), values: absenceOf(c.Out), next: next,
	}, err
}

type globalJoin[K, V, K2, V2, R any] struct {
	joining
	c       GlobalJoin[K, V, K2, V2, R]
	rows    globalStore[V2]
	encoder keyEncoder[K2]
	keys    absence[K2]
	values  absence[R]
	out     graph.Record[K, R]
	next    graph.Receiver[K, R]
}

// The outcomes for a record.
type joinResult int

const (
	unmatched joinResult = iota // an inner join has found no row
	matched
	withoutKey // an inner join was given no key of a row
)

func (j *globalJoin[K, V, K2, V2, R]) Receive(r *graph.Record[K, V]) error {
	if r.NoValue {
		j.drop(nullValue)
		return nil
	}
	result, err := j.call(r)
	if err != nil {
		if result, err = j.callFailed(r, err); err != nil {
			return err
		}
	}
	switch result {
	case unmatched:
		return nil
	case withoutKey:
		j.drop(nullKey)
		return nil
	}
	copyKey(&j.out, r)
	j.out.NoValue = j.values.is(j.out.Value)
	return j.next.Receive(&j.out)
}

// call sets out's value to the result, if there is one.
func (j *globalJoin[K, V, K2, V2, R]) call(r *graph.Record[K, V]) (result joinResult, err error) {
	defer graph.Guard(&err)
	key, err := j.c.Key(r.Record)
	if err != nil {
		return unmatched, err
	}
	if j.keys.is(key) {
		if !j.c.Left {
			return withoutKey, nil
		}
		var none V2
		j.out.Value, err = j.c.Join(r.Value, none, false)
		return matched, err
	}
	row, found, err := j.row(key)
	if err != nil || !found && !j.c.Left {
		return unmatched, err
	}
	j.out.Value, err = j.c.Join(r.Value, row, found)
	return matched, err
}

// row returns the row of a key. An error of the store is a graph.Final.
func (j *globalJoin[K, V, K2, V2, R]) row(key K2) (row V2, found bool, err error) {
	encoded, err := j.encoder.encode(key)
	if err != nil {
		return row, false, err
	}
	row, _, found, err = j.rows.Row(encoded)
	return row, found, graph.Final(err)
}

func (j *globalJoin[K, V, K2, V2, R]) callFailed(r *graph.Record[K, V], err error) (result joinResult, failure error) {
	ok, failure := j.joinFailed(newRow, err, func() (err error) { result, err = j.call(r); return err })
	if !ok {
		return unmatched, failure
	}
	return result, failure
}
