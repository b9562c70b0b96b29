package versionedstore_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/millrace-streams/millrace/internal/engine"
	"github.com/millrace-streams/millrace/internal/seedtest"
	"github.com/millrace-streams/millrace/internal/store/storetest"
	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/versionedstore"
)

// The formats of the tests: int64, then float64, then string.
func floatOf(v int64) float64   { return float64(v) + 0.5 }
func stringOf(v float64) string { return strconv.FormatFloat(v, 'g', -1, 64) + "!" }

var (
	intToFloat    = versionedstore.Migrate(serde.Int64, floatOf)
	floatToString = versionedstore.TryMigrate(serde.Float64, func(v float64) (string, error) { return stringOf(v), nil })
)

// numbers is a store in one of the formats, for values that are made of numbers.
type numbers interface {
	put(key string, n, at int64) (kept bool, err error)
	remove(key string, at int64) error
	get(key string, at int64) (string, error)
}

type numbersOf[V any] struct {
	versionedstore.Store[string, V]
	of func(n int64) V
}

func (s numbersOf[V]) put(key string, n, at int64) (bool, error) {
	_, kept, err := s.Put(key, s.of(n), processor.Timestamp(at))
	return kept, err
}

func (s numbersOf[V]) remove(key string, at int64) error {
	_, _, err := s.Delete(key, processor.Timestamp(at))
	return err
}

func (s numbersOf[V]) get(key string, at int64) (string, error) {
	v, ok, err := s.GetAsOf(key, processor.Timestamp(at))
	if !ok {
		return "", err
	}
	return fmt.Sprint(v.Value), err
}

// release is a version of the program: the format that it writes, and how many of the
// earlier formats it no longer reads.
type release struct{ format, gone int }

// text is how the release prints a number.
func (v release) text(n int64) string {
	return fmt.Sprint([]any{n, floatOf(n), stringOf(floatOf(n))}[v.format])
}

func (v release) open(k *storetest.Task, history time.Duration, opts []versionedstore.Option) numbers {
	opts = slices.Clone(opts)
	if v.gone > 0 {
		opts = append(opts, versionedstore.Migrated(v.gone))
	}
	opts = append(opts, []versionedstore.Option{intToFloat, floatToString}[v.gone:v.format]...)
	switch v.format {
	case 0:
		return openNumbers(k, versionedstore.New("st", serde.String, serde.Int64, history, opts...), func(n int64) int64 { return n })
	case 1:
		return openNumbers(k, versionedstore.New("st", serde.String, serde.Float64, history, opts...), floatOf)
	}
	return openNumbers(k, versionedstore.New("st", serde.String, serde.String, history, opts...), func(n int64) string { return stringOf(floatOf(n)) })
}

func openNumbers[V any](k *storetest.Task, spec versionedstore.Spec[string, V], of func(int64) V) numbers {
	return numbersOf[V]{versionedstore.Open(k.Processor(spec), spec), of}
}

// Reads as of any time equal those of a model over releases with other formats, over
// commits, aborts, restarts, crashes, lost disks and old disks.
func TestMigrationsEqualModel(t *testing.T) {
	t.Parallel()
	for name, opts := range kinds {
		for _, every := range []bool{false, true} {
			if every {
				opts = append(slices.Clone(opts), versionedstore.EveryUpdate())
			}
			t.Run(fmt.Sprintf("%s/every=%v", name, every), func(t *testing.T) {
				t.Parallel()
				seedtest.Run(t, 60, func(t *testing.T, seed uint64) {
					newMigrations(t, seed, opts).run(200)
				})
			})
		}
	}
}

// migrations runs releases one after the other, beside a model.
type migrations struct {
	t       *testing.T
	r       *rand.Rand
	k       *storetest.Task
	opts    []versionedstore.Option
	history int64
	now     int64

	release         release
	swept           int // format that all versions of some commit had, in every copy
	store           numbers
	open, committed *model
	disks           []*vfs.MemFS // of processes that had the task before
}

func newMigrations(t *testing.T, seed uint64, opts []versionedstore.Option) *migrations {
	r := rand.New(rand.NewPCG(seed, 13))
	m := &migrations{t: t, r: r, k: storetest.New(t, 0), opts: opts, history: []int64{5_000, 400_000}[r.IntN(2)]}
	m.open = &model{history: m.history, time: -1, versions: map[string][]modelVersion{}}
	m.committed = m.open.clone()
	m.k.SweepRows = 1 + r.IntN(6)
	m.k.Restart()
	m.start()
	return m
}

func (m *migrations) run(steps int) {
	for n := range steps {
		m.step(int64(n))
		for range 4 {
			key, at := keys[m.r.IntN(len(keys))], max(0, m.now+100-m.r.Int64N(m.history*2))
			m.check(key, at)
		}
	}
	for _, key := range keys {
		for _, v := range m.open.versions[key] {
			m.check(key, v.at)
		}
	}
}

