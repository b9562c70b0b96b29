package operator

import (
	"fmt"

	"github.com/millrace-streams/millrace/internal/engine"
	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
)

// JoinSpan says which records of two streams are joined. A left and a right record are
// joined if left - Before <= right <= left + After. All times are in ms.
type JoinSpan struct{ Before, After, Grace int64 }

// WindowJoin joins the records of two streams that have the same key and timestamps close
// together. A join consists of three nodes: one WindowJoinSide for each stream, and this
// node. The sides pass their records to this node. It has the stores and sends the
// results.
//
// A record is first joined with the stored records of the other stream, and then stored.
// Each pair is therefore joined once, by its later record.
type WindowJoin[K, A, B, R any] struct {
	Name string // the name of the join's stream time
	// Names of stores; the same store if a stream is joined with itself.
	Left, Right string
	// Name of the store of the records that wait for a partner; empty if each record is
	// its own partner.
	Waiting string
	Keys    serde.Serde[K]
	Span    JoinSpan
	Rule    JoinRule
	Join    RowJoiner[A, B, R]
	Out     serde.Serde[R]
}

// Waits reports whether records wait for a partner.
func (c WindowJoin[K, A, B, R]) Waits() bool { return c.Rule != (JoinRule{}) && c.Waiting != "" }

// timedRows is the part of a store's instance that one side of a join needs.
type timedRows[V any] interface {
	// Find appends the stored rows of a key with from <= At <= to, in order of time and
	// then of adding. They are valid until the next call.
	Find(dst []*engine.TimedRow[V], key []byte, from, to int64) ([]*engine.TimedRow[V], error)

	// Newest returns a stream time that the join had reached before its committed time
	// was lost. It returns -1 if the time was not lost.
	Newest() int64

	// DeletedBefore returns a time. Rows with an earlier one had expired before the store
	// was opened, perhaps by a shorter retention.
	DeletedBefore() int64

	// Add adds a row and returns it. It returns nil if the row has expired or is absent.
	Add(key []byte, value V, present bool, at int64, origin engine.Origin) (*engine.TimedRow[V], error)
}

// New makes the node's instance for one task.
func (c WindowJoin[K, A, B, R]) New(t graph.Task, n *graph.Node, children []any) (any, error) {
	j := &windowJoin[K, A, B, R]{windowJoinResults: windowJoinResults[K, R]{
		joining: joining{base{t, n}}, streamTime: t.Time(c.Name), keys: keyEncoder[K]{serde: c.Keys}, values: absenceOf(c.Out),
	}}
	var err error
	if j.next, err = receiverOf[K, R](children); err != nil {
		return nil, err
	}
	left, err := storeOf[timedRows[A]](t, c.Left)
	if err != nil {
		return nil, err
	}
	right, err := storeOf[timedRows[B]](t, c.Right)
	if err != nil {
		return nil, err
	}
	// The committed time may have been lost.
	*j.streamTime = max(*j.streamTime, processor.Timestamp(left.Newest()), processor.Timestamp(right.Newest()))
	j.left = &joinSide[K, A, B, R]{
		results: &j.windowJoinResults, own: left, other: right, keeps: true,
		before: c.Span.Before, after: c.Span.After, lookBack: c.Span.After + c.Span.Grace, alone: c.Rule.LeftAlone, join: c.Join,
	}
	j.right = &joinSide[K, B, A, R]{
		results: &j.windowJoinResults, own: right, other: left, keeps: c.Left != c.Right,
		before: c.Span.After, after: c.Span.Before, lookBack: c.Span.Before + c.Span.Grace, alone: c.Rule.RightAlone, join: c.Join.Flip(),
	}
	if !c.Waits() {
		return j, nil
	}
	return j, j.openWaiting(t, c.Waiting)
}

