package engine

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/millrace-streams/millrace/internal/seedtest"
	"github.com/millrace-streams/millrace/processor"
)

// number is a serde of int64. list is a serde of slices that may be changed in place.
type number struct{}

func (number) Append(dst []byte, v int64) ([]byte, error) {
	return binary.BigEndian.AppendUint64(dst, uint64(v)), nil
}

func (number) Decode(data []byte) (int64, error) {
	if len(data) != 8 {
		return 0, errors.New("not 8 bytes")
	}
	return int64(binary.BigEndian.Uint64(data)), nil
}

type list struct{}

func (list) Append(dst []byte, v *[]byte) ([]byte, error) { return append(dst, *v...), nil }
func (list) Decode(data []byte) (*[]byte, error) {
	v := append([]byte{}, data...)
	return &v, nil
}

// cellTask is a database with one store.
type cellTask struct {
	db     *DB
	table  *Table
	budget *Budget
	logged []string
	every  bool
}

func newCellTask(t testing.TB, memory int64, persistent bool) *cellTask {
	shared := NewShared(memory)
	k := &cellTask{db: openDB(t, shared, vfs.NewMem()), budget: shared.NewBudget()}
	k.table = table(t, k.db, "st", persistent)
	t.Cleanup(func() {
		check(t, k.db.Close())
		if k.budget.used != 0 || k.budget.dirty != 0 {
			t.Errorf("%d bytes were not given back, %d of them uncommitted", k.budget.used, k.budget.dirty)
		}
		k.budget.Close()
		shared.Close()
	})
	return k
}

func (k *cellTask) env() Env {
	return Env{
		Table:       k.table,
		Budget:      k.budget,
		EveryUpdate: k.every,
		Log: func(key, value []byte, timestamp int64, _ *Origin) error {
			if value == nil {
				k.logged = append(k.logged, fmt.Sprintf("%s@%d", key, timestamp))
			} else {
				k.logged = append(k.logged, fmt.Sprintf("%s=%x@%d", key, value, timestamp))
			}
			return nil
		},
	}
}

func numbers(t testing.TB, k *cellTask) *Cells[string, int64] {
	c := NewCells(CellsConfig[string, int64]{Store: "st", Env: k.env(), Value: number{}})
	t.Cleanup(c.Close)
	return c
}

func (k *cellTask) commit(t testing.TB, c interface {
	Flush(*TableBatch) error
	Committed()
}) {
	t.Helper()
	b := k.db.NewBatch()
	check(t, c.Flush(b.Table(k.table)))
	check(t, k.db.Apply(b))
	c.Committed()
}

func set(t testing.TB, c *Cells[string, int64], key string, v int64) *Cell[string, int64] {
	t.Helper()
	cell, err := c.Load([]byte(key), key)
	check(t, err)
	check(t, c.Set(cell, v, true, v, Origin{Topic: "in", Offset: v}))
	return cell
}

func get(t testing.TB, c *Cells[string, int64], key string) (int64, bool) {
	t.Helper()
	cell, err := c.Get([]byte(key))
	check(t, err)
	if cell == nil {
		return 0, false
	}
	return cell.Value, true
}

func TestDirtyIsInOrderOfFirstChange(t *testing.T) {
	t.Parallel()
	k := newCellTask(t, 0, true)
	c := numbers(t, k)
	for i, key := range []string{"b", "a", "b", "c", "a"} {
		set(t, c, key, int64(i))
	}
	var seen []string
	for cell := range c.Dirty() {
		seen = append(seen, fmt.Sprintf("%s=%d from %s", cell.Key, cell.Value, c.Origin(cell)))
		if cell.Key == "c" {
			set(t, c, "d", 9)
		}
	}
	want := []string{"b=2 from record in/0@2", "a=4 from record in/0@4", "c=3 from record in/0@3", "d=9 from record in/0@9"}
	if !slices.Equal(seen, want) {
		t.Errorf("dirty %q, want %q", seen, want)
	}
	k.commit(t, c)
	for cell := range c.Dirty() {
		t.Errorf("after the commit %s is dirty", cell.Key)
	}
	if want := "b=0000000000000002@2"; k.logged[0] != want || len(k.logged) != 4 {
		t.Errorf("logged %q", k.logged)
	}
}

