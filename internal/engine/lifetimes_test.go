package engine

import (
	"fmt"
	"testing"
)

// mortals are cells with a TTL, with a stream time that the test sets.
type mortals struct {
	*cellTask
	*Cells[string, int64]
	now     int64
	again   int
	expired []string
}

func newMortals(t *testing.T, k *cellTask, ttl int64) *mortals {
	m := &mortals{cellTask: k, now: -1}
	env := k.env()
	env.StreamTime, env.Again = func() int64 { return m.now }, func() { m.again++ }
	lives, err := NewLifetimes(env, ttl)
	check(t, err)
	m.Cells = NewCells(CellsConfig[string, int64]{Store: "st", Env: env, Value: number{}})
	m.SetLifetimes(lives)
	t.Cleanup(m.Cells.Close)
	return m
}

// expire deletes what has expired, and commits.
func (m *mortals) expire(t *testing.T) {
	t.Helper()
	decode := func(data []byte) (string, error) { return string(data), nil }
	failure, err := m.Expire(decode, func(cell *Cell[string, int64]) error {
		m.expired = append(m.expired, fmt.Sprintf("%s@%d", cell.Key, cell.Timestamp))
		return m.Set(cell, 0, false, m.now, Origin{})
	})
	check(t, failure)
	check(t, err)
	m.commit(t, m.Cells)
}

func rowsIn(t *testing.T, table *Table) (n int) {
	t.Helper()
	rows, err := table.Scan(nil, nil)
	check(t, err)
	for rows.Next() {
		n++
	}
	check(t, rows.Close())
	return n
}

// A row that changes at every commit has few entries on disk and in memory, however long
// it lives. When the row expires, no entry stays.
func TestLifetimesOfABusyRow(t *testing.T) {
	t.Parallel()
	for _, persistent := range []bool{true, false} {
		k := newCellTask(t, 0, persistent)
		m := newMortals(t, k, 1000)
		for now := range int64(5000) {
			m.now = now
			set(t, m.Cells, "busy", now)
			m.expire(t)
			l := m.Lifetimes()
			if disk, memory := rowsIn(t, k.table.Past()), l.near.Len()+l.fresh.Len()+l.flushed.Len(); disk > lifetimeSegments+4 || memory > 4 {
				t.Fatalf("after %d changes, %d entries on disk and %d in memory", now, disk, memory)
			}
		}
		m.now = 5999
		m.expire(t)
		m.now = 9000
		m.expire(t)
		if len(m.expired) != 1 || m.expired[0] != "busy@4999" {
			t.Errorf("expired: %q", m.expired)
		}
		if n := rowsIn(t, k.table.Past()); n > 1 {
			t.Errorf("%d entries are left", n)
		}
	}
}

// Memory has the entries of the segment that expires next, and not those of all rows.
func TestLifetimesInMemory(t *testing.T) {
	t.Parallel()
	k := newCellTask(t, 0, true)
	m := newMortals(t, k, 64_000)
	const rows = 6400
	for i := range int64(rows) {
		m.now = i * 10
		set(t, m.Cells, fmt.Sprintf("%04d", i), m.now)
	}
	m.expire(t)
	for m.now = 64_000; m.now <= 128_000; m.now += 100 {
		m.expire(t)
		if n := m.Lifetimes().near.Len(); n > 2*rows/lifetimeSegments {
			t.Fatalf("at %d, %d entries are in memory", m.now, n)
		}
	}
	if len(m.expired) != rows {
		t.Errorf("%d rows have expired, want %d", len(m.expired), rows)
	}
	for i, row := range m.expired {
		if want := fmt.Sprintf("%04d@%d", i, i*10); row != want {
			t.Fatalf("row %d to expire was %s, want %s", i, row, want)
		}
	}
}

