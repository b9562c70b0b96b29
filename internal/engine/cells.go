package engine

import (
	"errors"
	"fmt"
	"iter"
	"reflect"
	"unsafe"

	"github.com/millrace-streams/millrace/serde"
)

// CellsConfig describes a [Cells].
type CellsConfig[K, V any] struct {
	Store   string
	Env     Env
	Value   serde.Serde[V]
	LogFrom int // leading bytes of a cell's key that the changelog key lacks

	// Format is the number of the format in which values are written: that of Value.
	Format uint8
	// Convert returns the value, of type V, of an encoding in an earlier format. nil: the
	// store has no earlier formats.
	Convert func(format uint8, data []byte) (any, error)
	// LateSweep says that the owner calls BeginSweep, when all other rows that it has are
	// converted. Otherwise, rows are converted from the beginning.
	LateSweep bool
}

// Cells is the part of a store in memory: the rows that were changed since the last
// commit (the overlay), and rows that were read or written before (the cache). Both are
// decoded, so a value is encoded once per commit and not once per change. The keys are
// those of the store's Table. Reads see every change at once.
//
// The owner may change a value in place between Get and Set, because an abort discards
// everything in memory.
//
// Only the task's goroutine may use a Cells. Its memory is counted in Env.Budget. If the
// budget is crowded, cached rows are evicted; changed rows never are.
type Cells[K, V any] struct {
	store      string
	env        Env
	serde      serde.Serde[V]
	logFrom    int
	format     uint8
	convert    func(format uint8, data []byte) (any, error)
	shortcuts  bool // see Options.NoShortcuts
	immutable  bool
	undecoded  bool       // V is Undecoded
	stringKeys bool       // the kind of K is string
	old        bool       // Old may be called
	deletions  bool       // see LogDeletions
	oldValues  bool       // old values are kept, because nobody changes them in place
	lives      *Lifetimes // nil unless rows expire
	sweep      *sweep     // nil unless rows of earlier formats are being converted

	// See KeepNewest.
	newest bool
	above  string

	cells      map[string]*Cell[K, V]
	ring       []*Cell[K, V] // all cells, for the clock
	hand       int
	changes    []change[K, V] // the generation being filled
	sent       int            // how many of changes Dirty has yielded
	generation uint32         // of changes; see Mark
	committing []*Cell[K, V]  // the generation being committed
	// The *Cell[K, V] of both, in order; nil while there are no range reads.
	index  *tree
	ranged bool // since the last Committed

	slab    slab
	typical int // bytes of a recent encoded value

	base            int32
	most            int   // cells that the map has room for
	room            int64 // bytes that changes and committing have room for
	bytes           int64 // of all cells, and room
	dirtyBytes      int64 // of both generations
	committingBytes int64
	oldBytes        int64  // of the values that changes keep beside those of their cells
	scratch         []byte // for Copy
}

// NewCells returns the cells over c.Env.Table.
func NewCells[K, V any](c CellsConfig[K, V]) *Cells[K, V] {
	cells := &Cells[K, V]{
		store:      c.Store,
		env:        c.Env,
		serde:      c.Value,
		logFrom:    c.LogFrom,
		format:     c.Format,
		convert:    c.Convert,
		shortcuts:  c.Env.Table.shortcuts(),
		immutable:  immutable[V](),
		undecoded:  reflect.TypeFor[V]() == reflect.TypeFor[Undecoded](),
		stringKeys: reflect.TypeFor[K]().Kind() == reflect.String,
		cells:      map[string]*Cell[K, V]{},
		base:       cellSize[K, V](),
		typical:    16,
	}
	cells.adopt(c.Env.Table)
	if c.Convert != nil && !c.LateSweep {
		cells.BeginSweep(0)
	}
	return cells
}

// Get returns the row's cell, or nil if there is no such row.
func (c *Cells[K, V]) Get(key []byte) (*Cell[K, V], error) {
	cell, ok := c.cells[string(key)]
	if !ok {
		var err error
		if cell, err = c.read(key, string(key)); err != nil {
			return nil, err
		}
	}
	cell.used = true
	if !cell.Present {
		return nil, nil
	}
	return cell, nil
}

// Load returns the row's cell, for Set. If there is no such row, Present is false.
func (c *Cells[K, V]) Load(keyBytes []byte, key K) (*Cell[K, V], error) {
	cell, ok := c.cells[string(keyBytes)]
	if !ok {
		var err error
		if cell, err = c.read(keyBytes, c.textOf(keyBytes, &key)); err != nil {
			return nil, err
		}
	}
	cell.Key = key
	cell.used = true
	return cell, nil
}

