package store

import (
	"bytes"
	"fmt"
	"iter"
	"math"
	"time"
	"unsafe"

	"github.com/millrace-streams/millrace/internal/engine"
	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
)

// NewJoinRows describes the store of one side of a join of two streams. It is a window
// store that retains duplicates, and a window's start is the timestamp of a record. Its
// instances are [JoinRows]. Its rows and its changelog are those of any such window
// store.
func NewJoinRows[K, V any](name string, ks serde.Serde[K], vs serde.Serde[V], size, retention time.Duration, o Options) *Typed[K, V] {
	s := Spec{Name: name, Kind: Window, Options: o, WindowSize: size, Retention: retention, Duplicates: true}
	if ks != nil {
		s.QueryKeys = serde.TimeWindowed(ks, size)
	}
	return NewTyped(s, ks, vs, openJoinRows[K, V], CheckWindows)
}

// JoinRows is the instance of a store that [NewJoinRows] describes. Rows are only added,
// and deleted when they have expired. They are therefore not kept as cells: a row is
// encoded and logged when it is added, and is found in memory.
//
// Expired rows stay so if the store is opened later with a longer retention: the table
// has only some of them, and the changelog has others.
type JoinRows[K, V any] struct {
	of       *Typed[K, V]
	env      engine.Env
	layout   WindowLayout
	expiry   expiry
	openTime int64 // no row was later when the store was opened
	seq      uint32
	rows     *engine.Timeline[V]

	pending   []pendingRow // rows that the next Flush adds to the batch
	held      int64        // bytes of pending, and of rows that are being committed
	committed int64        // bytes of held that the next Committed releases
	deleted   []byte       // all local keys below this one were deleted
	free      []byte       // free room for keys and values
	value     []byte       // scratch
	origin    engine.Origin
}

// pendingRow is a row that is not in the table yet.
type pendingRow struct {
	key, value []byte
	at         int64
}

// minSpan is the shortest time, in ms, of rows that leave memory together.
const minSpan = 1000

func openJoinRows[K, V any](t *Typed[K, V], env engine.Env) (engine.Store, error) {
	interval, err := env.Table.Interval(t.spec.Segments())
	if err != nil {
		return nil, err
	}
	s := &JoinRows[K, V]{of: t, env: env, layout: NewWindowLayout(interval), expiry: newExpiry(&t.spec, &env)}
	if err := s.findTime(); err != nil {
		return nil, err
	}
	s.rows = engine.NewTimeline(engine.TimelineConfig[V]{
		Budget: env.Budget, Span: max(s.expiry.retention, minSpan), Known: s.openTime, Load: s.load,
	})
	return s, nil
}

// findTime finds the largest timestamp of the rows. The store's time follows it only if
// the committed times were lost. Otherwise later rows belong to records that will come
// again, and these must not be expired already: a pair may have had no result yet.
func (s *JoinRows[K, V]) findTime() error {
	s.openTime = *s.expiry.time
	if *s.expiry.time >= 0 && !s.env.TimesLost {
		return nil
	}
	latest, _, err := s.layout.LatestTime(s.env.Table, startOf)
	s.openTime = max(s.openTime, latest)
	if s.env.TimesLost {
		*s.expiry.time = s.openTime
	}
	return err
}

// startOf returns the window start of a local key.
func startOf(local []byte) (start int64, ok bool) {
	_, start, _, ok = SplitLocal(local)
	return start, ok
}

// Name returns the store's name.
func (s *JoinRows[K, V]) Name() string { return s.of.spec.Name }

// StoreName implements engine.Store.
func (s *JoinRows[K, V]) StoreName() string { return s.of.spec.Name }

// Newest returns the largest timestamp of the rows that the store had when it was opened,
// if the times committed with the offsets were lost, and -1 otherwise. The join's stream
// time had reached it. Without a loss it returns -1, because a row may belong to a record
// that will be read again.
func (s *JoinRows[K, V]) Newest() int64 {
	if !s.env.TimesLost {
		return -1
	}
	return s.openTime
}

// DeletedBefore returns a time. Rows with an earlier one had expired before the store was
// opened, and stay so.
func (s *JoinRows[K, V]) DeletedBefore() int64 { return s.expiry.gone }

