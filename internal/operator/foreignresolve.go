package operator

import (
	"fmt"

	"github.com/millrace-streams/millrace/internal/foreign"
	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/serde"
)

// ForeignResolve joins the responses of a foreign-key join with the left rows. It uses
// the rows that the left table has sent last, because these are the rows that have
// subscribed.
//
// A response is stale if its hash is not the row's. Kafka Streams drops every stale
// response, because the row's own subscription is then on its way, or has already been
// answered. In two cases this leaves a wrong result, and the row asks again:
//
//   - The row of an inner join may have subscribed with Subscribe, which gets no answer
//     if there is no right row. Only the response about the deletion of the right row
//     would remove the result, and that response is stale. The row therefore asks again
//     whenever a stale response says that there is no right row.
//   - A row may be encoded differently than when it subscribed: its values were migrated,
//     or a type has got a field. All responses are then stale. In the life of a task,
//     each row therefore asks again after its first stale response. What it subscribes
//     with from then on is encoded as it is now.
type ForeignResolve[K, A, F, B, R any] struct {
	ForeignSubscribe[K, A, F] // of the left rows

	Rows  View[K, A] // the left rows
	Right serde.Serde[B]
	Join  RowJoiner[A, B, R]
	Out   serde.Serde[R]
}

const staleResponse = "stale response"

// responseState says whether a response is about the present left row.
type responseState int

const (
	// The left row's value cannot be encoded, so the row counts as absent.
	unknownResponse responseState = iota
	presentResponse
	outdatedResponse
)

// New makes the node's instance for one task. One of the children takes subscriptions,
// the others take the results.
func (c ForeignResolve[K, A, F, B, R]) New(t graph.Task, n *graph.Node, children []any) (any, error) {
	j := &foreignResolve[K, A, F, B, R]{joining: joining{base{t, n}}, right: c.Right,
		result: joinedValues[A, B, R]{JoinRule{LeftAlone: c.Left}, c.Join, absenceOf(c.Out)}}
	var results []any
	for _, child := range children {
		if next, ok := child.(graph.Receiver[F, foreign.Subscription]); ok {
			j.again = c.subscriber(j.base, next)
			continue
		}
		results = append(results, child)
	}
	if j.again.next == nil {
		return nil, fmt.Errorf("no child of the node takes subscriptions")
	}
	var err error
	if j.updates, err = updatesTo[K, R](results); err != nil {
		return nil, err
	}
	j.left, err = c.Rows.Open(t, Reading{Sent: true})
	return j, err
}

type foreignResolve[K, A, F, B, R any] struct {
	joining
	left    Lookup[K, A]
	right   serde.Serde[B]
	result  joinedValues[A, B, R]
	again   subscriber[K, A, F]
	updates updates[K, R]

	asked asked

	row   graph.Record[K, A] // the left row of the response
	state responseState
	to    foreignKey[F] // of the row that asks again
}

func (j *foreignResolve[K, A, F, B, R]) Receive(r *graph.Record[K, foreign.Response]) error {
	switch {
	case r.NoKey:
		j.drop(nullKey)
		return nil
	case r.NoValue:
		j.drop(nullValue)
		return nil
	}
	left, failure := rowFor(&j.joining, j.left, r.Key, r.KeyBytes)
	if failure != nil {
		return failure
	}
	copyKey(&j.row, r)
	j.row.Value, j.row.NoValue = left.Value, !left.Present
	if err := j.compare(r); err != nil {
		if _, failure := j.joinFailed(rowLookedUp, err, func() error { return j.compare(r) }); failure != nil {
			return failure
		}
	}
	var none R
	j.set(r, none, false)
	switch j.state {
	case outdatedResponse:
		return j.receiveStale(r)
	case presentResponse:
		if err := j.call(r); err != nil {
			if failure := j.callFailed(r, err); failure != nil {
				return failure
			}
		}
	}
	return j.updates.send()
}

// compare finds the state of the response.
func (j *foreignResolve[K, A, F, B, R]) compare(r *graph.Record[K, foreign.Response]) error {
	j.state = unknownResponse
	hash, err := j.again.hash(j.row.Value, !j.row.NoValue)
	if err != nil {
		return err
	}
	if j.state = presentResponse; hash != r.Value.Hash {
		j.state = outdatedResponse
	}
	return nil
}

// callFailed passes an error of call to the error policy. If the policy skips it, the row
// of the result is absent.
func (j *foreignResolve[K, A, F, B, R]) callFailed(r *graph.Record[K, foreign.Response], err error) (failure error) {
	_, failure = j.joinFailed(newRow, err, func() error { return j.call(r) })
	return failure
}

// call sets the update of the result. If it fails, it leaves the update as it is.
func (j *foreignResolve[K, A, F, B, R]) call(r *graph.Record[K, foreign.Response]) (err error) {
	defer graph.Guard(&err)
	var right B
	if r.Value.Value != nil {
		if right, err = j.right.Decode(r.Value.Value); err != nil {
			return fmt.Errorf("value: %w", err)
		}
	}
	value, there, err := j.result.of(j.row.Value, !j.row.NoValue, right, r.Value.Value != nil)
	if err != nil {
		return err
	}
	j.set(r, value, there)
	return nil
}

func (j *foreignResolve[K, A, F, B, R]) set(r *graph.Record[K, foreign.Response], value R, there bool) {
	j.updates.set(r.Key, r.KeyBytes, value, there, int64(r.Timestamp), r.Headers)
}

// receiveStale receives a stale response. The row asks again if it must. A row of an
// inner join that has no foreign key has no result if there is no right row. The caller
// has set the update for that.
func (j *foreignResolve[K, A, F, B, R]) receiveStale(r *graph.Record[K, foreign.Response]) error {
	j.drop(staleResponse)
	removes := !j.again.of.Left && r.Value.Value == nil
	key, err := j.again.keys.bytes(r.KeyBytes, r.Key)
	if err != nil {
		return err // the row was found with the key
	}
	if first := j.asked.first(key); !first && !removes {
		return nil
	}
	// ForeignSubscribe has given an error to the policy, so the row has no foreign key.
	if err := j.again.find(&j.to, &j.row); err != nil || !j.to.is {
		if !removes {
			return nil
		}
		return j.updates.send()
	}
	if err := j.ask(); err != nil {
		if ok, failure := j.failed(err, j.ask); !ok {
			return failure
		}
	}
	return j.again.send(&j.to, foreign.SubscribeAndAnswer)
}

// ask describes the row for a subscription. If the serde encodes the value differently
// each time, all responses are stale, and the row would ask forever.
func (j *foreignResolve[K, A, F, B, R]) ask() error {
	if err := j.again.describe(&j.row); err != nil {
		return err
	}
	hash, err := j.again.hash(j.row.Value, true)
	if err == nil && hash != j.again.out.Value.Hash {
		return fmt.Errorf("%s encodes equal values differently each time, so the join cannot tell which responses are for the present row: use a serde whose encoding depends on the value only", serde.Name(j.again.of.Values))
	}
	return err
}

// asked has the keys of rows that have had a stale response. It forgets them when they
// are too many. A row then asks once more, which costs a subscription and a response.
type asked map[string]struct{}

const mostAsked = 10_000

// first reports whether a key is new.
func (a *asked) first(key []byte) bool {
	if _, known := (*a)[string(key)]; known {
		return false
	}
	if *a == nil || len(*a) == mostAsked {
		*a = asked{}
	}
	(*a)[string(key)] = struct{}{}
	return true
}
