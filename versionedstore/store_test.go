package versionedstore_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/millrace-streams/millrace/internal/seedtest"
	"github.com/millrace-streams/millrace/internal/store/storetest"
	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/versionedstore"
	"github.com/millrace-streams/millrace/versionedstore/versionedstoretest"
)

type task struct {
	*storetest.Task
	spec    versionedstore.Spec[string, string]
	store   versionedstore.Store[string, string]
	dropped int
}

func newTask(t testing.TB, spec versionedstore.Spec[string, string], memory int64) *task {
	k := &task{Task: storetest.New(t, memory), spec: spec}
	k.open()
	return k
}

func (k *task) open() {
	instance := k.Task.Open(k.spec).(processor.Store)
	k.store = versionedstore.Open(storetest.Context(instance, &k.dropped), k.spec)
}

func (k *task) Store() versionedstore.Store[string, string] { return k.store }
func (k *task) Abort()                                      { k.Task.Abort(); k.open() }
func (k *task) Restart()                                    { k.Task.Restart(); k.open() }
func (k *task) LoseDisk()                                   { k.Task.LoseDisk(); k.open() }
func (k *task) UseDisk(disk *vfs.MemFS)                     { k.Task.UseDisk(disk); k.open() }

// Crash crashes, perhaps in the middle of a commit, and returns whether that counts.
func (k *task) Crash(r *rand.Rand) (committed bool) {
	if committed = r.IntN(2) == 0; committed {
		k.Begin()
	}
	k.Task.Crash(r, r.IntN(101), committed)
	k.open()
	return committed
}
func (k *task) Dropped() int { return k.dropped }

func (k *task) Changelog() (out []string) {
	for _, r := range k.Task.Changelog(k.spec.StoreName()) {
		if r.Value == nil {
			out = append(out, fmt.Sprintf("%s@%d", r.Key, r.Timestamp))
		} else {
			out = append(out, fmt.Sprintf("%s=%s@%d", r.Key, r.Value, r.Timestamp))
		}
	}
	return out
}

// kinds are the ways to keep a store that must not differ.
var kinds = map[string][]versionedstore.Option{"persistent": nil, "in memory": {versionedstore.InMemory()}}

func TestConformance(t *testing.T) {
	t.Parallel()
	for name, kind := range kinds {
		t.Run(name, func(t *testing.T) {
			versionedstoretest.Run(t, func(t testing.TB, history time.Duration) versionedstoretest.Task {
				return newTask(t, versionedstore.New("st", serde.String, serde.String, history, kind...), 0)
			})
		})
	}
}

func TestValidate(t *testing.T) {
	t.Parallel()
	for history, want := range map[time.Duration]int{0: 4, time.Microsecond: 4, time.Second: 3} {
		spec := versionedstore.New[string, string]("", nil, nil, history)
		err := spec.(interface{ Validate() error }).Validate()
		if err == nil || len(strings.Split(err.Error(), "\n")) != want {
			t.Errorf("history %v: %v", history, err)
		}
	}
}

func TestEveryUpdateLogsAtOnce(t *testing.T) {
	t.Parallel()
	k := newTask(t, versionedstore.New("st", serde.String, serde.String, time.Minute, versionedstore.EveryUpdate()), 0)
	for _, at := range []processor.Timestamp{10, 30, 20, 30} {
		if _, _, err := k.store.Put("a", fmt.Sprint(int64(at)), at); err != nil {
			t.Fatal(err)
		}
	}
	var got []string
	for _, r := range k.Pending("st") {
		got = append(got, fmt.Sprintf("%s@%d", r.Value, r.Timestamp))
	}
	if want := []string{"10@10", "30@30", "20@20", "30@30", "30@30"}; !slices.Equal(got, want) {
		t.Errorf("logged %q, want %q", got, want)
	}
}

// model is a versioned store that keeps everything.
type model struct {
	history  int64
	time     int64
	versions map[string][]modelVersion // by time
}

type modelVersion struct {
	at    int64
	value string // "" is a deletion
}

func (m *model) put(key, value string, at int64) (kept bool) {
	m.time = max(m.time, at)
	if at < m.time-m.history {
		return false
	}
	list := m.versions[key]
	i, found := slices.BinarySearchFunc(list, at, func(v modelVersion, at int64) int { return int(v.at - at) })
	if found {
		list[i].value = value
	} else {
		m.versions[key] = slices.Insert(list, i, modelVersion{at, value})
	}
	return true
}