func (m *migrations) check(key string, at int64) {
	m.t.Helper()
	want := m.open.get(key, at)
	if n, err := strconv.ParseInt(want, 10, 64); err == nil {
		want = m.release.text(n)
	}
	if got, err := m.store.get(key, at); err != nil || got != want {
		m.t.Fatalf("%+v: %q as of %d is %q, %v; want %q", m.release, key, at, got, err, want)
	}
}

func (m *migrations) step(n int64) {
	switch m.r.IntN(24) {
	case 0, 1, 2:
		m.k.Commit()
		m.committed = m.open.clone()
		m.noteSwept()
	case 3:
		m.reopen(m.k.Abort)
	case 4:
		m.reopen(m.k.Restart)
	case 5:
		m.reopen(m.k.LoseDisk)
	case 6:
		m.reopen(func() { m.k.Crash(m.r, m.r.IntN(101), false) })
	case 7: // Kafka has confirmed the commit, and the disk has not got it
		m.k.Begin()
		m.committed = m.open.clone()
		m.reopen(func() { m.k.Crash(m.r, m.r.IntN(101), true) })
	case 8:
		m.disks = append(m.disks, m.k.Disk())
	case 9:
		if len(m.disks) > 0 {
			disk := m.disks[m.r.IntN(len(m.disks))]
			m.reopen(func() { m.k.UseDisk(disk.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 100, RNG: m.r})) })
		}
	default:
		m.change(n)
	}
}

// change puts or deletes a version.
func (m *migrations) change(n int64) {
	m.t.Helper()
	key := keys[m.r.IntN(len(keys))]
	m.now += m.r.Int64N(2_000)
	at := max(0, m.now-m.r.Int64N(m.history)*m.r.Int64N(2))
	if m.r.IntN(4) == 0 {
		m.open.put(key, "", at)
		if err := m.store.remove(key, at); err != nil {
			m.t.Fatal(err)
		}
		return
	}
	want := m.open.put(key, fmt.Sprint(n), at)
	if kept, err := m.store.put(key, n, at); kept != want || err != nil {
		m.t.Fatalf("put %q at %d: kept %v, %v; want %v", key, at, kept, err, want)
	}
}

func (m *migrations) noteSwept() {
	if m.k.Converted > 0 {
		m.swept, m.k.Converted = max(m.swept, m.release.format), 0
	}
}

// reopen does something that ends the store, and opens it again, at times in a later
// release.
func (m *migrations) reopen(do func()) {
	do()
	m.open = m.committed.clone()
	if m.r.IntN(3) == 0 {
		m.release.format = min(m.release.format+m.r.IntN(2), 2)
	}
	m.release.gone = m.r.IntN(min(m.swept, m.release.format) + 1)
	m.start()
}

func (m *migrations) start() {
	m.k.Converted = 0
	m.store = m.release.open(m.k, time.Duration(m.history)*time.Millisecond, m.opts)
	m.noteSwept()
}

