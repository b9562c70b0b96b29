package state_test

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/millrace-streams/millrace/internal/engine"
	"github.com/millrace-streams/millrace/internal/seedtest"
	"github.com/millrace-streams/millrace/internal/store"
	"github.com/millrace-streams/millrace/internal/store/storetest"
	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/state"
)

// The formats of the test: int64, then float64, then string. An int64 and a float64 both
// have eight bytes, so no decoder can tell them apart.
func floatOf(v int64) float64   { return float64(v) + 0.5 }
func stringOf(v float64) string { return strconv.FormatFloat(v, 'g', -1, 64) + "!" }

var (
	intToFloat    = state.Migrate(serde.Int64, floatOf)
	floatToString = state.TryMigrate(serde.Float64, func(v float64) (string, error) { return stringOf(v), nil })
)

// migrating is a store in one of the formats.
type migrating interface {
	put(key string, n int64) error
	remove(key string) error
	get(key string) (string, bool, error)
	all() (map[string]string, error)
}

type migratingStore[V any] struct {
	state.KeyValueStore[string, V]
	of func(n int64) V
}

func (s migratingStore[V]) put(key string, n int64) error { return s.Put(key, s.of(n)) }
func (s migratingStore[V]) remove(key string) error       { _, _, err := s.Delete(key); return err }

func (s migratingStore[V]) get(key string) (string, bool, error) {
	v, at, ok, err := s.GetTimestamped(key)
	return fmt.Sprintf("%v@%d", v, at), ok, err
}

func (s migratingStore[V]) all() (map[string]string, error) {
	rows := map[string]string{}
	for e, err := range s.All() {
		if err != nil {
			return nil, err
		}
		rows[e.Key] = fmt.Sprintf("%v@%d", e.Value, e.Timestamp)
	}
	return rows, nil
}

// version is a version of the program: the format that it writes, and how many of the
// earlier formats it no longer reads.
type version struct{ format, gone int }

func (v version) options(opts []state.Option) []state.Option {
	opts = slices.Clone(opts)
	if v.gone > 0 {
		opts = append(opts, state.Migrated(v.gone))
	}
	return append(opts, []state.Option{intToFloat, floatToString}[v.gone:v.format]...)
}

func openVersion(k *storetest.Task, v version, opts []state.Option) (migrating, *store.Spec) {
	opts = v.options(opts)
	switch v.format {
	case 0:
		return openAs(k, state.KeyValue("st", serde.String, serde.Int64, opts...), func(n int64) int64 { return n })
	case 1:
		return openAs(k, state.KeyValue("st", serde.String, serde.Float64, opts...), floatOf)
	}
	return openAs(k, state.KeyValue("st", serde.String, serde.String, opts...), func(n int64) string { return stringOf(floatOf(n)) })
}

func openAs[V any](k *storetest.Task, spec state.Spec[string, V], of func(int64) V) (migrating, *store.Spec) {
	described, _ := store.Of(spec)
	return migratingStore[V]{state.Open(k.Processor(spec), spec), of}, described
}

// migrationModel is the naive store: it has the numbers of which the values are made.
type migrationModel struct {
	t    *testing.T
	k    *storetest.Task
	opts []state.Option

	version version
	swept   int // format that all rows of some commit had, in every copy
	store   migrating
	spec    *store.Spec

	rows, committed map[string]modelNumber
	disks           []*vfs.MemFS // of processes that had the task before
}

type modelNumber struct{ n, at int64 }

// text is how a version prints a row.
func (m *migrationModel) text(row modelNumber) string {
	switch m.version.format {
	case 0:
		return fmt.Sprintf("%v@%d", row.n, row.at)
	case 1:
		return fmt.Sprintf("%v@%d", floatOf(row.n), row.at)
	}
	return fmt.Sprintf("%v@%d", stringOf(floatOf(row.n)), row.at)
}