// get returns the value as of a time.
func (m *model) get(key string, at int64) string {
	list := m.versions[key]
	for i := len(list) - 1; i >= 0; i-- {
		if list[i].at <= at {
			if i < len(list)-1 && at < m.time-m.history {
				return ""
			}
			return list[i].value
		}
	}
	return ""
}

func (m *model) clone() *model {
	c := &model{m.history, m.time, map[string][]modelVersion{}}
	for key, list := range m.versions {
		c.versions[key] = slices.Clone(list)
	}
	return c
}

// Random puts, deletions and reads, with commits, aborts, restarts, crashes and lost
// disks, have the same results as a model that keeps everything.
func TestEqualsModel(t *testing.T) {
	t.Parallel()
	for name, opts := range kinds {
		for _, every := range []bool{false, true} {
			if every {
				opts = append(slices.Clone(opts), versionedstore.EveryUpdate())
			}
			t.Run(fmt.Sprintf("%s/every=%v", name, every), func(t *testing.T) {
				t.Parallel()
				seedtest.Run(t, 40, func(t *testing.T, seed uint64) {
					run(t, seed, opts)
				})
			})
		}
	}
}

var keys = []string{"", "a", "a\x00", "ab", "b", "\xff"}

func run(t *testing.T, seed uint64, opts []versionedstore.Option) {
	r := rand.New(rand.NewPCG(seed, 7))
	history := []int64{5_000, 100_000, 400_000}[r.IntN(3)]
	step := []int64{3, 2_000, 30_000}[r.IntN(3)]
	spec := versionedstore.New("st", serde.String, serde.String, time.Duration(history)*time.Millisecond, opts...)
	k := newTask(t, spec, []int64{0, 1}[r.IntN(2)])
	open := &model{history: history, time: -1, versions: map[string][]modelVersion{}}
	committed := open.clone()
	var old *vfs.MemFS
	now := int64(0)
	for n := range 150 {
		key := keys[r.IntN(len(keys))]
		switch r.IntN(16) {
		case 0:
			k.Commit()
			committed = open.clone()
		case 1:
			k.Abort()
			open = committed.clone()
		case 2:
			k.Restart()
			open = committed.clone()
		case 3:
			k.LoseDisk()
			open = committed.clone()
		case 4:
			if k.Crash(r) {
				committed = open.clone()
			}
			open = committed.clone()
		case 5:
			if old == nil || r.IntN(2) == 0 {
				old = k.Disk()
				break
			}
			k.UseDisk(old)
			old, open = nil, committed.clone()
		default:
			now += r.Int64N(step)
			at := max(0, now-r.Int64N(1+r.Int64N(history*3/2)))
			if r.IntN(2) == 0 {
				at = now
			}
			value := fmt.Sprint(n)
			want := open.put(key, map[bool]string{true: value}[r.IntN(3) > 0], at)
			var kept bool
			var err error
			if open.get(key, at) == value || !want && r.IntN(2) == 0 {
				_, kept, err = k.store.Put(key, value, processor.Timestamp(at))
			} else {
				_, _, err = k.store.Delete(key, processor.Timestamp(at))
				kept = want
			}
			if err != nil || kept != want {
				t.Fatalf("seed %d, step %d: put %q at %d: kept %v, want %v, %v", seed, n, key, at, kept, want, err)
			}
		}
		for range 4 {
			key, at := keys[r.IntN(len(keys))], max(0, now+100-r.Int64N(history*2))
			if r.IntN(4) == 0 {
				at = 1 << 60
			}
			v, ok, err := k.store.GetAsOf(key, processor.Timestamp(at))
			if want := open.get(key, at); err != nil || v.Value != want || ok != (want != "") {
				t.Fatalf("seed %d, step %d: %q as of %d is %+v, %v, %v; want %q", seed, n, key, at, v, ok, err, want)
			}
		}
	}
	checkNewestIsLast(t, seed, k, committed)
}

// checkNewestIsLast compacts the changelog, and expects the newest version of each key to
// be left.
func checkNewestIsLast(t *testing.T, seed uint64, k *task, m *model) {
	last := map[string]string{}
	for _, r := range k.Task.Changelog("st") {
		last[string(r.Key)] = string(r.Value)
	}
	for _, key := range keys {
		if got, want := last[key], m.get(key, 1<<60); got != want {
			t.Fatalf("seed %d: the last record of %q is %q, want %q", seed, key, got, want)
		}
	}
}
