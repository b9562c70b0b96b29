package windowstore

import (
	"fmt"
	"iter"
	"math"

	"github.com/millrace-streams/millrace/internal/engine"
	"github.com/millrace-streams/millrace/internal/store"
	"github.com/millrace-streams/millrace/processor"
)

// Entry is a row of a window store.
type Entry[K, V any] struct {
	Key       K
	Start     processor.Timestamp // the start of the window
	End       processor.Timestamp // Start + window size, or math.MaxInt64
	Value     V
	Timestamp processor.Timestamp // the timestamp of the last write
}

// Store is a typed window store. Only the goroutine of its task may use it, inside Init,
// Process, Flush and punctuators.
//
// Range reads have inclusive bounds on the window start. Methods whose names begin with
// Reverse yield the same rows in descending order. A read ends at the first error, which
// it yields with a zero Entry. The loop may write to the store. A row that the loop has
// not reached yet is yielded with its value at the time when the loop reaches it.
//
// Store is an interface because the task and the processors hold the store as two
// different types. Only this package can implement it, so methods may be added.
type Store[K, V any] interface {
	processor.Store

	// Put sets the value of key in the window that begins at start. The timestamp of the
	// row is that of the record being processed or, in a punctuator, that of the
	// punctuator. An expired window is not written; see the package documentation.
	Put(key K, value V, start processor.Timestamp) error
	// PutTimestamped is Put with a given timestamp. A negative one is an error: no broker
	// accepts a record with it, so the change could not be written to the changelog.
	PutTimestamped(key K, value V, start, at processor.Timestamp) error
	// Delete removes the value of key in the window that begins at start.
	Delete(key K, start processor.Timestamp) error

	// Get returns the value of key in the window that begins at start. The bool says
	// whether there is one.
	Get(key K, start processor.Timestamp) (V, bool, error)

	// Fetch yields the windows of key with from <= start <= to, by start.
	Fetch(key K, from, to processor.Timestamp) iter.Seq2[Entry[K, V], error]
	ReverseFetch(key K, from, to processor.Timestamp) iter.Seq2[Entry[K, V], error]
	// FetchRange yields the windows with from <= start <= to of the keys from first to
	// last.
	FetchRange(first, last K, from, to processor.Timestamp) iter.Seq2[Entry[K, V], error]
	ReverseFetchRange(first, last K, from, to processor.Timestamp) iter.Seq2[Entry[K, V], error]
	// FetchAll yields the windows with from <= start <= to of all keys.
	FetchAll(from, to processor.Timestamp) iter.Seq2[Entry[K, V], error]
	ReverseFetchAll(from, to processor.Timestamp) iter.Seq2[Entry[K, V], error]
	// All yields all windows that have not expired.
	All() iter.Seq2[Entry[K, V], error]
	ReverseAll() iter.Seq2[Entry[K, V], error]

	// types binds the store to its types and to this package.
	types(K, V)
}

// ExpiredReason is the reason under which a put of an expired window is counted as
// dropped.
const ExpiredReason = store.ExpiredReason

// Open returns the store of the processor's task. Call it in Init. If the processor was
// not given the store when the topology was built, that is a programming mistake: Open
// panics with an error that says so, and Init fails.
func Open[K, V, K2, V2 any](ctx processor.Context[K2, V2], spec Spec[K, V]) Store[K, V] {
	instance := store.Open(ctx, spec)
	s, ok := instance.(*windows[K, V])
	if !ok {
		panic(store.Other(spec, instance))
	}
	return &windows[K, V]{core: s.core, user: store.UserOf(ctx)}
}

// windows is a store's instance in a task, or one processor's handle of it.
type windows[K, V any] struct {
	*core[K, V]
	user store.User
}

func (*windows[K, V]) types(K, V) {}