// A store has the rows of a model over versions of the program with other formats, over
// commits, aborts, restarts, crashes, lost disks, old disks, and compaction.
func TestMigrationsEqualModel(t *testing.T) {
	t.Parallel()
	for name, opts := range map[string][]state.Option{
		"persistent": nil, "in memory": {state.InMemory()}, "every update": {state.EveryUpdate()},
		"most rows": {state.MostRows(1000)}, "TTL": {state.TTL(1_000_000 * ms)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			seedtest.Run(t, 20, func(t *testing.T, seed uint64) {
				runMigrations(t, seed, opts)
			})
		})
	}
}

func runMigrations(t *testing.T, seed uint64, opts []state.Option) {
	r := rand.New(rand.NewPCG(seed, 11))
	m := &migrationModel{t: t, k: storetest.New(t, 0), opts: opts, rows: map[string]modelNumber{}, committed: map[string]modelNumber{}}
	m.k.SweepRows = 1 + r.IntN(6)
	m.k.Restart()
	m.open()
	for n := range 300 {
		where := fmt.Sprintf("seed %d, step %d, version %+v", seed, n, m.version)
		m.step(r, where)
		m.check(where)
	}
}

func (m *migrationModel) step(r *rand.Rand, where string) {
	key := string(rune('a' + r.IntN(20)))
	switch r.IntN(30) {
	case 0, 1, 2, 3, 4:
		m.begin()
		m.finish()
	case 5:
		m.reopen(r, m.k.Abort)
	case 6:
		m.reopen(r, m.k.Restart)
	case 7:
		m.reopen(r, m.k.LoseDisk)
	case 8:
		m.reopen(r, func() { m.k.Crash(r, r.IntN(101), false) })
	case 9: // Kafka has confirmed the commit, and the disk has not got it
		m.begin()
		m.reopen(r, func() { m.k.Crash(r, r.IntN(101), true) })
	case 10:
		m.disks = append(m.disks, m.k.Disk())
	case 11:
		if len(m.disks) > 0 {
			m.reopen(r, func() {
				m.k.UseDisk(m.disks[r.IntN(len(m.disks))].CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 100, RNG: r}))
			})
		}
	case 12:
		m.k.CompactChangelog("st")
	case 13, 14:
		m.must(where, m.store.remove(key))
		delete(m.rows, key)
	case 15: // a write between the two halves of a commit
		m.begin()
		m.put(r, key, where)
		m.finish()
	default:
		m.put(r, key, where)
	}
}

func (m *migrationModel) must(where string, err error) {
	if err != nil {
		m.t.Helper()
		m.t.Fatalf("%s: %v", where, err)
	}
}

func (m *migrationModel) put(r *rand.Rand, key, where string) {
	row := modelNumber{r.Int64N(1000), r.Int64N(100_000)}
	m.k.SetNow(row.at)
	m.must(where, m.store.put(key, row.n))
	m.rows[key] = row
}

func (m *migrationModel) begin() {
	m.k.Begin()
	m.committed = maps.Clone(m.rows)
}

func (m *migrationModel) finish() {
	m.k.Finish()
	m.noteSwept()
}

// noteSwept notes that the store has said that all its rows have the newest format.
func (m *migrationModel) noteSwept() {
	if m.k.Converted > 0 {
		m.swept, m.k.Converted = max(m.swept, m.version.format), 0
	}
}

// reopen does something that ends the store, and opens it again, at times in a later
// version of the program.
func (m *migrationModel) reopen(r *rand.Rand, do func()) {
	do()
	m.rows = maps.Clone(m.committed)
	if r.IntN(3) == 0 {
		m.version.format = min(m.version.format+r.IntN(2), 2)
	}
	m.version.gone = r.IntN(min(m.swept, m.version.format) + 1)
	m.open()
}

func (m *migrationModel) open() {
	m.k.Converted = 0
	m.store, m.spec = openVersion(m.k, m.version, m.opts)
	m.noteSwept()
}