// Changes during a commit belong to the next commit.
func TestTwoGenerations(t *testing.T) {
	t.Parallel()
	for _, ordered := range []bool{false, true} {
		k := newCellTask(t, 0, true)
		c := numbers(t, k)
		if ordered {
			c.buildIndex()
		}
		set(t, c, "a", 1)
		set(t, c, "b", 1)
		b := k.db.NewBatch()
		check(t, c.Flush(b.Table(k.table)))
		set(t, c, "a", 2)
		set(t, c, "c", 2)
		all := func() string {
			var s []string
			for row, err := range c.Range(nil, nil, false) {
				check(t, err)
				s = append(s, fmt.Sprintf("%s=%d", row.KeyBytes, row.Value))
			}
			return strings.Join(s, " ")
		}
		if got := all(); got != "a=2 b=1 c=2" {
			t.Errorf("while a commit is under way: %s", got)
		}
		check(t, k.db.Apply(b))
		c.Committed()
		if got := rows(t, k.table); len(got) != 2 {
			t.Errorf("committed %q", got)
		}
		if got := all(); got != "a=2 b=1 c=2" {
			t.Errorf("after the commit: %s", got)
		}
		if c.index.length != 2 {
			t.Errorf("%d cells in order, want the 2 that changed", c.index.length)
		}
		k.commit(t, c)
		if got := all(); got != "a=2 b=1 c=2" || c.index.length != 0 {
			t.Errorf("after the second commit: %s", got)
		}
	}
}

func TestOld(t *testing.T) {
	t.Parallel()
	k := newCellTask(t, 0, true)
	c := numbers(t, k)
	c.KeepOld()
	old := func(key string) string {
		t.Helper()
		v, at, present, err := c.Old(c.cells[key])
		check(t, err)
		return fmt.Sprint(v, "@", at, " ", present)
	}
	set(t, c, "a", 1)
	set(t, c, "a", 2)
	if got := old("a"); got != "0@0 false" {
		t.Errorf("old row of a new one: %s", got)
	}
	k.commit(t, c)
	set(t, c, "a", 3)
	set(t, c, "a", 4)
	if got := old("a"); got != "2@2 true" {
		t.Errorf("old row: %s", got)
	}
	// Without a read, the old row is looked up when it is needed.
	k.commit(t, c)
	c.Close()
	c = numbers(t, k)
	c.KeepOld()
	_, err := c.Put([]byte("a"), "a", 5, true, 5, Origin{})
	check(t, err)
	if got := old("a"); got != "4@4 true" {
		t.Errorf("old row of one that was not read: %s", got)
	}
}

// Changing an aggregate in place does not change its old row.
func TestOldOfValueChangedInPlace(t *testing.T) {
	t.Parallel()
	k := newCellTask(t, 0, true)
	c := NewCells(CellsConfig[string, *[]byte]{Store: "st", Env: k.env(), Value: list{}})
	defer c.Close()
	c.KeepOld()
	for i := range 3 {
		cell, err := c.Load([]byte("a"), "a")
		check(t, err)
		v := cell.Value
		if v == nil {
			v = new([]byte)
		}
		*v = append(*v, byte('0'+i))
		check(t, c.Set(cell, v, true, 0, Origin{}))
		old, _, present, err := c.Old(cell)
		check(t, err)
		if want := "012"[:i]; present != (i > 0) || present && string(*old) != want {
			t.Errorf("step %d: old %v %v, want %q", i, old, present, want)
		}
		k.commit(t, c)
	}
	if got := rows(t, k.table); got["a"] != "012@0" {
		t.Errorf("committed %q", got)
	}
}

// A row is added and deleted between two commits. It is not logged if the old rows are
// known. Otherwise its deletion is logged.
func TestComeAndGone(t *testing.T) {
	t.Parallel()
	for _, old := range []bool{false, true} {
		k := newCellTask(t, 0, true)
		c := numbers(t, k)
		if old {
			c.KeepOld()
		}
		cell := set(t, c, "a", 1)
		check(t, c.Set(cell, 0, false, 2, Origin{}))
		k.commit(t, c)
		want := []string{"a@2"}
		if old {
			want = nil
		}
		if !slices.Equal(k.logged, want) {
			t.Errorf("KeepOld=%v: logged %q, want %q", old, k.logged, want)
		}
	}
}