// openWaiting opens the store of the waiting records.
func (j *windowJoin[K, A, B, R]) openWaiting(t graph.Task, store string) error {
	s, err := storeOf[cellStore[WaitingKey[K], Waiting[A, B]]](t, store)
	if err != nil {
		return err
	}
	j.waiting = &waitingRecords[K, A, B]{cells: s.Cells(), leftBack: j.left.lookBack, rightBack: j.right.lookBack}
	if !t.EveryUpdate() {
		j.waiting.cells.KeepOld() // most records come and go between two commits
	}
	if j.left.alone {
		side := sideWaiting[K, A, A, B]{j.waiting, false, withLeft[A, B]}
		j.left.waits, j.right.partners = side, side
	}
	if j.right.alone {
		side := sideWaiting[K, B, A, B]{j.waiting, true, withRight[A, B]}
		j.right.waits, j.left.partners = side, side
	}
	j.settle = j.sendWaiting
	return j.waiting.find()
}

// WindowJoinSide passes the records of one stream to the WindowJoin below it.
type WindowJoinSide[K, A, B, R any] struct {
	Right bool
}

// New returns the join's receiver for the stream.
func (c WindowJoinSide[K, A, B, R]) New(_ graph.Task, _ *graph.Node, children []any) (any, error) {
	if len(children) == 1 {
		if j, ok := children[0].(*windowJoin[K, A, B, R]); ok {
			if c.Right {
				return j.right, nil
			}
			return j.left, nil
		}
	}
	return nil, fmt.Errorf("the children of a join's side are %T, want a %T", children, &windowJoin[K, A, B, R]{})
}

type windowJoin[K, A, B, R any] struct {
	windowJoinResults[K, R]
	left    *joinSide[K, A, B, R]
	right   *joinSide[K, B, A, R]
	waiting *waitingRecords[K, A, B]
	due     [][]byte // keys of waiting records; scratch
}

// windowJoinResults is shared by the two sides of a join.
type windowJoinResults[K, R any] struct {
	joining
	streamTime *processor.Timestamp // largest timestamp of the records of both streams
	keys       keyEncoder[K]
	values     absence[R]
	out        graph.Record[K, R]
	next       graph.Receiver[K, R]

	// settle sends the results of the waiting records whose time is over. It is nil if no
	// records wait.
	settle func(headers processor.Headers) error
}

// send sends the result in out.
func (w *windowJoinResults[K, R]) send() error {
	w.out.NoValue = w.values.is(w.out.Value)
	return w.next.Receive(&w.out)
}

// joinSide joins the records of one stream with those of the other. V is the type of the
// values of this stream, O that of the other one.
type joinSide[K, V, O, R any] struct {
	results *windowJoinResults[K, R]
	own     timedRows[V]
	other   timedRows[O]
	keeps   bool  // adds the records to own; if false, the other side has done so
	before  int64 // how much earlier and later a partner may be
	after   int64
	// A record waits until stream time is later than its timestamp by more than this.
	lookBack int64
	alone    bool
	join     RowJoiner[V, O, R]
	waits    waiter[K, V] // the waiting records of this side; nil unless they wait
	partners waited       // those of the other side; nil if they do not wait
	found    []*engine.TimedRow[O]
}

func (s *joinSide[K, V, O, R]) Receive(r *graph.Record[K, V]) error {
	w := s.results
	// As in all operators with a stream time, the record moves it before the operator
	// decides whether the record is late.
	*w.streamTime = max(*w.streamTime, r.Timestamp)
	switch {
	case r.NoKey && s.alone && !r.NoValue:
		return s.sendAlone(r)
	case r.NoKey:
		s.drop(nullKey)
		return nil
	}
	key, err := w.keys.bytes(r.KeyBytes, r.Key)
	if err != nil {
		_, failure := w.failed(err, nil)
		return failure
	}
	if r.NoValue {
		s.drop(nullValue)
		return s.keep(r, key, false)
	}
	if w.settle != nil && r.Timestamp == *w.streamTime {
		if err := w.settle(r.Headers); err != nil {
			return err
		}
	}
	return s.receive(r, key)
}