// core is shared by all handles of an instance.
type core[K, V any] struct {
	*store.Expiring[K, V]

	size   int64
	layout store.WindowLayout

	duplicates bool
	seq        uint32 // the sequence number of the last put
	openTime   int64  // the store's time when it was opened

	recent *engine.Recent[engine.WindowList] // for Windows

	cellBuf []byte
}

// open makes the instance for one task.
func open[K, V any](t *store.Typed[K, V], env engine.Env) (engine.Store, error) {
	expiring, err := store.NewExpiring(t, env, startOf)
	if err != nil {
		return nil, err
	}
	spec := t.Describe()
	return &windows[K, V]{core: &core[K, V]{
		Expiring:   expiring,
		size:       spec.WindowSize.Milliseconds(),
		layout:     store.NewWindowLayout(expiring.Interval()),
		duplicates: spec.Duplicates,
		openTime:   expiring.Time(),
		recent:     engine.NewRecent[engine.WindowList](env.Budget),
	}}, nil
}

// startOf returns the window start of a local key.
func startOf(local []byte) (start int64, ok bool) {
	_, start, _, ok = store.SplitLocal(local)
	return start, ok
}

// cellKey returns the key of a cell, valid until the next call.
func (s *core[K, V]) cellKey(key K, start int64, seq uint32) ([]byte, error) {
	b, err := s.Encode(key)
	if err != nil {
		return nil, err
	}
	s.cellBuf = s.layout.AppendKey(s.cellBuf[:0], b, start, seq)
	return s.cellBuf, nil
}

func (s *core[K, V]) Get(key K, start processor.Timestamp) (V, bool, error) {
	var zero V
	if start < 0 || s.Expired(int64(start)) {
		return zero, false, nil
	}
	if s.duplicates {
		for e, err := range s.Fetch(key, start, start) {
			return e.Value, err == nil, err
		}
		return zero, false, nil
	}
	b, err := s.cellKey(key, int64(start), 0)
	if err != nil {
		return zero, false, err
	}
	cell, err := s.Cells().Get(b)
	if err != nil || cell == nil {
		return zero, false, err
	}
	return cell.Value, true, nil
}

func (s *windows[K, V]) Put(key K, value V, start processor.Timestamp) error {
	return s.put(key, value, true, int64(start), s.Env().Now())
}

func (s *windows[K, V]) PutTimestamped(key K, value V, start, at processor.Timestamp) error {
	if err := s.CheckTime(at); err != nil {
		return err
	}
	return s.put(key, value, true, int64(start), int64(at))
}

func (s *windows[K, V]) Delete(key K, start processor.Timestamp) error {
	var zero V
	return s.put(key, zero, false, int64(start), s.Env().Now())
}

func (s *windows[K, V]) put(key K, value V, present bool, start, at int64) error {
	if start < 0 {
		return s.Wrap(fmt.Errorf("window start %d ms is before 1970", start))
	}
	present = present && s.Present(value)
	encoded, err := s.Encode(key)
	if err != nil {
		return err // no sequence number was used
	}
	s.recent.Forget(encoded)
	seq, err := s.nextSeq(key, start)
	if err != nil {
		return err
	}
	b, err := s.cellKey(key, start, seq)
	if err != nil {
		return err
	}
	if s.duplicates && !present {
		return s.LogOnly(b, value, false, at, s.user.Origin())
	}
	return s.Expiring.Put(b, key, value, present, start, at, s.user)
}

// nextSeq returns the sequence number of a put: 0, or the next number if the store
// retains duplicates. Numbers start again when the store is opened. For windows that may
// have rows from before that, a number may already be in use.
func (s *core[K, V]) nextSeq(key K, start int64) (uint32, error) {
	if !s.duplicates {
		return 0, nil
	}
	for {
		s.seq = (s.seq + 1) & math.MaxInt32
		if start > s.openTime {
			return s.seq, nil
		}
		b, err := s.cellKey(key, start, s.seq)
		if err != nil {
			return 0, err
		}
		cell, err := s.Cells().Get(b)
		if err != nil || cell == nil {
			return s.seq, err
		}
	}
}
