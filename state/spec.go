package state

import (
	"time"

	"github.com/millrace-streams/millrace/internal/store"
	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
)

// Spec describes a key-value store. [KeyValue] makes one. It is immutable. If several
// processors of one sub-topology are given the same spec, they share the store.
//
// A Spec can be queried directly: see millrace.Get and millrace.Range.
//
// Only this package can implement a Spec, so methods may be added.
type Spec[K, V any] interface {
	processor.StoreSpec

	// KeySerde returns the serde of the keys.
	KeySerde() serde.Serde[K]
	// ValueSerde returns the serde of the values.
	ValueSerde() serde.Serde[V]

	// types binds the spec to its types and to this package.
	types(K, V)
}

// Option is an option of a store. A nil Option has no effect.
type Option func(*options)

type options = store.Options

// InMemory keeps the committed state in memory instead of on disk. This is faster for
// small stores. The whole store is read from its changelog whenever the task starts, and
// Config.StateMemory does not bound it.
func InMemory() Option { return func(o *options) { o.InMemory = true } }

// WithoutChangelog writes no changelog topic. The store then exists only on the local
// disk (with InMemory: in the process).
//
//   - If the task moves to another process, the store does not move with it. The task
//     continues with the rows in the new process: usually none, or, if that process had
//     the task before, the old rows on its disk.
//   - A crash may also lose the changes of the last commit. They reach the disk only
//     after Kafka has confirmed the commit, and no other copy exists.
func WithoutChangelog() Option { return func(o *options) { o.NoChangelog = true } }

// EveryUpdate writes every update to the changelog. By default, only the last update of
// each key between two commits is written.
func EveryUpdate() Option { return func(o *options) { o.EveryUpdate = true } }

// MostRows bounds the store to n rows in each task. If a put would add another row, the
// least recently used row is deleted first: the one whose last Get, PutIfAbsent or Put is
// the longest ago. Range reads do not count as uses. The deletion is written to the
// changelog, so a lost disk brings back the rows that the store had.
//
// The order of use is kept in memory, which takes some hundred bytes for each row. After
// a restart, a crash or an abort, the rows are in order of their timestamps. Uses without
// a put are then forgotten. If n is smaller than before, the rows above n are deleted
// when the next row is added. With [TTL], a row that has expired counts until the commit.
// n must be positive.
func MostRows(n int) Option { return func(o *options) { o.MostRows, o.Limited = n, true } }

// TTL gives each row a time to live: the row expires when stream time reaches its
// timestamp plus d. Stream time is that of the task, the largest timestamp of all records
// that the task has processed; see processor.Context.
//
//   - No read of the processor finds a row that has expired, whenever commits are.
//   - The next commit deletes the row, and logs the deletion with the time at which the
//     row has expired. Queries find the row until then.
//   - A put that renews the row gives it another timestamp, and so another life.
//   - A put whose own timestamp plus d is not after stream time changes nothing. It is
//     counted as dropped.
//   - Nothing is forwarded for a row that expires.
//
// A record with a timestamp in the far future moves stream time, and so lets all other
// rows expire. If stream time jumps, and more than 10,000 rows expire at once, several
// commits delete them, soon after each other.
//
// The option may be added, changed and removed with a new version of the program. The
// first start then reads all rows once. d must be positive and a whole number of
// milliseconds.
func TTL(d time.Duration) Option { return func(o *options) { o.TTL, o.Mortal = d, true } }

// KeyValue describes a store that maps keys to values with the time of the last write.
// The name must be unique in the topology. It names the changelog topic,
// <application>-<name>-changelog. Default: on disk, with a changelog.
//
// If vs is an Optional serde, putting an absent value deletes the row.
func KeyValue[K, V any](name string, ks serde.Serde[K], vs serde.Serde[V], opts ...Option) Spec[K, V] {
	var o options
	store.Apply(&o, opts)
	return &spec[K, V]{store.NewKeyValue(name, ks, vs, o)}
}

// spec implements Spec.
type spec[K, V any] struct{ *store.Typed[K, V] }

func (*spec[K, V]) types(K, V) {}