// Find appends the rows of an encoded key with from <= At <= to that have not expired, in
// order of time and, for equal times, of adding.
func (s *JoinRows[K, V]) Find(dst []*engine.TimedRow[V], key []byte, from, to int64) ([]*engine.TimedRow[V], error) {
	from = max(from, s.expiry.live())
	to = min(to, max(*s.expiry.time, s.openTime)) // no row is later
	if from > to {
		return dst, nil
	}
	return s.rows.Find(dst, key, from, to)
}

// Add adds a row and returns it. It returns nil if the row has expired or is absent. As
// in Kafka Streams, both are logged. An absent row is a deletion that deletes nothing.
func (s *JoinRows[K, V]) Add(key []byte, value V, present bool, at int64, origin engine.Origin) (*engine.TimedRow[V], error) {
	if at < 0 {
		return nil, s.wrap(fmt.Errorf("the timestamp %d is negative", at))
	}
	var data []byte
	if present {
		var err error
		if data, err = s.encode(value, origin); err != nil {
			return nil, err
		}
	}
	seq, err := s.nextSeq(key, at)
	if err != nil {
		return nil, err
	}
	local := s.localKey(key, at, seq)
	if err := s.log(local[SegmentBytes:], data, at, origin); err != nil || !present {
		return nil, err
	}
	*s.expiry.time = max(*s.expiry.time, at)
	if s.expiry.expired(at) {
		return nil, nil
	}
	s.hold(int64(len(local) + len(data) + int(unsafe.Sizeof(pendingRow{}))))
	s.pending = append(s.pending, pendingRow{local, data, at})
	s.rows.Expire(s.expiry.live())
	return s.rows.Add(key, at, seq, value, len(data)), nil
}

// nextSeq returns the sequence number of the next row. It is larger than that of all rows
// with the same key and time. Numbers start again when the store is opened, so larger
// ones may be in use up to the time that the store had then.
func (s *JoinRows[K, V]) nextSeq(key []byte, at int64) (uint32, error) {
	if at <= s.openTime {
		last, err := s.lastSeq(key, at)
		if err != nil {
			return 0, err
		}
		s.seq = max(s.seq, last)
	}
	s.seq = (s.seq + 1) & math.MaxInt32
	return s.seq, nil
}

// lastSeq returns the largest sequence number of the rows in the table with a key and
// time. It returns 0 if there are none.
func (s *JoinRows[K, V]) lastSeq(key []byte, at int64) (last uint32, err error) {
	segment, _ := s.layout.Segments(at, at)
	rows, err := s.env.Table.Scan(s.layout.KeyBounds(segment, key, at, at))
	if err != nil {
		return 0, err
	}
	for last == 0 && rows.Prev() {
		if k, _, seq, ok := SplitLocal(rows.Key()); ok && bytes.Equal(k, key) {
			last = seq
		}
	}
	return last, rows.Close()
}

func (s *JoinRows[K, V]) localKey(key []byte, at int64, seq uint32) []byte {
	s.room(SegmentBytes + len(key) + windowSuffix)
	n := len(s.free)
	s.free = s.layout.AppendKey(s.free, key, at, seq)
	return s.free[n:len(s.free):len(s.free)]
}

// encode returns the encoding of a value. It is not nil, and its bytes never change.
func (s *JoinRows[K, V]) encode(value V, origin engine.Origin) ([]byte, error) {
	data, err := appendValue(&s.of.spec, s.of.values, s.value[:0], value, origin)
	if err != nil {
		return nil, err
	}
	s.value = data
	s.room(len(s.value))
	n := len(s.free)
	s.free = append(s.free, s.value...)
	return s.free[n:len(s.free):len(s.free)], nil
}

// room makes room for n bytes. Chunks are never used twice.
func (s *JoinRows[K, V]) room(n int) {
	const least, most = 1 << 10, 64 << 10
	if cap(s.free)-len(s.free) < n || s.free == nil {
		s.free = make([]byte, 0, max(min(2*cap(s.free), most), least, n))
	}
}

func (s *JoinRows[K, V]) log(key, value []byte, at int64, origin engine.Origin) error {
	if s.env.Log == nil {
		return nil
	}
	s.origin = origin // a local variable would be allocated on the heap
	if err := s.env.Log(key, value, at, &s.origin); err != nil {
		return s.wrap(fmt.Errorf("write to the changelog: %w", err))
	}
	return nil
}

