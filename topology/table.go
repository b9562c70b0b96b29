package topology

import (
	"time"

	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/internal/operator"
	"github.com/millrace-streams/millrace/internal/store"
	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/sessionstore"
	"github.com/millrace-streams/millrace/windowstore"
)

// Table is a handle of a table: the latest value of each key.
//
// The rows of most tables are kept in a store, and can be queried while the application
// runs. Several updates of a row between two commits are forwarded as one, with the
// timestamp of the row and the headers of the last record. With [EveryUpdate], each
// update is forwarded at once.
//
// Some tables have no store: those that [Table.Filter], [MapTable], [ProcessTable] and
// the joins of tables return, and those with the option [WithoutStore]. They forward each
// update at once. [Table.Stored] gives them a store.
//
// A processor can read the store: pass the Table to [Process], and open it with
// state.OpenTable.
type Table[K, V any] struct {
	b      *Builder
	n      *node
	name   string
	keys   serde.Serde[K]
	values serde.Serde[V]
	rows   rows[K, V]
	window func(K) serde.Window // of a row; nil without windows
}

// rows says how to look up the rows of a table. The zero value means that they cannot be.
type rows[K, V any] struct {
	view operator.View[K, V]
	in   []*node // the nodes whose stores the view reads

	history time.Duration // for which rows can be looked up as of a time; 0: not at all
}

// Builder returns the builder that the table belongs to.
func (t Table[K, V]) Builder() *Builder { return t.b }

// StoreName returns the name of the table's store, or "" if it has none.
func (t Table[K, V]) StoreName() string { return t.name }

// KeySerde returns the serde of the keys.
func (t Table[K, V]) KeySerde() serde.Serde[K] { return t.keys }

// ValueSerde returns the serde of the values.
func (t Table[K, V]) ValueSerde() serde.Serde[V] { return t.values }

// place says where the table is. With it, [Process] recognises a table that it is given.
func (t Table[K, V]) place() place { return place{t.b, t.n, t.name} }

// place is the place of a table in the topology. store is empty if the table has none.
type place struct {
	b     *Builder
	n     *node
	store string
}

// Stream returns the updates of the table, with their timestamps and headers, in the
// order in which the table forwards them. A deleted row is a record without a value.
func (t Table[K, V]) Stream(opts ...Option) Stream[K, V] {
	n := t.b.add(&node{kind: graph.Processor, op: "stream", make: operator.TableStream[K, V]{}.New}, nameOf(opts), t.n)
	return Stream[K, V]{flow[K, V]{b: t.b, n: n, keys: t.keys, values: t.values}}
}

// WindowedTable is a handle of a table with one row for each key and window. It is a
// [Table] whose keys are serde.Windowed. All operators on tables take its field Table, or
// are methods of it.
//
// The records of Stream have the key and the window as their key. [GroupByKey] groups
// them without repartitioning, because all windows of a key are in one partition.
type WindowedTable[K, V any] struct {
	Table[serde.Windowed[K], V]

	windows Windows
}

// windowedTable returns the handle of a windowed table. keys is the serde of the keys
// without their windows.
func windowedTable[K, V any](b *Builder, n *node, name string, keys serde.Serde[K], values serde.Serde[V], w Windows) WindowedTable[K, V] {
	t := WindowedTable[K, V]{Table: Table[serde.Windowed[K], V]{b: b, n: n, name: name, values: values, window: windowOf[K]}, windows: w}
	switch {
	case isNil(keys):
	case w.kind == sessions:
		t.keys = serde.SessionWindowed(keys)
	default:
		t.keys = serde.TimeWindowed(keys, w.size)
	}
	view := operator.WindowRows[K, V]{Store: name, Keys: keys, Sessions: w.kind == sessions}
	t.rows = rows[serde.Windowed[K], V]{view: view, in: []*node{n}}
	return t
}

func windowOf[K any](key serde.Windowed[K]) serde.Window { return key.Window }

// Windows returns the windows of the table.
func (t WindowedTable[K, V]) Windows() Windows { return t.windows }

// keyValueStore describes the store of a table.
func keyValueStore[K, A any](name string, ks serde.Serde[K], as serde.Serde[A], o tableOptions) storeUse {
	if o.versioned {
		return storeUse{spec: store.NewVersioned(name, ks, as, o.history, o.ofStore()), table: true}
	}
	return storeUse{spec: store.NewKeyValue(name, ks, as, o.ofStore()), table: true}
}

// windowStore describes the store of a windowed table.
func windowStore[K, A any](name string, ks serde.Serde[K], as serde.Serde[A], w Windows, o tableOptions) storeUse {
	opts := chosen(o, windowstore.InMemory(), windowstore.WithoutChangelog(), windowstore.EveryUpdate())
	retention := max(o.retention, w.lifetime(), time.Millisecond)
	spec := windowstore.New(name, ks, as, w.size, retention, opts...)
	store.SetMigrations(spec, o.migrations)
	return storeUse{spec: spec, windows: &w, table: true}
}

// sessionStore describes the store of a table with sessions. The gap is not recorded with
// the rows: it may change.
func sessionStore[K, A any](name string, ks serde.Serde[K], as serde.Serde[A], w Windows, o tableOptions) storeUse {
	opts := chosen(o, sessionstore.InMemory(), sessionstore.WithoutChangelog(), sessionstore.EveryUpdate())
	spec := sessionstore.New(name, ks, as, max(o.retention, w.lifetime()), opts...)
	store.SetMigrations(spec, o.migrations)
	return storeUse{spec: spec, table: true}
}

// chosen translates the options of a table to those of its store.
func chosen[O any](o tableOptions, inMemory, withoutChangelog, everyUpdate O) (opts []O) {
	if o.inMemory {
		opts = append(opts, inMemory)
	}
	if o.withoutChangelog {
		opts = append(opts, withoutChangelog)
	}
	if o.everyUpdate {
		opts = append(opts, everyUpdate)
	}
	return opts
}
