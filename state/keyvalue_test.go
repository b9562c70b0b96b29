package state_test

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/millrace-streams/millrace/internal/seedtest"
	"github.com/millrace-streams/millrace/internal/store/storetest"
	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/state"
	"github.com/millrace-streams/millrace/state/statetest"
)

// text is a serde of strings that counts its encodings and refuses "bad".
type text struct{ encoded *int }

var errBad = errors.New("bad has no encoding")

func (s text) Append(dst []byte, v string) ([]byte, error) {
	if s.encoded != nil {
		*s.encoded++
	}
	switch v {
	case "bad":
		return nil, errBad
	case "panic":
		panic("boom")
	}
	return append(dst, v...), nil
}

func (text) Decode(data []byte) (string, error) { return string(data), nil }

type task struct {
	*storetest.Task
	spec  state.Spec[string, string]
	store state.KeyValueStore[string, string]
}

func newTask(t testing.TB, spec state.Spec[string, string]) *task {
	k := &task{Task: storetest.New(t, 0), spec: spec}
	k.open()
	return k
}

func (k *task) open() { k.store = state.Open(k.Task.Processor(k.spec), k.spec) }

func (k *task) Store() state.KeyValueStore[string, string] { return k.store }
func (k *task) SetNow(at processor.Timestamp)              { k.Task.SetNow(int64(at)) }
func (k *task) Abort()                                     { k.Task.Abort(); k.open() }
func (k *task) Restart()                                   { k.Task.Restart(); k.open() }
func (k *task) LoseDisk()                                  { k.Task.LoseDisk(); k.open() }

func (k *task) Changelog() []string { return format(k.Task.Changelog(k.spec.StoreName())) }

func format(records []storetest.Record) []string {
	var s []string
	for _, r := range records {
		if r.Value == nil {
			s = append(s, fmt.Sprintf("%s@%d", r.Key, r.Timestamp))
		} else {
			s = append(s, fmt.Sprintf("%s=%s@%d", r.Key, r.Value, r.Timestamp))
		}
	}
	return s
}

// kinds are the kinds of store, which must all behave the same.
var kinds = map[string][]state.Option{"persistent": nil, "in memory": {state.InMemory()}}

func TestConformance(t *testing.T) {
	t.Parallel()
	for name, opts := range kinds {
		t.Run(name, func(t *testing.T) {
			statetest.Run(t, func(t testing.TB) statetest.Task {
				return newTask(t, state.KeyValue("st", text{}, text{}, opts...))
			})
		})
	}
}