// check compares what the processor and queries see.
func (m *migrationModel) check(where string) {
	want := map[string]string{}
	for key, row := range m.rows {
		want[key] = m.text(row)
		if got, ok, err := m.store.get(key); !ok || err != nil || got != want[key] {
			m.t.Fatalf("%s: Get(%s) = %s, %v, %v; want %s", where, key, got, ok, err, want[key])
		}
	}
	got, err := m.store.all()
	if err != nil || !maps.Equal(got, want) {
		m.t.Fatalf("%s: rows %v, %v; want %v", where, got, err, want)
	}
	if m.k.Begun() {
		return
	}
	snapshot, err := m.k.DB.Snapshot()
	m.must(where, err)
	defer snapshot.Close()
	for key, row := range m.committed {
		stored, ok, err := snapshot.Get("st", []byte(key))
		m.must(where, err)
		data, err := m.spec.Current([]byte(key), stored)
		m.must(where, err)
		if text := m.decoded(data, stored.Timestamp); !ok || text != m.text(row) {
			m.t.Fatalf("%s: a query of %s finds %s, %v; want %s", where, key, text, ok, m.text(row))
		}
	}
}

// decoded prints the bytes of a value in the newest format.
func (m *migrationModel) decoded(data []byte, at int64) string {
	switch m.version.format {
	case 0:
		v, _ := serde.Int64.Decode(data)
		return fmt.Sprintf("%v@%d", v, at)
	case 1:
		v, _ := serde.Float64.Decode(data)
		return fmt.Sprintf("%v@%d", v, at)
	}
	return fmt.Sprintf("%s@%d", data, at)
}

// filled returns a task whose store has n rows of format 0.
func filled(t *testing.T, n int, opts ...state.Option) *storetest.Task {
	k := storetest.New(t, 0)
	s, _ := openVersion(k, version{}, opts)
	for i := range n {
		if err := s.put(fmt.Sprintf("%04d", i), int64(i)); err != nil {
			t.Fatal(err)
		}
	}
	k.Commit()
	return k
}

func TestSweepIsBounded(t *testing.T) {
	t.Parallel()
	k := filled(t, 100)
	k.SweepRows = 30
	k.Restart()
	openVersion(k, version{format: 1}, nil)
	for commit, want := range []int{130, 160, 190, 200} {
		if !k.Again {
			t.Fatalf("commit %d: the store has not asked for it", commit)
		}
		k.Again = false
		k.Commit()
		if got := len(k.Changelog("st")); got != want {
			t.Errorf("commit %d: %d records in the changelog, want %d", commit, got, want)
		}
	}
	if k.Again || k.Converted != 1 {
		t.Errorf("asks for another commit: %v; says %d times that all rows are converted", k.Again, k.Converted)
	}
	for _, r := range k.Changelog("st")[100:] {
		if r.Format != 1 {
			t.Fatalf("a record has format %d", r.Format)
		}
	}
	k.Restart()
	openVersion(k, version{format: 1}, nil)
	if k.Again || k.Converted != 2 {
		t.Errorf("after a restart: asks for another commit: %v; says %d times that all rows are converted", k.Again, k.Converted)
	}
}

// While a store is empty, an earlier version of the program may come back. Its rows are
// converted like all others.
func TestRollbackOfAnEmptyStore(t *testing.T) {
	t.Parallel()
	for _, rows := range []int{0, 3} { // that were there, and were deleted
		k := filled(t, rows)
		s, _ := openVersion(k, version{format: 1}, nil)
		k.Commit()
		for i := range rows {
			if err := s.remove(fmt.Sprintf("%04d", i)); err != nil {
				t.Fatal(err)
			}
		}
		k.Commit()
		k.Restart()
		s, _ = openVersion(k, version{}, nil)
		if err := s.put("k", 1); err != nil {
			t.Fatal(err)
		}
		k.Commit()
		k.Restart()
		k.Again = false
		s, _ = openVersion(k, version{format: 1}, nil)
		k.Commit()
		got, ok, err := s.get("k")
		records := k.Changelog("st")
		if got != "1.5@0" || !ok || err != nil || !k.Again || records[len(records)-1].Format != 1 {
			t.Errorf("%d rows: k is %s, %v, %v; a sweep: %v; last record %+v", rows, got, ok, err, k.Again, records[len(records)-1])
		}
	}
}