// A row that was added since the last Flush can get another key, because the first key
// was not seen yet.
func TestRename(t *testing.T) {
	t.Parallel()
	k := newCellTask(t, 1<<20, true)
	c := numbers(t, k)
	c.KeepOld()
	load := func(key string) *Cell[string, int64] {
		cell, err := c.Load([]byte(key), key)
		check(t, err)
		return cell
	}
	put := func(cell *Cell[string, int64], v int64) { check(t, c.Set(cell, v, true, 1, Origin{})) }

	for _, err := range c.Range(nil, nil, false) {
		check(t, err) // from here on, changes are kept in order
	}
	put(load("a"), 1)
	if !c.Rename(load("a"), []byte("bcd")) {
		t.Fatal("a row that has just come was not renamed")
	}
	put(load("x"), 2)
	if c.Rename(load("x"), []byte("bcd")) {
		t.Error("a row was given the key of another one")
	}
	var keys []string
	for row, err := range c.Range(nil, nil, false) {
		check(t, err)
		keys = append(keys, string(row.KeyBytes))
	}
	if want := []string{"bcd", "x"}; !slices.Equal(keys, want) {
		t.Errorf("rows %v, want %v", keys, want)
	}
	k.commit(t, c)
	if want := []string{"bcd=0000000000000001@1", "x=0000000000000002@1"}; !slices.Equal(k.logged, want) {
		t.Errorf("logged %v, want %v", k.logged, want)
	}
	put(load("x"), 3)
	if c.Rename(load("x"), []byte("y")) {
		t.Error("a row that the table has was renamed")
	}
	c.Close()
}

func TestEveryUpdate(t *testing.T) {
	t.Parallel()
	k := newCellTask(t, 0, true)
	k.every = true
	c := numbers(t, k)
	c.KeepOld()
	cell := set(t, c, "a", 1)
	set(t, c, "a", 2)
	check(t, c.Set(cell, 0, false, 3, Origin{}))
	set(t, c, "b", 4)
	want := []string{"a=0000000000000001@1", "a=0000000000000002@2", "a@3", "b=0000000000000004@4"}
	k.commit(t, c)
	if !slices.Equal(k.logged, want) {
		t.Errorf("logged %q, want %q", k.logged, want)
	}
	if got := rows(t, k.table); len(got) != 1 {
		t.Errorf("committed %q", got)
	}
}

// picky is list, which refuses values with an x.
type picky struct{ list }

func (picky) Append(dst []byte, v *[]byte) ([]byte, error) {
	if bytes.Contains(*v, []byte("x")) {
		return nil, errors.New("an x")
	}
	return append(dst, *v...), nil
}

// If a value cannot be encoded for the log, the row stays unchanged, even if the value
// was changed in place. The error policy may skip the record.
func TestEveryUpdateThatCannotBeEncoded(t *testing.T) {
	t.Parallel()
	k := newCellTask(t, 0, true)
	k.every = true
	c := NewCells(CellsConfig[string, *[]byte]{Store: "st", Env: k.env(), Value: picky{}})
	defer c.Close()
	put := func(key, value string) error {
		v := []byte(value)
		_, err := c.Put([]byte(key), key, &v, true, 1, Origin{})
		return err
	}
	spoil := func(key string) {
		t.Helper()
		cell, err := c.Load([]byte(key), key)
		check(t, err)
		*cell.Value = append(*cell.Value, 'x')
		if err := c.Set(cell, cell.Value, true, 2, Origin{}); err == nil {
			t.Errorf("%s: an x was accepted", key)
		}
	}
	check(t, put("old", "o"))
	k.commit(t, c)
	check(t, put("new", "n"))
	spoil("new")
	spoil("old")
	if err := put("none", "x"); err == nil {
		t.Error("an x was accepted")
	}
	if cell, err := c.Get([]byte("none")); cell != nil || err != nil {
		t.Errorf("the refused row is %v, %v", cell, err)
	}
	for key, want := range map[string]string{"old": "o", "new": "n"} {
		if cell, err := c.Get([]byte(key)); err != nil || string(*cell.Value) != want || cell.Timestamp != 1 {
			t.Errorf("%s is %v, %v", key, cell, err)
		}
	}
	k.commit(t, c)
	if got, want := rows(t, k.table), map[string]string{"old": "o@1", "new": "n@1"}; !maps.Equal(got, want) {
		t.Errorf("committed %q, want %q", got, want)
	}
	if want := []string{"old=6f@1", "new=6e@1"}; !slices.Equal(k.logged, want) {
		t.Errorf("logged %q, want %q", k.logged, want)
	}
}

