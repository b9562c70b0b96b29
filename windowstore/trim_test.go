package windowstore_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/millrace-streams/millrace/internal/seedtest"
	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/windowstore"
)

const (
	trimSize      = 10 * time.Second
	trimRetention = 5 * time.Minute
)

func trimTask(t testing.TB, opts ...windowstore.Option) *task {
	return newTask(t, windowstore.New("st", serde.String, serde.String, trimSize, trimRetention, opts...))
}

func (k *task) put(t testing.TB, key, value string, start time.Duration) {
	t.Helper()
	if err := k.store.Put(key, value, processor.Timestamp(start.Milliseconds())); err != nil {
		t.Fatal(err)
	}
}

// The records of a segment may be trimmed when a committed batch has removed the segment.
func TestTrimFollowsExpiry(t *testing.T) {
	t.Parallel()
	for name, kind := range kinds {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := trimTask(t, kind...)
			trim := func(want int64, when string) {
				t.Helper()
				if got := k.TrimChangelog("st"); got != want {
					t.Errorf("%s the changelog begins at %d, want %d", when, got, want)
				}
			}
			k.put(t, "a", "1", 0)
			k.put(t, "b", "1", 0)
			k.Commit()
			trim(0, "at first")
			k.put(t, "a", "1", 3*time.Minute) // segments of 2.5 minutes
			k.Commit()
			k.put(t, "a", "1", 8*time.Minute)
			k.Begin()
			trim(0, "before the commit")
			k.Finish()
			trim(2, "when the first segment has expired")
			k.put(t, "a", "1", 20*time.Minute)
			k.Commit()
			trim(4, "when all but the last have expired")
			k.Restart()
			trim(4, "after a restart")
		})
	}
}

// A deletion counts like a row. An old disk that has the row must read the deletion, or
// find out that its position lies before the start of the changelog.
func TestTrimKeepsDeletions(t *testing.T) {
	t.Parallel()
	k := trimTask(t)
	k.put(t, "a", "1", 8*time.Minute)
	k.Commit()
	if err := k.store.Delete("a", processor.Timestamp((8 * time.Minute).Milliseconds())); err != nil {
		t.Fatal(err)
	}
	k.Commit()
	if got := k.TrimChangelog("st"); got != 0 {
		t.Errorf("the changelog begins at %d", got)
	}
}

// Whatever was trimmed, and with whichever disk a task starts, it has the rows of the
// model.
func TestTrimIsInvisible(t *testing.T) {
	t.Parallel()
	seedtest.Run(t, 60, func(t *testing.T, seed uint64) {
		for name, kind := range kinds {
			newTrimModel(t, seed, kind).run(200)
			if t.Failed() {
				t.Fatalf("a store that is %s", name)
			}
		}
	})
}

// trimModel makes the same random changes to a store and to a map.
type trimModel struct {
	*task
	t     *testing.T
	rng   *rand.Rand
	time  time.Duration // of the store
	rows  map[string]string
	saved map[string]string // as of the last commit
	at    time.Duration     // as of the last commit
	disks []*vfs.MemFS
}

func newTrimModel(t *testing.T, seed uint64, kind []windowstore.Option) *trimModel {
	return &trimModel{task: trimTask(t, kind...), t: t, rng: rand.New(rand.NewPCG(seed, 0)), rows: map[string]string{}, saved: map[string]string{}}
}

func (m *trimModel) run(steps int) {
	m.commit()
	for range steps {
		switch m.rng.IntN(12) {
		case 0, 1:
			m.commit()
		case 2:
			m.commit()
			m.TrimChangelog("st")
		case 3:
			m.commit()
			m.CompactChangelog("st")
		case 4:
			m.disks = append(m.disks, m.Disk())
		case 5:
			m.comeBack()
		default:
			m.change()
		}
	}
	m.commit()
	m.TrimChangelog("st")
	m.LoseDisk()
	m.check("in the end")
}

// change puts or deletes a window. Sometimes it moves time forward by much.
func (m *trimModel) change() {
	ahead := time.Duration(m.rng.IntN(60)) * time.Second
	if m.rng.IntN(20) == 0 {
		ahead = time.Duration(m.rng.IntN(20)) * time.Minute
	}
	start := max(m.time+ahead-time.Duration(m.rng.IntN(360))*time.Second, 0).Truncate(trimSize)
	key, value := fmt.Sprint("k", m.rng.IntN(5)), fmt.Sprint(m.rng.IntN(1000))
	m.time = max(m.time, start)
	row := m.row(key, start)
	if m.rng.IntN(4) == 0 {
		delete(m.rows, row)
		if err := m.store.Delete(key, processor.Timestamp(start.Milliseconds())); err != nil {
			m.t.Fatal(err)
		}
		return
	}
	m.rows[row] = value
	m.put(m.t, key, value, start)
}

func (m *trimModel) row(key string, start time.Duration) string {
	return fmt.Sprintf("%s/%d", key, start.Milliseconds())
}

func (m *trimModel) commit() {
	m.Commit()
	m.saved, m.at = map[string]string{}, m.time
	for row, value := range m.rows {
		m.saved[row] = value
	}
}

// comeBack starts the task without a disk, or with an earlier disk.
func (m *trimModel) comeBack() {
	if len(m.disks) > 0 && m.rng.IntN(2) == 0 {
		i := m.rng.IntN(len(m.disks))
		m.Task.UseDisk(m.disks[i])
		m.disks = append(m.disks[:i], m.disks[i+1:]...)
		m.open()
	} else {
		m.LoseDisk()
	}
	m.rows, m.time = map[string]string{}, m.at
	for row, value := range m.saved {
		m.rows[row] = value
	}
	m.check("after coming back")
}

func (m *trimModel) check(when string) {
	m.t.Helper()
	want := 0
	for row := range m.rows {
		var key string
		var start int64
		if _, err := fmt.Sscanf(row, "k%1s/%d", &key, &start); err != nil {
			m.t.Fatal(err)
		}
		if start > m.time.Milliseconds()-trimRetention.Milliseconds() {
			want++
		}
	}
	got := 0
	for e, err := range m.store.All() {
		if err != nil {
			m.t.Fatal(err)
		}
		got++
		if value := m.rows[m.row(e.Key, time.Duration(e.Start)*time.Millisecond)]; value != e.Value {
			m.t.Errorf("%s: %s in the window from %d is %s, want %q", when, e.Key, e.Start, e.Value, value)
		}
	}
	if got != want {
		m.t.Errorf("%s: %d rows, want %d", when, got, want)
	}
}
