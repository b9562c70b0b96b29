package operator

import (
	"cmp"
	"fmt"

	"github.com/millrace-streams/millrace/internal/engine"
	"github.com/millrace-streams/millrace/internal/foreign"
	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
)

// subscriptionCells are the cells of a store of subscriptions.
type subscriptionCells = engine.Cells[foreign.Key, foreign.Subscription]

// answering sends responses.
type answering[B any] struct {
	base    base
	values  serde.Serde[B]
	value   []byte // scratch
	primary []byte // scratch
	out     graph.Record[[]byte, foreign.Response]
	next    graph.Receiver[[]byte, foreign.Response]
}

func newAnswering[B any](b base, values serde.Serde[B], children []any) (answering[B], error) {
	next, err := receiverOf[[]byte, foreign.Response](children)
	return answering[B]{base: b, values: values, next: next}, err
}

// encode returns the encoding of a right row's value. It is nil only if the row is
// absent.
func (a *answering[B]) encode(value B, present bool) (data []byte, err error) {
	defer graph.Guard(&err)
	if !present {
		return nil, nil
	}
	if a.value == nil {
		a.value = []byte{}
	}
	if a.value, err = a.values.Append(a.value[:0], value); err != nil {
		return nil, fmt.Errorf("value: %w", err)
	}
	return a.value, nil
}

// answer sends a response to a subscription. The caller has set the timestamp and the
// headers of out.
func (a *answering[B]) answer(s *foreign.Subscription, value []byte) error {
	a.primary = append(a.primary[:0], s.Primary...)
	a.out.KeyBytes = a.primary
	a.out.Value = foreign.Response{Hash: s.Hash, Value: value, Partition: s.Partition}
	return a.next.Receive(&a.out)
}

// ResponsePartition is the partition of a response.
func ResponsePartition(r *processor.Record[[]byte, foreign.Response], _ int32) int32 {
	return r.Value.Partition
}

// ForeignReceive keeps subscriptions, and answers them with the row that the right table
// has sent last. It does not use newer rows: a row that is created and deleted between
// two commits is never sent, so its subscribers would not be told of the deletion.
type ForeignReceive[F, B any] struct {
	Store  string // of the subscriptions
	Right  View[F, B]
	Values serde.Serde[B]
}

// New makes the node's instance for one task.
func (c ForeignReceive[F, B]) New(t graph.Task, n *graph.Node, children []any) (any, error) {
	s, err := storeOf[cellStore[foreign.Key, foreign.Subscription]](t, c.Store)
	if err != nil {
		return nil, err
	}
	r := &foreignReceive[F, B]{cells: s.Cells()}
	if r.answering, err = newAnswering(base{t, n}, c.Values, children); err != nil {
		return nil, err
	}
	r.right, err = c.Right.Open(t, Reading{Sent: true})
	return r, err
}

type foreignReceive[F, B any] struct {
	answering[B]
	right Lookup[F, B]
	cells *subscriptionCells
	key   []byte // scratch
}

func (f *foreignReceive[F, B]) Receive(r *graph.Record[F, foreign.Subscription]) error {
	s := &r.Value
	switch {
	case r.NoValue:
		f.base.drop(nullValue)
		return nil
	case r.NoKey && s.Instruction != foreign.SubscribeAndAnswer:
		f.base.drop(nullKey)
		return nil
	case !r.NoKey:
		if err := f.keep(r); err != nil {
			return f.base.broken(err)
		}
	}
	f.out.Timestamp, f.out.Headers = r.Timestamp, r.Headers
	if s.Instruction == foreign.Unsubscribe {
		return nil
	}
	value, err := f.look(r)
	if err != nil {
		if value, err = f.lookFailed(r, value, err); err != nil {
			return err
		}
	}
	if value == nil && s.Instruction == foreign.Subscribe {
		return nil
	}
	return f.answer(s, value)
}

// keep keeps the subscription, or deletes it.
func (f *foreignReceive[F, B]) keep(r *graph.Record[F, foreign.Subscription]) error {
	f.key = foreign.AppendKey(f.key[:0], r.KeyBytes, r.Value.Primary)
	// Nothing reads the decoded keys of the cells: the encoded keys have the same facts.
	_, err := f.cells.Put(f.key, foreign.Key{}, r.Value, r.Value.Instruction.Keeps(), int64(r.Timestamp), f.base.origin(r.Headers))
	return err
}

