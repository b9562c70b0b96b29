package operator

import (
	"bytes"
	"fmt"

	"github.com/millrace-streams/millrace/internal/foreign"
	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
)

// ForeignSubscribe sends the subscriptions of the rows of the left table of a foreign-key
// join; see package foreign. Left is the rule of the join: it says whether a row without
// a right row has a result.
//
// If Foreign fails for a row and the error policy skips the error, the row has no foreign
// key. If the value of a row cannot be encoded and the policy skips the error, the row
// counts as absent: its subscription ends, and its result is deleted.
type ForeignSubscribe[K, A, F any] struct {
	// Foreign returns the foreign key of a row. If ok is false, it has none.
	Foreign func(r *graph.Record[K, A]) (key F, ok bool, err error)

	Left   bool
	Keys   serde.Serde[K]
	Values serde.Serde[A]
	To     serde.Serde[F] // of foreign keys
}

// New makes the node's instance for one task.
func (c ForeignSubscribe[K, A, F]) New(t graph.Task, n *graph.Node, children []any) (any, error) {
	next, err := receiverOf[F, foreign.Subscription](children)
	return &foreignSubscribe[K, A, F]{subscriber: c.subscriber(base{t, n}, next)}, err
}

func (c ForeignSubscribe[K, A, F]) subscriber(b base, next graph.Receiver[F, foreign.Subscription]) subscriber[K, A, F] {
	return subscriber[K, A, F]{base: b, of: c, absent: absenceOf(c.To), keys: keyEncoder[K]{serde: c.Keys}, next: next}
}

type foreignSubscribe[K, A, F any] struct {
	subscriber[K, A, F]
	from foreignKey[F] // of the old row
	to   foreignKey[F] // of the new row
	old  graph.Record[K, A]
	bare graph.Record[K, A] // a new row whose value cannot be encoded, without the value
}

// foreignKey is the foreign key of a row.
type foreignKey[F any] struct {
	is    bool // the row has one
	lost  bool // it cannot be known
	key   F
	bytes []byte // the encoding of key
}

const nullForeignKey = "null foreign key"

func (s *foreignSubscribe[K, A, F]) ReceiveChange(c *graph.Change[K, A]) error {
	switch {
	case c.Earlier:
		s.base.drop(earlierVersion)
		return nil
	case c.NoOld && c.NoValue:
		return nil
	}
	row := &c.Record
	if err := s.describe(row); err != nil {
		var failure error
		if row, failure = s.describeFailed(row, err); row == nil || failure != nil {
			return failure
		}
	}
	skipped := false // the row, because its foreign key is an error
	if err := s.find(&s.to, row); err != nil {
		found, failure := s.findFailed(&s.to, row, err)
		if failure != nil {
			return failure
		}
		skipped = !found
	}
	s.old = oldRow(c)
	// The policy was given an error when the row was new. It is not known what the row
	// has subscribed to.
	s.from.lost = s.find(&s.from, &s.old) != nil
	if s.of.Left {
		return s.subscribeLeft()
	}
	if !s.to.is && !row.NoValue && !skipped { // which has been counted
		s.base.drop(nullForeignKey)
	}
	return s.subscribeInner()
}

// subscribeLeft asks for an answer for each update, because each has a result.
func (s *foreignSubscribe[K, A, F]) subscribeLeft() error {
	if s.from.is && !s.from.same(&s.to) {
		if err := s.send(&s.from, foreign.Unsubscribe); err != nil {
			return err
		}
	}
	return s.send(&s.to, foreign.SubscribeAndAnswer)
}

// subscribeInner asks for an answer if there may be a result to delete, or a right row.
func (s *foreignSubscribe[K, A, F]) subscribeInner() error {
	switch {
	case s.from.lost:
		return s.send(&s.to, foreign.SubscribeAndAnswer)
	case !s.from.is && !s.to.is:
		return nil
	case !s.to.is:
		return s.send(&s.from, foreign.UnsubscribeAndAnswer)
	case !s.from.is, s.from.same(&s.to):
		return s.send(&s.to, foreign.Subscribe)
	}
	if err := s.send(&s.from, foreign.Unsubscribe); err != nil {
		return err
	}
	return s.send(&s.to, foreign.SubscribeAndAnswer)
}