func TestEveryUpdateLogsAtOnce(t *testing.T) {
	t.Parallel()
	k := newTask(t, state.KeyValue("st", text{}, text{}, state.EveryUpdate()))
	for _, v := range []string{"1", "2", "3"} {
		if err := k.store.Put("a", v); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, err := k.store.Delete("b"); err != nil {
		t.Fatal(err)
	}
	want := []string{"a=1@0", "a=2@0", "a=3@0", "b@0"}
	if got := format(k.Pending("st")); !slices.Equal(got, want) {
		t.Errorf("logged before the commit: %q, want %q", got, want)
	}
	k.Commit()
	if got := k.Changelog(); !slices.Equal(got, want) {
		t.Errorf("logged after the commit: %q, want %q", got, want)
	}
	k.LoseDisk()
	if v, _, _ := k.store.Get("a"); v != "3" {
		t.Errorf("restored %q", v)
	}
}

func TestValueIsEncodedOncePerCommit(t *testing.T) {
	t.Parallel()
	n := 0
	k := newTask(t, state.KeyValue("st", text{}, text{&n}))
	for i := range 100 {
		if err := k.store.Put("a", fmt.Sprint(i)); err != nil {
			t.Fatal(err)
		}
	}
	k.Commit()
	if n != 1 {
		t.Errorf("value was encoded %d times", n)
	}
}

func TestWithoutChangelog(t *testing.T) {
	t.Parallel()
	k := newTask(t, state.KeyValue("st", text{}, text{}, state.WithoutChangelog()))
	if err := k.store.Put("a", "1"); err != nil {
		t.Fatal(err)
	}
	k.Commit()
	k.Restart()
	if v, _, _ := k.store.Get("a"); v != "1" || len(k.Changelog()) != 0 {
		t.Errorf("after a restart %q, changelog %q", v, k.Changelog())
	}
	k.LoseDisk()
	if v, ok, _ := k.store.Get("a"); ok {
		t.Errorf("after a lost disk %q", v)
	}
}

// nullable is a serde with an absent value.
type nullable struct{}

func (nullable) Append(dst []byte, v *string) ([]byte, error) { return append(dst, *v...), nil }
func (nullable) Absent(v *string) bool                        { return v == nil }
func (nullable) Decode(data []byte) (*string, error) {
	s := string(data)
	return &s, nil
}

func TestAbsentValueDeletes(t *testing.T) {
	t.Parallel()
	spec := state.KeyValue("st", nullable{}, nullable{})
	k := storetest.New(t, 0)
	s := state.Open(k.Processor(spec), spec)
	a := "a"
	for _, v := range []*string{&a, nil} {
		if err := s.Put(&a, v); err != nil {
			t.Fatal(err)
		}
		if _, ok, _ := s.Get(&a); ok != (v != nil) {
			t.Errorf("after Put(%v) there is a value: %v", v, ok)
		}
	}
	if err := s.Put(nil, &a); err == nil {
		t.Error("an absent key was taken")
	}
	if _, _, err := s.Get(nil); err == nil {
		t.Error("an absent key was looked up")
	}
}

// host has another name than Context, so that it can be embedded beside the method
// Context.
type host = processor.Host[string, string]

// metadata is the part of a processor's context that Open needs.
type metadata struct {
	host
	store processor.Store
	err   error
}

// context returns the context of a processor that has m.
func (m metadata) context() processor.Context[string, string] {
	return processor.NewContext[string, string](m)
}

func (m metadata) Store(string) (processor.Store, error) { return m.store, m.err }
func (m metadata) Metadata() processor.Metadata {
	return processor.Metadata{Topic: "in", Partition: 3, Offset: 42}
}

// An error at the commit names the record that made the change.
func TestEncodeErrorNamesTheRecord(t *testing.T) {
	t.Parallel()
	for _, value := range []string{"bad", "panic"} {
		spec := state.KeyValue("st", text{}, text{})
		k := storetest.New(t, 0)
		raw := k.Open(spec)
		s := state.Open(metadata{store: raw.(processor.Store)}.context(), spec)
		if err := s.Put("a", value); err != nil {
			t.Fatal(err)
		}
		b := k.DB.NewBatch()
		table, err := k.DB.Table("st", true)
		if err != nil {
			t.Fatal(err)
		}
		err = raw.Flush(b.Table(table))
		if err == nil || !strings.Contains(err.Error(), "store st") || !strings.Contains(err.Error(), "in/3@42") {
			t.Errorf("Flush of %q: %v", value, err)
		}
		b.Close()
	}
}

// If a value cannot be logged at once, the row stays unchanged. A processor that skips
// the error therefore commits the earlier value.
func TestFailedPutChangesNothing(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{"bad", "panic"} {
		spec := state.KeyValue("st", text{}, text{}, state.EveryUpdate())
		k := storetest.New(t, 0)
		store := func() state.KeyValueStore[string, string] {
			return state.Open(metadata{store: k.Open(spec).(processor.Store)}.context(), spec)
		}
		s := store()
		for _, key := range []string{"old", "dirty"} {
			if err := s.Put(key, "1"); err != nil {
				t.Fatal(err)
			}
		}
		k.Commit()
		k.Restart() // so that nothing is in memory
		s = store()
		if err := s.Put("dirty", "2"); err != nil {
			t.Fatal(err)
		}
		for _, key := range []string{"old", "dirty", "new"} {
			if err := s.Put(key, bad); err == nil {
				t.Errorf("Put(%q, %q) succeeded", key, bad)
			}
		}
		want := map[string]string{"old": "1", "dirty": "2"}
		for _, when := range []string{"before", "after"} {
			for _, key := range []string{"old", "dirty", "new"} {
				if v, ok, err := s.Get(key); err != nil || v != want[key] || ok != (want[key] != "") {
					t.Errorf("%s the commit %s is %q, %v, %v", when, key, v, ok, err)
				}
			}
			k.Commit()
		}
		if rows := k.Rows("st"); len(rows) != 2 {
			t.Errorf("committed %q", rows)
		}
	}
}

func TestOpenOfAnotherStorePanicsWithAnError(t *testing.T) {
	t.Parallel()
	k := newTask(t, state.KeyValue("st", text{}, text{}))
	for name, open := range map[string]func(){
		"not attached": func() {
			state.Open(metadata{err: errors.New("node n was not given the store")}.context(), k.spec)
		},
		"other types": func() {
			state.Open(metadata{store: k.store}.context(), state.KeyValue("st", text{}, nullable{}))
		},
	} {
		func() {
			defer func() {
				if err, ok := recover().(error); !ok || !strings.Contains(err.Error(), "st") {
					t.Errorf("%s: panicked with %v", name, err)
				}
			}()
			open()
		}()
	}
}

func TestValidate(t *testing.T) {
	t.Parallel()
	spec := state.KeyValue[string, string]("", nil, nil)
	err := spec.(interface{ Validate() error }).Validate()
	if err == nil || len(strings.Split(err.Error(), "\n")) != 3 {
		t.Errorf("Validate: %v", err)
	}
}

// Random operations, commits, aborts, crashes and restores have the same results as on a
// sorted map.
func TestEqualsModel(t *testing.T) {
	t.Parallel()
	for name, opts := range kinds {
		for _, every := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/every=%v", name, every), func(t *testing.T) {
				t.Parallel()
				seedtest.Run(t, 6, func(t *testing.T, seed uint64) {
					runModel(t, seed, every, opts)
				})
			})
		}
	}
}