// LoadNew is Load of a row that the caller knows not to be in the table.
func (c *Cells[K, V]) LoadNew(keyBytes []byte, key K) *Cell[K, V] {
	cell, ok := c.cells[string(keyBytes)]
	if !ok {
		cell = c.insert(c.textOf(keyBytes, &key), 0)
	}
	cell.Key = key
	cell.used = true
	return cell
}

// Rename gives the row of a cell another key, as if the row had never had the first one.
// It does nothing and returns false unless
//
//   - the row has come since the last Flush, as KeepOld lets Cells know,
//   - updates are not logged at once, and
//   - no row with the other key is in memory.
//
// The caller knows that no such row is in the table.
func (c *Cells[K, V]) Rename(cell *Cell[K, V], keyBytes []byte) bool {
	if cell.dirty == 0 || cell.committing || c.env.EveryUpdate {
		return false
	}
	if ch := &c.changes[cell.dirty-1]; !ch.oldKnown || ch.oldThere {
		return false
	}
	if _, taken := c.cells[string(keyBytes)]; taken {
		return false
	}
	delete(c.cells, cell.key)
	if c.index != nil {
		c.index.delete(cell.key)
	}
	grown := len(keyBytes) - len(cell.key)
	cell.key = string(keyBytes)
	c.cells[cell.key] = cell
	if c.index != nil {
		c.index.set(cell.key, cell)
	}
	cell.size += int32(grown)
	c.count(int64(grown))
	c.countDirty(int64(grown))
	return true
}

// Len returns the number of rows in memory.
func (c *Cells[K, V]) Len() int { return len(c.cells) }

// textOf returns the bytes of a cell's key as a string. If the key itself is a string
// with these bytes, the cell needs no copy of them.
func (c *Cells[K, V]) textOf(keyBytes []byte, key *K) string {
	if c.stringKeys {
		if text := *(*string)(unsafe.Pointer(key)); text == string(keyBytes) {
			return text
		}
	}
	return string(keyBytes)
}

// read makes the cell of a row that is not in memory. text has the same bytes as key.
func (c *Cells[K, V]) read(key []byte, text string) (*Cell[K, V], error) {
	if c.newest && text > c.above {
		return c.insert(text, 0), nil
	}
	row, ok, err := c.env.Table.Get(key)
	if err != nil {
		return nil, err
	}
	if !ok {
		return c.insert(text, 0), nil
	}
	value, err := c.value(key, row)
	if err != nil {
		return nil, err
	}
	cell := c.insert(text, len(row.Value))
	cell.Value, cell.Timestamp, cell.Present = value, row.Timestamp, true
	return cell, nil
}

// value returns the value of a row of the table. It converts a value of an earlier
// format.
func (c *Cells[K, V]) value(key []byte, row Stored) (V, error) {
	switch {
	case c.undecoded:
		var value V
		*(*Undecoded)(unsafe.Pointer(&value)) = UndecodedOf(row)
		return value, nil
	case row.Format == c.format:
		return c.decode(row.Value)
	}
	var value V
	converted, err := Convert(c.store, c.convert, c.format, key, row)
	if err == nil {
		value, _ = converted.(V) // it is of the type; a nil interface has none
	}
	return value, err
}

func (c *Cells[K, V]) decode(data []byte) (value V, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("store %s: decode a value: %w", c.store, err)
		}
	}()
	defer Guard(&err)
	return c.serde.Decode(data)
}

// insert adds a cell. It makes room first, so that the new cell is not evicted at once.
func (c *Cells[K, V]) insert(key string, valueSize int) *Cell[K, V] {
	if c.env.Budget.Crowded() {
		c.evict(2, 32)
	}
	cell := &Cell[K, V]{key: key, size: c.base + int32(len(key)+valueSize)}
	c.cells[cell.key] = cell
	c.most = max(c.most, len(c.cells))
	c.ring = append(c.ring, cell)
	c.count(int64(cell.size))
	return cell
}

// Put sets a row, or deletes it (present = false), without reading it.
func (c *Cells[K, V]) Put(keyBytes []byte, key K, value V, present bool, timestamp int64, origin Origin) (*Cell[K, V], error) {
	cell, ok := c.cells[string(keyBytes)]
	unread := !ok
	if unread {
		cell = c.insert(c.textOf(keyBytes, &key), 0)
	}
	cell.Key = key
	return cell, c.set(cell, value, present, timestamp, origin, unread)
}

// Set changes the row of a cell that the caller has just got from Get, Load or Put.
func (c *Cells[K, V]) Set(cell *Cell[K, V], value V, present bool, timestamp int64, origin Origin) error {
	if cell.gone {
		_, err := c.Put(cell.KeyBytes(), cell.Key, value, present, timestamp, origin)
		return err
	}
	return c.set(cell, value, present, timestamp, origin, false)
}