// look returns the encoding of the right row's value for the answer, or nil if there is
// no row. It sets the timestamp of the answer. If it fails, value is the result if the
// error policy skips the error.
func (f *foreignReceive[F, B]) look(r *graph.Record[F, foreign.Subscription]) (value []byte, err error) {
	defer graph.Guard(&err)
	if r.NoKey {
		return nil, nil
	}
	row, err := f.right.Row(r.Key, r.KeyBytes)
	if graph.IsFinal(err) {
		return nil, err
	}
	f.out.Timestamp = max(r.Timestamp, row.Timestamp)
	value, failed := f.encode(row.Value, row.Present && r.Value.Instruction.Keeps())
	return value, cmp.Or(err, failed)
}

// lookFailed passes an error of look to the error policy. If the policy skips the error,
// the answer is value.
func (f *foreignReceive[F, B]) lookFailed(r *graph.Record[F, foreign.Subscription], value []byte, err error) (_ []byte, failure error) {
	j := joining{f.base}
	_, failure = j.joinFailed(rowLookedUp, err, func() (err error) { value, err = f.look(r); return err })
	return value, failure
}

// ForeignUpdate answers the subscriptions of the rows of the right table that change. If
// the value of a row cannot be encoded and the error policy skips the error, the answer
// is that there is no row, as in ForeignReceive.
type ForeignUpdate[F, B any] struct {
	Store  string // of the subscriptions
	Keys   serde.Serde[F]
	Values serde.Serde[B]
}

// New makes the node's instance for one task.
func (c ForeignUpdate[F, B]) New(t graph.Task, n *graph.Node, children []any) (any, error) {
	s, err := storeOf[cellStore[foreign.Key, foreign.Subscription]](t, c.Store)
	if err != nil {
		return nil, err
	}
	u := &foreignUpdate[F, B]{keys: keyEncoder[F]{serde: c.Keys}, cells: s.Cells()}
	u.answering, err = newAnswering(base{t, n}, c.Values, children)
	return u, err
}

type foreignUpdate[F, B any] struct {
	answering[B]
	keys   keyEncoder[F]
	cells  *subscriptionCells
	prefix []byte // scratch
	key    []byte // of the update
	known  bool   // key was encoded
	data   []byte // its value; nil: deleted
}

// ReceiveChange does not use old rows. It takes them because the table then keeps the
// rows that it has sent, which ForeignReceive looks up.
func (u *foreignUpdate[F, B]) ReceiveChange(c *graph.Change[F, B]) error {
	if c.Earlier {
		u.base.drop(earlierVersion)
		return nil
	}
	if err := u.prepare(c); err != nil {
		if failure := u.prepareFailed(c, err); failure != nil || !u.known {
			return failure
		}
	}
	u.out.Timestamp, u.out.Headers = c.Timestamp, c.Headers
	u.prefix = foreign.AppendPrefix(u.prefix[:0], u.key)
	for row, err := range u.cells.Range(u.prefix, engine.PrefixEnd(u.prefix), false) {
		if err != nil {
			return u.base.broken(err)
		}
		if err := u.answer(&row.Value, u.data); err != nil {
			return err
		}
	}
	return nil
}

// prepare sets the key and the value of the answers. If only the value cannot be encoded,
// the answers have none.
func (u *foreignUpdate[F, B]) prepare(c *graph.Change[F, B]) (err error) {
	u.data = nil
	u.key, err = u.keys.bytes(c.KeyBytes, c.Key)
	if u.known = err == nil; !u.known {
		return err
	}
	u.data, err = u.encode(c.Value, !c.NoValue)
	return err
}

// prepareFailed passes an error of prepare to the error policy.
func (u *foreignUpdate[F, B]) prepareFailed(c *graph.Change[F, B], err error) (failure error) {
	_, failure = u.base.failed(err, func() error { return u.prepare(c) })
	return failure
}
