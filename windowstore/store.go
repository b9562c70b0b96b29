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
// Process, Flush and punctuators. The loop over a range read may write to the store.
//
// Store is an interface so that the type that implements it is compiled only in programs
// that call [Open]. Only this package can implement it, so methods may be added.
type Store[K, V any] interface {
	Reader[K, V]

	// Put sets the value of key in the window that begins at start. The timestamp of the
	// row is that of the record being processed or, in a punctuator, that of the
	// punctuator. An expired window is not written; see the package documentation.
	Put(key K, value V, start processor.Timestamp) error
	// PutTimestamped is Put with a given timestamp. A negative one is an error: no broker
	// accepts a record with it, so the change could not be written to the changelog.
	PutTimestamped(key K, value V, start, at processor.Timestamp) error
	// Delete removes the value of key in the window that begins at start.
	Delete(key K, start processor.Timestamp) error
}

// Reader has the methods of a [Store] that only read. [OpenTable] returns one.
//
// Range reads have inclusive bounds on the window start. Methods whose names begin with
// Reverse yield the same rows in descending order. A read ends at the first error, which
// it yields with a zero Entry. A row that the loop has not reached yet is yielded with
// its value at the time when the loop reaches it.
//
// A value that was read from a table must not be changed.
type Reader[K, V any] interface {
	processor.Store

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

	// opener binds the store to this package. See store.HandleOf.
	opener() opener[K, V]
}

// ExpiredReason is the reason under which a put of an expired window is counted as
// dropped.
const ExpiredReason = store.ExpiredReason

// Open returns the store of the processor's task. Call it in Init. If the processor was
// not given the store when the topology was built, that is a programming mistake: Open
// panics with an error that says so, and Init fails.
func Open[K, V, K2, V2 any](ctx processor.Context[K2, V2], spec Spec[K, V]) Store[K, V] {
	instance := store.Open(ctx, spec)
	c, ok := instance.(*core[K, V])
	if !ok {
		panic(store.Other(spec, instance))
	}
	return &windows[K, V]{core: c, common: c.expiring.Core(), user: store.UserOf(ctx)}
}

// windows is a processor's handle of a store.
type windows[K, V any] struct {
	core    *core[K, V]
	common  *store.Core[K, V] // of core
	user    store.User
	cellBuf []byte
}

// opener is the store.Opener of the package.
type opener[K, V any] struct{}

// HandleOf implements store.Opener.
func (opener[K, V]) HandleOf(instance processor.Store) processor.Store {
	if c, ok := instance.(*core[K, V]); ok {
		return &windows[K, V]{core: c, common: c.expiring.Core()}
	}
	return nil
}

func (*windows[K, V]) opener() opener[K, V] { return opener[K, V]{} }

// Name returns the store's name.
func (s *windows[K, V]) Name() string { return s.core.Name() }

// core is a store's instance in a task. It has what the operators of package topology
// need.
type core[K, V any] struct {
	expiring *store.Expiring[K, V]

	size   int64
	layout store.WindowLayout

	duplicates bool
	seq        uint32 // the sequence number of the last put
	openTime   int64  // the store's time when it was opened

	recent *engine.Recent[engine.WindowList]   // for Windows
	marks  *engine.Recent[[]engine.WindowMark] // for Marks
}

// open makes the instance for one task.
func open[K, V any](t *store.Typed[K, V], env engine.Env) (engine.Store, error) {
	expiring, err := store.NewExpiring(t, env, startOf)
	if err != nil {
		return nil, err
	}
	if err := expiring.Cells().KeepNewest(); err != nil {
		return nil, err
	}
	spec := t.Describe()
	return &core[K, V]{
		expiring:   expiring,
		size:       spec.WindowSize.Milliseconds(),
		layout:     store.NewWindowLayout(expiring.Interval()),
		duplicates: spec.Duplicates,
		openTime:   expiring.Time(),
		recent:     engine.NewRecent[engine.WindowList](env.Budget),
		marks:      engine.NewRecent[[]engine.WindowMark](env.Budget),
	}, nil
}

// startOf returns the window start of a local key.
func startOf(local []byte) (start int64, ok bool) {
	_, start, _, ok = store.SplitLocal(local)
	return start, ok
}

// cellKey returns the key of a cell, valid until the next call.
func (s *windows[K, V]) cellKey(key K, start int64, seq uint32) ([]byte, error) {
	b, err := s.common.Encode(key)
	if err != nil {
		return nil, err
	}
	s.cellBuf = s.core.layout.AppendKey(s.cellBuf[:0], b, start, seq)
	return s.cellBuf, nil
}

func (s *windows[K, V]) Get(key K, start processor.Timestamp) (V, bool, error) {
	var zero V
	if start < 0 || s.core.expiring.Expired(int64(start)) {
		return zero, false, nil
	}
	if s.core.duplicates {
		for e, err := range s.Fetch(key, start, start) {
			return e.Value, err == nil, err
		}
		return zero, false, nil
	}
	b, err := s.cellKey(key, int64(start), 0)
	if err != nil {
		return zero, false, err
	}
	cell, err := s.core.Cells().Get(b)
	if err != nil || cell == nil {
		return zero, false, err
	}
	return cell.Lend(), true, nil
}

func (s *windows[K, V]) Put(key K, value V, start processor.Timestamp) error {
	return s.put(key, value, true, int64(start), s.common.Env().Now())
}

func (s *windows[K, V]) PutTimestamped(key K, value V, start, at processor.Timestamp) error {
	if err := s.common.CheckTime(at); err != nil {
		return err
	}
	return s.put(key, value, true, int64(start), int64(at))
}

func (s *windows[K, V]) Delete(key K, start processor.Timestamp) error {
	var zero V
	return s.put(key, zero, false, int64(start), s.common.Env().Now())
}

func (s *windows[K, V]) put(key K, value V, present bool, start, at int64) error {
	if start < 0 {
		return s.common.Wrap(fmt.Errorf("window start %d ms is before 1970", start))
	}
	present = present && s.common.Present(value)
	encoded, err := s.common.Encode(key)
	if err != nil {
		return err // no sequence number was used
	}
	s.core.recent.Forget(encoded)
	seq, err := s.nextSeq(key, start)
	if err != nil {
		return err
	}
	b, err := s.cellKey(key, start, seq)
	if err != nil {
		return err
	}
	if s.core.duplicates && !present {
		return s.core.expiring.LogOnly(b, value, false, at, s.user.Origin())
	}
	return s.core.expiring.Put(b, key, value, present, start, at, s.user)
}

// nextSeq returns the sequence number of a put: 0, or the next number if the store
// retains duplicates. Numbers start again when the store is opened. For windows that may
// have rows from before that, a number may already be in use.
func (s *windows[K, V]) nextSeq(key K, start int64) (uint32, error) {
	if !s.core.duplicates {
		return 0, nil
	}
	for {
		s.core.seq = (s.core.seq + 1) & math.MaxInt32
		if start > s.core.openTime {
			return s.core.seq, nil
		}
		b, err := s.cellKey(key, start, s.core.seq)
		if err != nil {
			return 0, err
		}
		cell, err := s.core.Cells().Get(b)
		if err != nil || cell == nil {
			return s.core.seq, err
		}
	}
}