// The sweep converts a bounded number of versions in each commit. Each conversion is
// logged, and the newest version of a key is the last record that is logged.
func TestSweepOfVersions(t *testing.T) {
	t.Parallel()
	k := storetest.New(t, 0)
	s := release{}.open(k, time.Hour, nil)
	const versions = 10
	for _, key := range []string{"a", "b"} {
		for at := range int64(versions) {
			if _, err := s.put(key, at, 100+at); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := s.remove("b", 100+versions); err != nil {
		t.Fatal(err)
	}
	k.Commit()
	k.SweepRows = 6
	k.Restart()
	release{format: 1}.open(k, time.Hour, nil)
	commits := 0
	for logged := len(k.Changelog("st")); k.Again; logged = len(k.Changelog("st")) {
		k.Again = false
		k.Commit()
		commits++
		if n := len(k.Changelog("st")) - logged; n > k.SweepRows+2 {
			t.Errorf("commit %d: %d records, for %d conversions and 2 keys", commits, n, k.SweepRows)
		}
	}
	// 9 versions of a and 10 of b are in the history; then comes the newest one of a.
	if commits != 5 || k.Converted != 1 {
		t.Errorf("%d commits; says %d times that all is converted", commits, k.Converted)
	}
	last := map[string]storetest.Record{}
	converted := map[string]int{}
	for _, r := range k.Changelog("st") {
		if last[string(r.Key)] = r; r.Format == 1 {
			converted[fmt.Sprint(string(r.Key), r.Timestamp)]++
		}
	}
	if len(converted) != 2*versions {
		t.Errorf("%d versions were logged again, want %d: %v", len(converted), 2*versions, converted)
	}
	if a, b := last["a"], last["b"]; a.Format != 1 || a.Timestamp != 100+versions-1 || b.Value != nil || b.Timestamp != 100+versions {
		t.Errorf("the last records are %+v and %+v", a, b)
	}
}

// A version that cannot be converted is an error that names its key, and a program that
// does not know its format does not read it.
func TestMigrationOfVersionsFails(t *testing.T) {
	t.Parallel()
	k := storetest.New(t, 0)
	s := release{}.open(k, time.Hour, nil)
	for at := range int64(3) {
		if _, err := s.put("k", at, 100+at); err != nil {
			t.Fatal(err)
		}
	}
	k.Commit()
	failed := errors.New("cannot convert")
	spec := versionedstore.New("st", serde.String, serde.String, time.Hour, versionedstore.TryMigrate(serde.Int64, func(v int64) (string, error) {
		if v == 1 {
			return "", failed
		}
		return fmt.Sprint(v), nil
	}))
	k.Restart()
	texts := numbersOf[string]{Store: versionedstore.Open(k.Processor(spec), spec)}
	_, err := texts.get("k", 101)
	if !errors.Is(err, failed) || !strings.Contains(err.Error(), `store st: convert the row with the key "k" from format 0 to 1`) {
		t.Errorf("the version that fails: %v", err)
	}
	for at, want := range map[int64]string{100: "0", 102: "2"} {
		if got, err := texts.get("k", at); got != want || err != nil {
			t.Errorf("as of %d: %q, %v", at, got, err)
		}
	}
	k.Restart()
	release{format: 1}.open(k, time.Hour, nil)
	for range 3 {
		k.Commit()
	}
	k.Restart()
	var unknown *engine.UnknownFormatError
	if got, err := (release{}).open(k, time.Hour, nil).get("k", 101); !errors.As(err, &unknown) || unknown.Format != 1 {
		t.Errorf("the program from before reads %q, %v", got, err)
	}
}

// When the store says that all versions are converted, the changelog has each of them in
// the newest format, whatever happened to them during the sweep.
func TestEveryVersionIsLoggedAgain(t *testing.T) {
	t.Parallel()
	const history = time.Hour
	for name, change := range map[string]func(s numbers) error{
		"nothing": func(numbers) error { return nil },
		// The sweep has passed the place of the first part.
		"a version begins within a version": func(s numbers) error {
			_, err := s.put("k", 5, 150)
			return err
		},
		"the newest version ends": func(s numbers) error {
			_, err := s.put("k", 5, 300)
			return err
		},
		"a version has begun before the history": func(s numbers) error {
			_, err := s.put("z", 5, 110+history.Milliseconds())
			return err
		},
	} {
		for _, every := range []versionedstore.Option{nil, versionedstore.EveryUpdate()} {
			t.Run(fmt.Sprint(name, "/every=", every != nil), func(t *testing.T) {
				t.Parallel()
				opts := []versionedstore.Option{every}
				k := storetest.New(t, 0)
				s := release{}.open(k, history, opts)
				for n, put := range []struct {
					key string
					at  int64
				}{{"a", 100}, {"a", 110}, {"k", 100}, {"k", 200}} {
					if _, err := s.put(put.key, int64(n), put.at); err != nil {
						t.Fatal(err)
					}
				}
				k.Commit()
				k.SweepRows = 1
				k.Restart()
				s = release{format: 1}.open(k, history, opts)
				k.Commit()
				if err := change(s); err != nil {
					t.Fatal(err)
				}
				for k.Again {
					k.Again = false
					k.Commit()
				}
				k.LoseDisk()
				s = release{format: 1, gone: 1}.open(k, history, opts)
				for at, want := range map[int64]string{120: "2.5", 220: "3.5"} {
					if got, err := s.get("k", at); got != want || err != nil {
						t.Errorf("as of %d: %q, %v; want %q", at, got, err, want)
					}
				}
			})
		}
	}
}

// A disk may be from the middle of a sweep that another process, which began with what
// the changelog has, has finished. Its rows are converted as well.
func TestDiskOfAnUnfinishedSweep(t *testing.T) {
	t.Parallel()
	const history = time.Hour
	for _, every := range []versionedstore.Option{nil, versionedstore.EveryUpdate()} {
		opts := []versionedstore.Option{every}
		k := storetest.New(t, 0)
		s := release{}.open(k, history, opts)
		for n, at := range []int64{100, 200} {
			if _, err := s.put("k", int64(n), at); err != nil {
				t.Fatal(err)
			}
		}
		k.Commit()
		k.SweepRows = 1
		k.Restart()
		release{format: 1}.open(k, history, opts)
		k.Commit()
		k.Restart() // writes to the disk
		disk := k.Disk()
		k.LoseDisk()
		release{format: 1}.open(k, history, opts)
		for k.Again = true; k.Again; {
			k.Again = false
			k.Commit()
		}
		k.UseDisk(disk)
		s = release{format: 1, gone: 1}.open(k, history, opts)
		for at, want := range map[int64]string{100: "0.5", 200: "1.5"} {
			if got, err := s.get("k", at); got != want || err != nil {
				t.Errorf("every=%v: as of %d: %q, %v; want %q", every != nil, at, got, err, want)
			}
		}
	}
}