// A record of an earlier format that is restored begins another sweep.
func TestRestoredRowIsSwept(t *testing.T) {
	t.Parallel()
	k := filled(t, 3)
	_, spec := openVersion(k, version{format: 1}, nil)
	k.Commit()
	k.Commit()
	table, err := k.DB.Table("st", true)
	if err != nil {
		t.Fatal(err)
	}
	if table.Swept() != 1 {
		t.Fatalf("the table is swept to format %d", table.Swept())
	}
	b := k.DB.NewBatch()
	old, _ := serde.Int64.Append(nil, 7)
	if err := errors.Join(spec.Restore(b.Table(table), []byte("0001"), engine.Stored{Value: old}), k.DB.Apply(b)); err != nil {
		t.Fatal(err)
	}
	if table.Swept() != 0 {
		t.Errorf("the table is swept to format %d", table.Swept())
	}
}

// A version of the program that does not know a format reads no row of it, and restores
// none.
func TestUnknownFormatsAreNotRead(t *testing.T) {
	t.Parallel()
	k := filled(t, 3)
	openVersion(k, version{format: 1}, nil)
	k.Commit()
	k.Restart()
	s, _ := openVersion(k, version{}, nil)
	_, _, err := s.get("0001")
	var unknown *engine.UnknownFormatError
	if !errors.As(err, &unknown) || unknown.Format != 1 || unknown.Newest != 0 {
		t.Errorf("Get: %v", err)
	}
	if _, err := s.all(); !errors.As(err, &unknown) {
		t.Errorf("All: %v", err)
	}
	table, err := k.DB.Table("other", true)
	if err != nil {
		t.Fatal(err)
	}
	spec, err := store.Of(state.KeyValue("st", serde.String, serde.Int64))
	if err != nil {
		t.Fatal(err)
	}
	b := k.DB.NewBatch()
	defer b.Close()
	if err := spec.Restore(b.Table(table), []byte("k"), engine.Stored{Value: []byte("v"), Format: 1}); !errors.As(err, &unknown) {
		t.Errorf("Restore: %v", err)
	}
}

func TestMigrationFails(t *testing.T) {
	t.Parallel()
	failed := errors.New("cannot convert")
	for name, option := range map[string]state.Option{
		"error": state.TryMigrate(serde.Int64, func(v int64) (string, error) {
			if v == 1 {
				return "", failed
			}
			return fmt.Sprint(v), nil
		}),
		"panic": state.Migrate(serde.Int64, func(v int64) string {
			if v == 1 {
				panic(failed)
			}
			return fmt.Sprint(v)
		}),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := filled(t, 3)
			k.Restart()
			spec := state.KeyValue("st", serde.String, serde.String, option)
			s := state.Open(k.Processor(spec), spec)
			_, _, err := s.Get("0001")
			var panicked *processor.PanicError
			if !errors.Is(err, failed) && !errors.As(err, &panicked) {
				t.Fatalf("Get: %v", err)
			}
			for _, part := range []string{"store st", `"0001"`, "from format 0 to 1"} {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("the error %q lacks %q", err, part)
				}
			}
			if v, ok, err := s.Get("0002"); v != "2" || !ok || err != nil {
				t.Errorf("another row: %q, %v, %v", v, ok, err)
			}
		})
	}
}

func TestMigrationsAreChecked(t *testing.T) {
	t.Parallel()
	toString := state.Migrate(serde.Float64, stringOf)
	for want, opts := range map[string][]state.Option{
		"returns values of type float64, but the values of the store have type string": {intToFloat},
		"returns values of type string, but the next migration takes type int64":       {toString, intToFloat},
		"was given a nil serde":    {state.Migrate(nil, stringOf)},
		"was given a nil function": {state.Migrate[float64, string](serde.Float64, nil)},
		"Migrated(0)":              {state.Migrated(0)},
		"has Migrated twice":       {state.Migrated(1), state.Migrated(1)},
		"has Migrated after":       {toString, state.Migrated(1)},
		"without a changelog":      {state.Migrated(1), state.WithoutChangelog()},
	} {
		err := state.KeyValue("st", text{}, serde.String, opts...).(interface{ Validate() error }).Validate()
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "store st: ") {
			t.Errorf("want %q: Validate: %v", want, err)
		}
	}
	spec := state.KeyValue("st", text{}, serde.String, intToFloat, toString, nil)
	if err := spec.(interface{ Validate() error }).Validate(); err != nil {
		t.Error(err)
	}
}