// A record without a key is refused by a compacted topic.
func TestEmptyKeyIsLogged(t *testing.T) {
	t.Parallel()
	k := newCellTask(t, 0, true)
	env := k.env()
	logged := 0
	env.Log = func(key, _ []byte, _ int64, _ *Origin) error {
		logged++
		if key == nil {
			t.Error("an empty key is logged as none")
		}
		return nil
	}
	c := NewCells(CellsConfig[string, *[]byte]{Store: "st", Env: env, Value: list{}})
	defer c.Close()
	_, err := c.Put([]byte{}, "", &[]byte{1}, true, 0, Origin{})
	check(t, err)
	k.commit(t, c)
	if logged != 1 {
		t.Errorf("%d records logged", logged)
	}
}

// Logged bytes stay unchanged, whatever is encoded later.
func TestLoggedBytesNeverChange(t *testing.T) {
	t.Parallel()
	k := newCellTask(t, 0, true)
	env := k.env()
	type record struct {
		key, value         []byte
		keyThen, valueThen string
	}
	var records []record
	env.Log = func(key, value []byte, _ int64, _ *Origin) error {
		if len(value) != cap(value) {
			t.Error("there is room behind a logged value")
		}
		records = append(records, record{key, value, string(key), string(value)})
		return nil
	}
	c := NewCells(CellsConfig[string, *[]byte]{Store: "st", Env: env, Value: list{}})
	defer c.Close()
	r := rand.New(rand.NewPCG(1, 7))
	for range 300 {
		for range 20 {
			v := make([]byte, r.IntN(200))
			if r.IntN(100) == 0 {
				v = make([]byte, 100_000)
			}
			for i := range v {
				v[i] = byte(r.Uint32())
			}
			key := fmt.Sprint(r.IntN(100))
			_, err := c.Put([]byte(key), key, &v, true, 0, Origin{})
			check(t, err)
		}
		k.commit(t, c)
	}
	for _, rec := range records {
		if string(rec.key) != rec.keyThen || string(rec.value) != rec.valueThen {
			t.Fatal("a logged record has changed")
		}
	}
}

// If memory is short, cached rows are evicted, and uncommitted changes stay. All reads
// are correct.
func TestEviction(t *testing.T) {
	t.Parallel()
	for _, persistent := range []bool{true, false} {
		k := newCellTask(t, minMemory, persistent)
		c := numbers(t, k)
		r := rand.New(rand.NewPCG(2, 8))
		model := map[string]int64{}
		limit := int64(256 << 10)
		k.budget.shared.cells = limit
		evicted := false
		for i := range int64(10_000) {
			key := fmt.Sprintf("key-%d", r.IntN(5_000))
			if r.IntN(2) == 0 {
				set(t, c, key, i)
				model[key] = i
			} else if v, ok := get(t, c, key); ok != (model[key] != 0 || key == "") && v != model[key] {
				t.Fatalf("Get(%s) = %d, %v, want %d", key, v, ok, model[key])
			}
			if i%500 == 0 {
				k.commit(t, c)
				if c.bytes > limit+limit/8 {
					t.Fatalf("%d bytes after a commit, limit %d", c.bytes, limit)
				}
			}
			evicted = evicted || len(c.cells) < len(model)
			if len(c.cells) != len(c.ring) {
				t.Fatalf("%d cells, %d in the ring", len(c.cells), len(c.ring))
			}
		}
		if !evicted {
			t.Error("nothing was evicted: the test tests nothing")
		}
		k.commit(t, c)
		for key, want := range model {
			if v, ok := get(t, c, key); !ok || v != want {
				t.Fatalf("Get(%s) = %d, %v, want %d", key, v, ok, want)
			}
		}
	}
}

// Several tasks are busy one after another. When they are trimmed, their memory,
// including the room for changes, stays within the memory of the process.
func TestTrim(t *testing.T) {
	t.Parallel()
	const limit, tasks, keys = 512 << 10, 8, 4000
	shared := NewShared(minMemory)
	defer shared.Close()
	shared.cells = limit
	var all []*Cells[string, int64]
	for n := range tasks {
		d := openDB(t, shared, vfs.NewMem())
		defer d.Close()
		budget := shared.NewBudget()
		defer budget.Close()
		k := &cellTask{db: d, budget: budget, table: table(t, d, "st", true)}
		c := numbers(t, k)
		all = append(all, c)
		for i := range int64(keys) {
			set(t, c, fmt.Sprintf("key-%d", i), i)
			if budget.Over() {
				k.commit(t, c)
			}
		}
		k.commit(t, c)
		for _, idle := range all {
			idle.Trim()
		}
		if used, dirty := shared.Used(); used > limit || dirty != 0 {
			t.Errorf("after task %d %d bytes are used, %d of them uncommitted; the limit is %d", n, used, dirty, limit)
		}
	}
	for n, c := range all {
		if c.most > 5*len(c.cells) || cap(c.changes) > 0 && n < tasks-1 {
			t.Errorf("task %d has room for %d cells and %d changes, and %d cells", n, c.most, cap(c.changes), len(c.cells))
		}
		for i := range int64(keys) {
			if v, ok := get(t, c, fmt.Sprintf("key-%d", i)); !ok || v != i {
				t.Fatalf("task %d: key-%d is %d, %v", n, i, v, ok)
			}
		}
	}
}