// load is engine.TimelineConfig.Load.
func (s *JoinRows[K, V]) load(key []byte, from, to int64, add func(at int64, seq uint32, value V, size int)) error {
	first, last := s.layout.Segments(from, to)
	first = max(first, s.firstSegment())
	for segment := first; segment <= last; segment++ {
		if err := s.loadSegment(segment, key, from, to, add); err != nil {
			return err
		}
	}
	return nil
}

func (s *JoinRows[K, V]) loadSegment(segment int64, key []byte, from, to int64, add func(at int64, seq uint32, value V, size int)) error {
	rows, err := s.env.Table.Scan(s.layout.KeyBounds(segment, key, from, to))
	if err != nil {
		return err
	}
	for rows.Next() {
		k, at, seq, ok := SplitLocal(rows.Key())
		if !ok || !bytes.Equal(k, key) {
			continue // a longer key
		}
		value, err := s.decode(rows.Value())
		if err != nil {
			_ = rows.Close() // the error is about the value
			return err
		}
		add(at, seq, value, len(rows.Value()))
	}
	return rows.Close()
}

// firstSegment returns the first segment that has not been deleted.
func (s *JoinRows[K, V]) firstSegment() int64 {
	if len(s.deleted) == 0 {
		return 0
	}
	return s.layout.SegmentOf(s.deleted)
}

func (s *JoinRows[K, V]) decode(data []byte) (V, error) {
	return decodeValue(&s.of.spec, s.of.values, data)
}

// JoinRow is a row as [JoinRows.All] yields it.
type JoinRow[K, V any] struct {
	Key   K
	Value V
	At    processor.Timestamp
}

// All yields the committed rows that have not expired, by segment and then by key. It is
// for tests: nothing looks up the rows of all keys.
func (s *JoinRows[K, V]) All() iter.Seq2[JoinRow[K, V], error] {
	return func(yield func(JoinRow[K, V], error) bool) {
		rows, err := s.env.Table.Scan(nil, nil)
		if err != nil {
			yield(JoinRow[K, V]{}, err)
			return
		}
		defer func() { _ = rows.Close() }()
		for rows.Next() {
			key, at, _, ok := SplitLocal(rows.Key())
			if !ok || s.expiry.expired(at) {
				continue
			}
			row := JoinRow[K, V]{At: processor.Timestamp(at)}
			if row.Value, err = s.decode(rows.Value()); err == nil {
				row.Key, err = s.of.keys.Decode(key)
			}
			if !yield(row, err) || err != nil {
				return
			}
		}
	}
}

func (s *JoinRows[K, V]) hold(n int64) {
	s.held += n
	s.env.Budget.Hold(n)
}

// Expire implements engine.Expirer.
func (s *JoinRows[K, V]) Expire() { s.expiry.keepFrom(s.expiry.live()) }

// Flush implements engine.Store. It also deletes the segments that have expired. Rows
// that have expired since they were added are only in the changelog.
func (s *JoinRows[K, V]) Flush(b *engine.TableBatch) error {
	for i := range s.pending {
		r := &s.pending[i]
		if s.expiry.expired(r.at) {
			continue
		}
		if err := b.Set(r.key, r.at, r.value); err != nil {
			return err
		}
	}
	clear(s.pending)
	s.pending = s.pending[:0]
	s.committed = s.held
	s.rows.Flushed()
	below := s.layout.ExpiredBelow(*s.expiry.time, s.expiry.retention)
	if bytes.Compare(below, s.deleted) <= 0 {
		return nil
	}
	s.deleted = below
	return b.DeleteRange(nil, below)
}

// Committed implements engine.Store.
func (s *JoinRows[K, V]) Committed() {
	s.hold(-s.committed)
	s.committed = 0
	s.rows.Committed()
}

// Trim implements engine.Store.
func (s *JoinRows[K, V]) Trim() { s.rows.Trim() }

// Close implements engine.Store.
func (s *JoinRows[K, V]) Close() error {
	s.hold(-s.held)
	s.rows.Close()
	return nil
}

func (s *JoinRows[K, V]) wrap(err error) error { return s.of.spec.wrap(err) }