// If many rows expire at once, a commit takes a part of them, and asks for another one.
func TestLifetimesOfManyRowsAtOnce(t *testing.T) {
	t.Parallel()
	k := newCellTask(t, 0, true)
	m := newMortals(t, k, 100)
	const rows = 2*expireAtOnce + 5
	for i := range rows {
		m.now = int64(i % 90)
		set(t, m.Cells, fmt.Sprint(i), m.now)
	}
	m.commit(t, m.Cells)
	m.now = 1_000_000
	for i, want := range []int{expireAtOnce, 2 * expireAtOnce, rows} {
		m.expire(t)
		if len(m.expired) != want || m.again != min(i+1, 2) {
			t.Fatalf("commit %d: %d rows have expired, and %d commits were asked for; want %d rows", i+1, len(m.expired), m.again, want)
		}
	}
	if n := rowsIn(t, k.table); n != 0 {
		t.Errorf("%d rows are left", n)
	}
}

// If a store gets a TTL, another one, or none, its index is made anew or goes.
func TestLifetimesOfAnEarlierVersion(t *testing.T) {
	t.Parallel()
	for _, persistent := range []bool{true, false} {
		k := newCellTask(t, 0, persistent)
		c := numbers(t, k)
		const rows = indexAtOnce + 10
		for i := range int64(rows) {
			set(t, c, fmt.Sprint(i), i)
		}
		k.commit(t, c)
		for _, step := range []struct{ ttl, interval int64 }{{6400, 100}, {6400, 100}, {64, 1}, {0, 0}, {0, 0}, {128, 2}} {
			check(t, k.table.IndexLifetimes(step.ttl))
			want := rows
			if step.ttl == 0 {
				want = 0
			}
			if got, interval := rowsIn(t, k.table.Past()), k.table.pastInterval(); got != want || interval != step.interval {
				t.Errorf("TTL %d: %d entries with the interval %d, want %d with %d", step.ttl, got, interval, want, step.interval)
			}
		}
		check(t, k.db.Wipe(k.table, "", "test"))
		if n := rowsIn(t, k.table.Past()); n != 0 {
			t.Errorf("%d entries after a wipe", n)
		}
	}
}

// A row that was renewed has an entry with an earlier time, of the same segment of the
// index or of one before. The row stays at that time, and expires at its own.
func TestLifetimesOfARenewedRow(t *testing.T) {
	t.Parallel()
	for i := range 8 {
		commitBetween, commitBefore, renewed := i&1 > 0, i&2 > 0, []int64{50, 250}[i>>2]
		k := newCellTask(t, 0, true)
		m := newMortals(t, k, 100*lifetimeSegments)
		m.KeepOld()
		m.now = 10
		set(t, m.Cells, "a", 10)
		if commitBetween {
			m.commit(t, m.Cells)
		}
		m.now = renewed
		set(t, m.Cells, "a", renewed)
		if commitBefore {
			m.commit(t, m.Cells)
		}
		for _, step := range []struct {
			now  int64
			want int
		}{{20 + 6400, 0}, {renewed - 1 + 6400, 0}, {renewed + 6400, 1}} {
			m.now = step.now
			if m.expire(t); len(m.expired) != step.want {
				t.Errorf("commits %t, %t: at %d, %q has expired, want %d rows", commitBetween, commitBefore, step.now, m.expired, step.want)
			}
		}
	}
}

// Two rows lie in one segment of the index. If only one of them has expired, the other
// one expires at its own time, whether or not its entry is still in memory.
func TestLifetimesOfAPartOfASegment(t *testing.T) {
	t.Parallel()
	for _, commitBefore := range []bool{false, true} {
		for _, restart := range []bool{false, true} {
			k := newCellTask(t, 0, true)
			m := newMortals(t, k, 100*lifetimeSegments)
			m.now = 150
			set(t, m.Cells, "a", 110)
			set(t, m.Cells, "b", 150)
			if commitBefore {
				m.commit(t, m.Cells)
			}
			m.now = 120 + 6400
			m.expire(t)
			expired := m.expired
			if restart {
				m.Close()
				m = newMortals(t, k, 100*lifetimeSegments)
			}
			m.expired, m.now = expired, 150+6400
			m.expire(t)
			if got, want := fmt.Sprint(m.expired), "[a@110 b@150]"; got != want {
				t.Errorf("commit before %t, restart %t: %s have expired, want %s", commitBefore, restart, got, want)
			}
		}
	}
}