// same reports whether there are two foreign keys, and they are equal.
func (k *foreignKey[F]) same(other *foreignKey[F]) bool {
	return k.is && other.is && bytes.Equal(k.bytes, other.bytes)
}

// describeFailed passes an error of describe to the error policy. If the policy skips it,
// the row counts as absent. If even the key cannot be encoded, the row has no
// subscription that could end, and describeFailed returns nil.
func (s *foreignSubscribe[K, A, F]) describeFailed(r *graph.Record[K, A], err error) (row *graph.Record[K, A], failure error) {
	if ok, failure := s.base.failed(err, func() error { return s.describe(r) }); ok || failure != nil {
		return r, failure
	}
	var none A
	s.bare = *r
	s.bare.Value, s.bare.NoValue = none, true
	if s.describe(&s.bare) != nil {
		return nil, nil
	}
	return &s.bare, nil
}

// findFailed passes an error of find to the error policy. found says that another try has
// succeeded. If the policy skips the error, the row has no foreign key.
func (s *foreignSubscribe[K, A, F]) findFailed(k *foreignKey[F], r *graph.Record[K, A], err error) (found bool, failure error) {
	return s.base.failed(err, func() error { return s.find(k, r) })
}

// subscriber sends subscriptions of left rows.
type subscriber[K, A, F any] struct {
	base   base
	of     ForeignSubscribe[K, A, F]
	absent absence[F]
	keys   keyEncoder[K]
	value  []byte // scratch
	out    graph.Record[F, foreign.Subscription]
	next   graph.Receiver[F, foreign.Subscription]
}

// find sets k to the foreign key of a row.
func (s *subscriber[K, A, F]) find(k *foreignKey[F], r *graph.Record[K, A]) (err error) {
	defer graph.Guard(&err)
	if k.is = false; r.NoValue {
		return nil
	}
	key, ok, err := s.of.Foreign(r)
	if err != nil || !ok || s.absent.is(key) {
		return err
	}
	if k.bytes, err = s.of.To.Append(k.bytes[:0], key); err != nil {
		return fmt.Errorf("foreign key: %w", err)
	}
	k.key, k.is = key, true
	return nil
}

// describe sets out to the description of a row, without its foreign key.
func (s *subscriber[K, A, F]) describe(r *graph.Record[K, A]) error {
	hash, err := s.hash(r.Value, !r.NoValue)
	if err != nil {
		return err
	}
	primary, err := s.keys.bytes(r.KeyBytes, r.Key)
	if err != nil {
		return err
	}
	s.out.Value = foreign.Subscription{Hash: hash, Primary: string(primary), Partition: s.base.task.ID().Partition}
	s.out.Timestamp, s.out.Headers = r.Timestamp, r.Headers
	return nil
}

// hash returns the hash of a row's value.
func (s *subscriber[K, A, F]) hash(value A, present bool) (h foreign.Hash, err error) {
	defer graph.Guard(&err)
	if !present {
		return h, nil
	}
	if s.value, err = s.of.Values.Append(s.value[:0], value); err != nil {
		return h, fmt.Errorf("value: %w", err)
	}
	return foreign.HashOf(s.value), nil
}

// send sends the subscription of the row that was described last.
func (s *subscriber[K, A, F]) send(k *foreignKey[F], i foreign.Instruction) error {
	var none F
	s.out.Key, s.out.KeyBytes, s.out.NoKey = none, nil, true
	if k.is {
		s.out.Key, s.out.KeyBytes, s.out.NoKey = k.key, k.bytes, false
	}
	s.out.Value.Instruction = i
	return s.next.Receive(&s.out)
}

// SubscriptionPartition chooses the partition of a subscription without a foreign key.
// Nothing is looked up for it, so any will do.
func SubscriptionPartition[F any](r *processor.Record[F, foreign.Subscription], n int32) int32 {
	if !r.NoKey {
		return -1
	}
	return max(r.Value.Partition, 0) % n
}