func (c *Cells[K, V]) set(cell *Cell[K, V], value V, present bool, timestamp int64, origin Origin, unread bool) error {
	var encoded []byte
	if c.env.EveryUpdate && present {
		var err error
		if encoded, err = c.encode(value, origin); err != nil {
			return errors.Join(err, c.undo(cell, unread))
		}
	}
	if c.lives != nil && present {
		c.lives.put(cell.key, timestamp, cell.dirty != 0 && cell.Present && cell.Timestamp <= timestamp)
	}
	if cell.dirty == 0 {
		c.firstChange(cell, unread)
	}
	if !present {
		var zero V
		value = zero
	}
	cell.Value, cell.Present, cell.Timestamp, cell.used, cell.lent = value, present, timestamp, true, false
	ch := &c.changes[cell.dirty-1]
	ch.origin = origin
	if c.env.EveryUpdate {
		ch.value = encoded
		c.encoded(cell, len(encoded))
		return c.log(ch, encoded)
	}
	return nil
}

// undo restores a cell after a change whose value cannot be encoded. The caller may have
// changed the value in place, and the error policy may let the application continue.
func (c *Cells[K, V]) undo(cell *Cell[K, V], unread bool) error {
	switch {
	case unread:
		c.drop(len(c.ring) - 1)
		return nil
	case !cell.Present || c.immutable || cell.committing && cell.dirty == 0:
		return nil
	}
	row := Stored{Format: c.format}
	if cell.dirty != 0 {
		row.Value = c.changes[cell.dirty-1].value
	} else {
		var err error
		if row, _, err = c.env.Table.Get(cell.KeyBytes()); err != nil {
			return err
		}
	}
	value, err := c.value(cell.KeyBytes(), row)
	if err == nil {
		cell.Value = value
	}
	return err
}

func (c *Cells[K, V]) firstChange(cell *Cell[K, V], unread bool) {
	c.changes = append(c.changes, change[K, V]{cell: cell})
	c.countRoom()
	cell.dirty = int32(len(c.changes))
	if c.old && !unread {
		c.keepOld(&c.changes[len(c.changes)-1], cell)
	}
	if unread {
		c.resize(cell, c.typical)
	}
	c.countDirty(int64(cell.size) + c.changeSize())
	if c.index != nil {
		c.index.set(cell.key, cell)
	}
}

func (c *Cells[K, V]) changeSize() int64 { return int64(unsafe.Sizeof(change[K, V]{})) }

// resize updates the size of a cell whose value takes n bytes.
func (c *Cells[K, V]) resize(cell *Cell[K, V], n int) {
	size := c.base + int32(len(cell.key)+n)
	c.count(int64(size - cell.size))
	cell.size = size
}

// countRoom counts the memory of the lists of changes. It is kept from one commit to the
// next.
func (c *Cells[K, V]) countRoom() {
	room := int64(cap(c.changes))*c.changeSize() + int64(cap(c.committing))*int64(unsafe.Sizeof(uintptr(0)))
	if room != c.room {
		c.count(room - c.room)
		c.room = room
	}
}

func (c *Cells[K, V]) count(n int64) {
	c.bytes += n
	c.env.Budget.add(n)
}

func (c *Cells[K, V]) countDirty(n int64) {
	c.dirtyBytes += n
	c.env.Budget.addDirty(n)
}

// Dirty yields the cells that have changed since the last Flush, in order of their first
// change. The loop may change cells; a cell that changes for the first time in the loop
// is yielded too.
func (c *Cells[K, V]) Dirty() iter.Seq[*Cell[K, V]] {
	return func(yield func(*Cell[K, V]) bool) {
		for i := 0; i < len(c.changes); i++ {
			c.sent = i + 1
			if !yield(c.changes[i].cell) {
				return
			}
		}
	}
}

// Origin returns the origin of the last change of a cell that has changed since the last
// Flush. Otherwise it returns the zero Origin.
func (c *Cells[K, V]) Origin(cell *Cell[K, V]) Origin {
	if cell.dirty == 0 {
		return Origin{}
	}
	return c.changes[cell.dirty-1].origin
}

// Close releases the memory. The cells must not be used afterwards.
func (c *Cells[K, V]) Close() {
	c.env.Table.leave(c.ring)
	c.count(-c.bytes)
	c.countDirty(-c.dirtyBytes)
	c.cells, c.ring, c.changes, c.committing, c.index = nil, nil, nil, nil, nil
	if c.lives != nil {
		c.lives.close()
	}
}