func TestForget(t *testing.T) {
	t.Parallel()
	k := newCellTask(t, 0, true)
	c := numbers(t, k)
	for i := range 10 {
		set(t, c, fmt.Sprint(i), int64(i))
	}
	k.commit(t, c)
	set(t, c, "2", 22)
	c.Forget([]byte("5"))
	if got := slices.Sorted(maps.Keys(c.cells)); !slices.Equal(got, []string{"2", "5", "6", "7", "8", "9"}) || len(c.ring) != len(got) {
		t.Errorf("%q are left", got)
	}
}

// Uncommitted changes are never evicted; the budget asks for a commit.
func TestOver(t *testing.T) {
	t.Parallel()
	k := newCellTask(t, minMemory, true)
	k.budget.shared.cells = 256 << 10
	c := numbers(t, k)
	idle := k.budget.shared.NewBudget()
	defer idle.Close()
	n := 0
	for ; !k.budget.Over(); n++ {
		set(t, c, fmt.Sprint("key-", n), 1)
	}
	if idle.Over() {
		t.Error("a task without changes is asked to commit")
	}
	if d, limit := k.budget.Dirty(), k.budget.shared.cells/2; d < limit || d > limit+1000 {
		t.Errorf("asked to commit at %d bytes, limit %d", d, limit)
	}
	if len(c.cells) != n {
		t.Errorf("%d cells of %d", len(c.cells), n)
	}
	for i := range 5_000 {
		get(t, c, fmt.Sprint("other-", i)) // fills the memory
	}
	for i := range n {
		if cell := c.cells[fmt.Sprint("key-", i)]; cell == nil {
			t.Fatal("a changed row was evicted")
		}
	}
	k.commit(t, c)
	if k.budget.Over() || k.budget.Dirty() != 0 {
		t.Errorf("after the commit %d bytes are dirty", k.budget.Dirty())
	}
}

func TestDamagedRows(t *testing.T) {
	t.Parallel()
	for _, persistent := range []bool{true, false} {
		k := newCellTask(t, 0, persistent)
		b := k.db.NewBatch()
		check(t, b.Table(k.table).Set([]byte("a"), 0, []byte("short")))
		check(t, k.db.Apply(b))
		c := numbers(t, k)
		if _, err := c.Get([]byte("a")); err == nil || !strings.Contains(err.Error(), "store st") {
			t.Errorf("Get of a damaged row: %v", err)
		}
		n := 0
		for _, err := range c.Range(nil, nil, false) {
			if n++; err == nil {
				t.Error("a damaged row was read")
			}
		}
		if n != 1 {
			t.Errorf("Range yielded %d times", n)
		}
	}
}

type bomb struct{ number }

func (bomb) Decode([]byte) (int64, error) { panic("boom") }

func TestPanicOfSerdeIsAnError(t *testing.T) {
	t.Parallel()
	k := newCellTask(t, 0, true)
	k.commit(t, func() *Cells[string, int64] { c := numbers(t, k); set(t, c, "a", 1); return c }())
	c := NewCells(CellsConfig[string, int64]{Store: "st", Env: k.env(), Value: bomb{}})
	defer c.Close()
	_, err := c.Get([]byte("a"))
	var p *processor.PanicError
	if !errors.As(err, &p) || p.Value != "boom" {
		t.Errorf("Get: %v", err)
	}
}

func TestLogErrorIsReturned(t *testing.T) {
	t.Parallel()
	k := newCellTask(t, 0, true)
	env := k.env()
	full := errors.New("full")
	env.Log = func([]byte, []byte, int64, *Origin) error { return full }
	c := NewCells(CellsConfig[string, int64]{Store: "st", Env: env, Value: number{}})
	defer c.Close()
	set(t, c, "a", 1)
	b := k.db.NewBatch()
	defer b.Close()
	if err := c.Flush(b.Table(k.table)); !errors.Is(err, full) {
		t.Errorf("Flush: %v", err)
	}
}

