package engine

import (
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"
)

// knownKeys knows which rows a persistent table certainly does not have. The read of a
// new key then does not touch the database. Otherwise such a read would be the most
// expensive one, because no level of the database can answer it from a cached row.
//
// A new table is known from its first row on. The rows of an existing table are read in
// the background, and only if misses are frequent. Until they have been read, every key
// may exist. Every row that is written is noted, even if its batch is not applied.
//
// The sets count in the memory of the process. If they would take more than their part of
// it, the table is given up: from then on, every key may exist. The same happens when a
// range of rows is deleted, because the sets cannot forget. Otherwise, a store that
// expires its rows would fill them with keys that no longer exist.
type knownKeys struct {
	db     *DB
	prefix []byte

	written keySet // since the table was opened
	before  atomic.Pointer[keySet]
	misses  int  // of a table whose rows are not known
	reading bool // the rows are being read, or were given up
	off     bool
}

// missesToRead is the number of misses after which the rows of a table are read.
const missesToRead = 4096

// newKnownKeys returns what is known of a table. empty says that it has no row.
func newKnownKeys(db *DB, prefix []byte, empty bool) *knownKeys {
	k := &knownKeys{db: db, prefix: prefix, off: db.o.NoShortcuts}
	if empty {
		k.before.Store(new(keySet))
	}
	return k
}

// lacks reports whether the table surely has no row with the key.
func (k *knownKeys) lacks(key []byte) bool {
	if k == nil || k.off {
		return false
	}
	before := k.before.Load()
	if before == nil {
		return false
	}
	hash := hashOf(key)
	return !k.written.has(hash) && !before.has(hash)
}

// note notes a key that is written.
func (k *knownKeys) note(key []byte) {
	if k == nil || k.off {
		return
	}
	hash := hashOf(key)
	if k.written.has(hash) {
		return
	}
	if k.written.full() {
		if !k.db.o.Shared.takeFilter(k.written.next()) {
			k.giveUp()
			return
		}
		k.written.grow()
	}
	k.written.add(hash)
}

// missed notes that the database has been asked for a row that it does not have.
func (k *knownKeys) missed() {
	if k == nil || k.off || k.reading || k.before.Load() != nil {
		return
	}
	if k.misses++; k.misses < missesToRead {
		return
	}
	k.reading = true
	k.db.background.Go(k.read)
}

// giveUp makes every key one that may be there, and gives the memory back.
func (k *knownKeys) giveUp() {
	if k == nil {
		return
	}
	k.off = true
	k.db.o.Shared.giveFilter(k.written.bytes())
	k.written = keySet{}
	if before := k.before.Swap(nil); before != nil {
		k.db.o.Shared.giveFilter(before.bytes())
	}
}

// read reads the keys of all rows that the table has now. Rows that are applied later
// have been noted when they were written.
func (k *knownKeys) read() {
	it, err := database(k.db).NewIter(&pebble.IterOptions{LowerBound: k.prefix, UpperBound: PrefixEnd(k.prefix)})
	if err != nil {
		return // the database tells of its trouble elsewhere
	}
	set, ok := k.readAll(it)
	if err := it.Close(); !ok || err != nil {
		k.db.o.Shared.giveFilter(set.bytes())
		return
	}
	k.before.Store(set)
}

// readAll reads until the memory is used up, or the database is closed.
func (k *knownKeys) readAll(it diskIterator) (set *keySet, ok bool) {
	set = new(keySet)
	for valid := it.First(); valid; valid = it.Next() {
		if k.db.closing.Load() {
			return set, false
		}
		if set.full() {
			if !k.db.o.Shared.takeFilter(set.next()) {
				return set, false
			}
			set.grow()
		}
		set.add(hashOf(it.Key()[len(k.prefix):]))
	}
	return set, true
}