// drop counts a record as dropped. A record that goes to both sides is counted once.
func (s *joinSide[K, V, O, R]) drop(reason string) {
	if s.keeps {
		s.results.drop(reason)
	}
}

// receive joins a record that has a key and a value.
func (s *joinSide[K, V, O, R]) receive(r *graph.Record[K, V], key []byte) error {
	joined, err := s.sendJoined(r, key)
	if err != nil {
		return err
	}
	at := int64(r.Timestamp)
	// A record that is not kept would miss its later partners.
	waits := s.alone && !joined && at >= s.own.DeletedBefore() && engine.Later(at, s.lookBack) >= int64(*s.results.streamTime)
	switch {
	case waits && s.waits == nil:
		// The other side joins the record with itself.
	case waits:
		if err := s.waits.add(r, key, s.results.origin(r.Headers)); err != nil {
			return s.results.broken(err)
		}
	case s.alone && !joined:
		if err := s.sendAlone(r); err != nil {
			return err
		}
	}
	return s.keep(r, key, !waits)
}

// keep stores the record for later partners. settled says that the record does not wait.
func (s *joinSide[K, V, O, R]) keep(r *graph.Record[K, V], key []byte, settled bool) error {
	if !s.keeps {
		return nil
	}
	row, err := s.own.Add(key, r.Value, !r.NoValue, int64(r.Timestamp), s.results.origin(r.Headers))
	switch {
	case err != nil:
		return s.results.broken(err)
	case row != nil:
		row.Mark = settled
	case !r.NoValue:
		s.drop(lateRecord)
	}
	return nil
}

// sendJoined sends the results of the record with its partners. joined reports whether
// there are partners.
func (s *joinSide[K, V, O, R]) sendJoined(r *graph.Record[K, V], key []byte) (joined bool, failure error) {
	at := int64(r.Timestamp)
	var err error
	if s.found, err = s.other.Find(s.found[:0], key, engine.Later(at, -s.before), engine.Later(at, s.after)); err != nil {
		return false, s.results.broken(err)
	}
	for _, row := range s.found {
		if s.partners != nil && !row.Mark {
			if err := s.partners.remove(key, row.At, s.results.origin(r.Headers), at); err != nil {
				return false, s.results.broken(err)
			}
			row.Mark = true
		}
		if err := s.sendPair(r, row); err != nil {
			return false, err
		}
	}
	return len(s.found) > 0, nil
}

// sendPair sends the result of the record with one partner. If the function fails and the
// error policy skips the error, the pair has no result.
func (s *joinSide[K, V, O, R]) sendPair(r *graph.Record[K, V], row *engine.TimedRow[O]) error {
	w := s.results
	err := s.call(r.Value, row.Value, true)
	if err != nil {
		if ok, failure := s.callFailed(r.Value, row.Value, true, err); !ok {
			return failure
		}
	}
	copyKey(&w.out, r)
	w.out.Timestamp = max(r.Timestamp, processor.Timestamp(row.At))
	return w.send()
}

// sendAlone sends the result of a record without a partner.
func (s *joinSide[K, V, O, R]) sendAlone(r *graph.Record[K, V]) error {
	w := s.results
	copyKey(&w.out, r)
	return s.sendValueAlone(r.Value)
}

// sendValueAlone sends the result of a value without a partner. The caller has set the
// other fields of out.
func (s *joinSide[K, V, O, R]) sendValueAlone(v V) error {
	var none O
	if err := s.call(v, none, false); err != nil {
		if ok, failure := s.callFailed(v, none, false, err); !ok {
			return failure
		}
	}
	return s.results.send()
}

// call sets the value of out.
func (s *joinSide[K, V, O, R]) call(v V, o O, hasO bool) (err error) {
	defer graph.Guard(&err)
	s.results.out.Value, err = s.join(v, true, o, hasO)
	return err
}

func (s *joinSide[K, V, O, R]) callFailed(v V, o O, hasO bool, err error) (ok bool, failure error) {
	return s.results.joinFailed(newRow, err, func() error { return s.call(v, o, hasO) })
}
