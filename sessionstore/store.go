package sessionstore

import (
	"fmt"
	"iter"

	"github.com/millrace-streams/millrace/internal/engine"
	"github.com/millrace-streams/millrace/internal/store"
	"github.com/millrace-streams/millrace/processor"
)

// Entry is a session in a store.
type Entry[K, V any] struct {
	Key        K
	Start, End processor.Timestamp // of the first and of the last record
	Value      V
	Timestamp  processor.Timestamp // of the last write
}

// Store is a typed session store. Only the goroutine of its task may use it, inside Init,
// Process, Flush and punctuators. The loop over a read may write to the store.
//
// Store is an interface so that the type that implements it is compiled only in programs
// that call [Open]. Only this package can implement it, so methods may be added.
type Store[K, V any] interface {
	Reader[K, V]

	// Put sets the value of the session of key from start to end. The timestamp of the
	// row is that of the record being processed or, in a punctuator, that of the
	// punctuator. An expired session is not written; see the package documentation. A
	// negative start is an error, and so is an end before the start.
	Put(key K, value V, start, end processor.Timestamp) error
	// Delete removes the session of key from start to end.
	Delete(key K, start, end processor.Timestamp) error
}

// Reader has the methods of a [Store] that only read. [OpenTable] returns one.
//
// Methods whose names begin with Reverse yield the same sessions in descending order. A
// read ends at the first error, which it yields with a zero Entry. A session that the
// loop has not reached yet is yielded with its value at the time when the loop reaches
// it.
//
// A value that was read from a table must not be changed.
type Reader[K, V any] interface {
	processor.Store

	// Get returns the value of the session of key from start to end. The bool reports
	// whether the session exists.
	Get(key K, start, end processor.Timestamp) (V, bool, error)

	// Find yields the sessions of key that overlap from..to, in order of end. Such a
	// session has end >= from and start <= to.
	Find(key K, from, to processor.Timestamp) iter.Seq2[Entry[K, V], error]
	ReverseFind(key K, from, to processor.Timestamp) iter.Seq2[Entry[K, V], error]
	// FindRange yields such sessions of all keys from first to last.
	FindRange(first, last K, from, to processor.Timestamp) iter.Seq2[Entry[K, V], error]
	ReverseFindRange(first, last K, from, to processor.Timestamp) iter.Seq2[Entry[K, V], error]
	// FindAll yields such sessions of all keys.
	FindAll(from, to processor.Timestamp) iter.Seq2[Entry[K, V], error]
	ReverseFindAll(from, to processor.Timestamp) iter.Seq2[Entry[K, V], error]

	// opener binds the store to this package. See store.HandleOf.
	opener() opener[K, V]
}

// Open returns the store of the processor's task. Call it in Init. If the processor was
// not given the store when the topology was built, that is a programming mistake: Open
// panics with an error that says so, and Init fails.
func Open[K, V, K2, V2 any](ctx processor.Context[K2, V2], spec Spec[K, V]) Store[K, V] {
	instance := store.Open(ctx, spec)
	c, ok := instance.(*core[K, V])
	if !ok {
		panic(store.Other(spec, instance))
	}
	return &sessions[K, V]{core: c, common: c.expiring.Core(), user: store.UserOf(ctx)}
}

// sessions is a processor's handle of a store.
type sessions[K, V any] struct {
	core   *core[K, V]
	common *store.Core[K, V] // of core
	user   store.User
	rowBuf []byte
}

// opener is the store.Opener of the package.
type opener[K, V any] struct{}

// HandleOf implements store.Opener.
func (opener[K, V]) HandleOf(instance processor.Store) processor.Store {
	if c, ok := instance.(*core[K, V]); ok {
		return &sessions[K, V]{core: c, common: c.expiring.Core()}
	}
	return nil
}

func (*sessions[K, V]) opener() opener[K, V] { return opener[K, V]{} }

// Name returns the store's name.
func (s *sessions[K, V]) Name() string { return s.core.Name() }

// core is a store's instance in a task. It has what the operators of package topology
// need.
type core[K, V any] struct {
	expiring *store.Expiring[K, V]

	layout  store.SessionLayout
	latest  *engine.Recent[lastSession]
	current *engine.Known[lastSession] // of the last AppendSessions; may be nil
}

// open makes the instance for one task.
func open[K, V any](t *store.Typed[K, V], env engine.Env) (engine.Store, error) {
	expiring, err := store.NewExpiring(t, env, endOf)
	if err != nil {
		return nil, err
	}
	return &core[K, V]{
		expiring: expiring,
		layout:   store.NewSessionLayout(expiring.Interval()),
		latest:   engine.NewRecent[lastSession](env.Budget),
	}, nil
}

// endOf returns the end of the session with a local key.
func endOf(local []byte) (end int64, ok bool) {
	_, _, end, ok = store.SplitSession(local)
	return end, ok
}

// row returns the local key of a session. It is valid until the next call.
func (s *sessions[K, V]) row(key K, start, end processor.Timestamp) ([]byte, error) {
	b, err := s.common.Encode(key)
	if err != nil {
		return nil, err
	}
	s.rowBuf = s.core.layout.AppendKey(s.rowBuf[:0], b, int64(start), int64(end))
	return s.rowBuf, nil
}

func (s *sessions[K, V]) Get(key K, start, end processor.Timestamp) (V, bool, error) {
	var zero V
	if start < 0 || end < start || s.core.expiring.Expired(int64(end)) {
		return zero, false, nil
	}
	row, err := s.row(key, start, end)
	if err != nil {
		return zero, false, err
	}
	cell, err := s.core.Cells().Get(row)
	if err != nil || cell == nil {
		return zero, false, err
	}
	return cell.Lend(), true, nil
}

func (s *sessions[K, V]) Put(key K, value V, start, end processor.Timestamp) error {
	return s.put(key, value, s.common.Present(value), start, end)
}

func (s *sessions[K, V]) Delete(key K, start, end processor.Timestamp) error {
	var zero V
	return s.put(key, zero, false, start, end)
}

func (s *sessions[K, V]) put(key K, value V, present bool, start, end processor.Timestamp) error {
	switch {
	case start < 0:
		return s.common.Wrap(fmt.Errorf("session start %d ms is before 1970", int64(start)))
	case end < start:
		return s.common.Wrap(fmt.Errorf("the session ends at %d ms, before its start at %d ms", int64(end), int64(start)))
	}
	row, err := s.row(key, start, end)
	if err != nil {
		return err
	}
	return s.core.expiring.Put(row, key, value, present, int64(end), s.common.Env().Now(), s.user)
}