func TestImmutable(t *testing.T) {
	t.Parallel()
	for name, got := range map[string]bool{
		"int64": immutable[int64](), "string": immutable[string](), "array": immutable[[3]float64](),
		"struct": immutable[struct {
			A string
			B [2]int
		}](),
	} {
		if !got {
			t.Errorf("%s counts as changeable", name)
		}
	}
	for name, got := range map[string]bool{
		"pointer": immutable[*int](), "slice": immutable[[]int](), "map": immutable[map[int]int](), "any": immutable[any](),
		"struct": immutable[struct{ A []byte }](), "array": immutable[[1]*int](),
	} {
		if got {
			t.Errorf("%s counts as immutable", name)
		}
	}
}

// The hot path: an update of a row in memory allocates nothing. A new row allocates its
// cell and its key.
func TestAllocations(t *testing.T) {
	k := newCellTask(t, 64<<20, true)
	env := k.env()
	env.Log = func([]byte, []byte, int64, *Origin) error { return nil }
	c := NewCells(CellsConfig[string, int64]{Store: "st", Env: env, Value: number{}})
	defer c.Close()
	key := []byte("some key")
	text := string(key)
	update := func() {
		cell, err := c.Load(key, text)
		if err == nil {
			err = c.Set(cell, cell.Value+1, true, 1, Origin{Topic: "in"})
		}
		check(t, err)
	}
	update()
	if n := testing.AllocsPerRun(1000, update); n != 0 {
		t.Errorf("an update allocates %v times", n)
	}
	i := uint64(0)
	buf := make([]byte, 8)
	k.commit(t, c)
	if n := testing.AllocsPerRun(20_000, func() {
		i++
		binary.BigEndian.PutUint64(buf, i)
		_, err := c.Put(buf, text, 1, true, 1, Origin{})
		check(t, err)
	}); n > 3 {
		t.Errorf("a new row allocates %v times", n)
	}
}

// Random changes in two generations give the same rows as maps, with the old rows of the
// last flush.
func TestCellsEqualModel(t *testing.T) {
	t.Parallel()
	seedtest.Run(t, 8, func(t *testing.T, seed uint64) {
		r := rand.New(rand.NewPCG(seed, 9))
		k := newCellTask(t, minMemory, seed%2 == 0)
		c := numbers(t, k)
		c.KeepOld()
		live, flushed := map[string]int64{}, map[string]int64{}
		var batch *Batch
		for i := range int64(2000) {
			key := fmt.Sprint(r.IntN(50))
			switch n := r.IntN(100); {
			case n < 30:
				set(t, c, key, i)
				live[key] = i
			case n < 45:
				_, err := c.Put([]byte(key), key, i, true, i, Origin{})
				check(t, err)
				live[key] = i
			case n < 60:
				_, err := c.Put([]byte(key), key, 0, false, i, Origin{})
				check(t, err)
				delete(live, key)
			case n < 80:
				want, had := live[key]
				if v, ok := get(t, c, key); v != want || ok != had {
					t.Fatalf("seed %d: Get(%s) = %d, %v, want %d, %v", seed, key, v, ok, want, had)
				}
			case n < 85:
				c.evict(r.IntN(30), 60)
				if batch != nil && r.IntN(2) == 0 {
					check(t, k.db.Apply(batch))
					c.Committed()
					batch = nil
				}
			case n < 90:
				got := map[string]int64{}
				for row, err := range c.Range(nil, nil, r.IntN(2) == 0) {
					check(t, err)
					got[string(row.KeyBytes)] = row.Value
				}
				if !maps.Equal(got, live) {
					t.Fatalf("seed %d: Range = %v, want %v", seed, got, live)
				}
			case batch == nil:
				for cell := range c.Dirty() {
					v, _, present, err := c.Old(cell)
					check(t, err)
					if want, had := flushed[cell.Key]; v != want || present != had {
						t.Fatalf("seed %d: old row of %s is %d, %v, want %d, %v", seed, cell.Key, v, present, want, had)
					}
				}
				batch = k.db.NewBatch()
				check(t, c.Flush(batch.Table(k.table)))
				flushed = maps.Clone(live)
			}
		}
		c.Close()
	})
}