func runModel(t *testing.T, seed uint64, every bool, opts []state.Option) {
	r := rand.New(rand.NewPCG(seed, 3))
	k := newTask(t, state.KeyValue("st", text{}, text{}, opts...))
	k.EveryUpdate = every
	k.Abort()
	committed, begun, live := map[string]string{}, map[string]string{}, map[string]string{}
	back := func() {
		live = maps.Clone(committed)
		k.open()
	}
	for i := range 1500 {
		key := fmt.Sprintf("%x", r.IntN(200))
		switch n := r.IntN(1000); {
		case n < 500:
			v := fmt.Sprint(seed, "-", i)
			if err := k.store.Put(key, v); err != nil {
				t.Fatal(err)
			}
			live[key] = v
		case n < 650:
			old, had, err := k.store.Delete(key)
			if want, ok := live[key]; err != nil || had != ok || old != want {
				t.Fatalf("seed %d step %d: Delete(%s) = %q, %v, %v; want %q, %v", seed, i, key, old, had, err, want, ok)
			}
			delete(live, key)
		case n < 850:
			v, ok, err := k.store.Get(key)
			if want, had := live[key]; err != nil || ok != had || v != want {
				t.Fatalf("seed %d step %d: Get(%s) = %q, %v, %v; want %q, %v", seed, i, key, v, ok, err, want, had)
			}
		case n < 900:
			compareRange(t, r, k.store, live)
		case n < 960:
			if !k.Begun() {
				k.Begin()
				begun = maps.Clone(live)
			} else {
				k.Finish()
				committed = begun
			}
		case n < 970:
			k.Task.Abort()
			back()
		case n < 980:
			k.Task.Restart()
			back()
		case n < 990:
			confirmed := k.Begun() && r.IntN(2) == 0
			if confirmed {
				committed = begun
			}
			k.Task.Crash(r, r.IntN(101), confirmed)
			back()
		case n < 993:
			k.Task.LoseDisk()
			back()
		default:
			if k.Begun() {
				k.Finish()
				committed = begun
			}
		}
	}
	compareRange(t, r, k.store, live)
}

func compareRange(t *testing.T, r *rand.Rand, s state.KeyValueStore[string, string], live map[string]string) {
	t.Helper()
	from, to := fmt.Sprintf("%x", r.IntN(200)), fmt.Sprintf("%x", r.IntN(200))
	rows, reverse := s.Range(from, to), r.IntN(2) == 0
	if reverse {
		rows = s.ReverseRange(from, to)
	}
	in := func(k string) bool { return k >= from && k <= to }
	if r.IntN(3) == 0 {
		rows, reverse, in = s.All(), false, func(string) bool { return true }
	}
	var want []string
	for _, k := range slices.Sorted(maps.Keys(live)) {
		if in(k) {
			want = append(want, k+"="+live[k])
		}
	}
	if reverse {
		slices.Reverse(want)
	}
	var got []string
	for e, err := range rows {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, e.Key+"="+e.Value)
	}
	if !slices.Equal(got, want) {
		t.Fatalf("range %s..%s reverse=%v:\n got %q\nwant %q", from, to, reverse, got, want)
	}
}
