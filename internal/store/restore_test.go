package store

import (
	"bytes"
	"testing"
	"time"

	"github.com/millrace-streams/millrace/internal/engine"
)

// The records of a changelog are untrusted input, with their headers and timestamps. Each
// kind of store takes a record or refuses it, and has the row of a record that it took.
func FuzzRestore(f *testing.F) {
	f.Add(uint8(0), []byte("k"), []byte("v"), int64(5), []byte{})
	f.Add(uint8(1), AppendWindowKey(nil, []byte("a"), 5, 0), []byte("v"), int64(5), []byte{})
	f.Add(uint8(2), NewSessionLayout(10).AppendKey(nil, []byte("a"), 5, 7)[SegmentBytes:], []byte("v"), int64(-1), []byte{})
	f.Add(uint8(3), []byte("k"), []byte("v"), int64(5), []byte{1})
	f.Add(uint8(4), []byte("k"), []byte("v"), int64(1)<<62, []byte{})
	f.Add(uint8(4), []byte("k"), []byte{}, int64(5), []byte{})
	shared := engine.NewShared(0)
	f.Cleanup(shared.Close)
	f.Fuzz(func(t *testing.T, kind uint8, key, value []byte, at int64, header []byte) {
		s := &Spec{Name: "s", Kind: kinds[int(kind)%len(kinds)], WindowSize: time.Minute, Retention: time.Hour}
		row := engine.Stored{Value: value, Timestamp: at}
		if len(value) == 0 {
			row.Value = nil // a deletion
		}
		if len(header) > 0 {
			var err error
			if row.Format, err = ParseFormat(header); err != nil {
				return
			}
		}
		if got := restored(t, shared, s, key, row); row.Value != nil && got != nil && !bytes.Equal(got, value) {
			t.Fatalf("%s: %x became %x", s.Kind, value, got)
		}
	})
}

// restored restores a record into an empty table, and returns the value of its row. It
// returns nil if the store refuses the record.
func restored(t *testing.T, shared *engine.Shared, s *Spec, key []byte, row engine.Stored) (value []byte) {
	db, err := engine.Open(engine.Options{Shared: shared})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}()
	table, err := db.Table(s.Name, false)
	if err != nil {
		t.Fatal(err)
	}
	b := db.NewBatch()
	defer b.Close()
	if err := s.Restore(b.Table(table), key, row); err != nil {
		return nil
	}
	if err := db.Apply(b); err != nil {
		t.Fatal(err)
	}
	rows, err := table.Scan(nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for ; rows.Next(); n++ {
		value = bytes.Clone(rows.Value())
	}
	if err := rows.Close(); err != nil {
		t.Fatal(err)
	}
	if n > 1 || row.Value != nil && n == 0 {
		t.Fatalf("%s: the record of key %x has made %d rows", s.Kind, key, n)
	}
	return value
}

// The local key of an earlier version can be split into its parts, and lies within the
// bounds of reads. Other bytes make no panic.
func FuzzPastLayout(f *testing.F) {
	f.Add([]byte("a"), int64(5), int64(60_000), []byte("short"))
	f.Add([]byte{}, int64(1)<<62, int64(1), []byte("\x00\x00\x00\x00\x00\x00\x00\x01key\x00\x00\x00\x00\x00\x00\x00\x09"))
	f.Fuzz(func(t *testing.T, key []byte, end, interval int64, other []byte) {
		if k, e, ok := SplitPast(other); ok {
			again := append(append(bytes.Clone(other[:SegmentBytes]), k...), NewPastLayout(1).AppendKey(nil, nil, e)[SegmentBytes:]...)
			if !bytes.Equal(again, other) {
				t.Fatalf("%x became %x", other, again)
			}
		}
		if end < 1 || interval < 1 {
			return
		}
		l := NewPastLayout(interval)
		local := l.AppendKey(nil, key, end)
		if k, e, ok := SplitPast(local); !ok || !bytes.Equal(k, key) || e != end {
			t.Fatalf("SplitPast = %x, %d, %v", k, e, ok)
		}
		segment, _ := l.Segments(end, end)
		if lower, upper := l.KeyBounds(segment, key, end-1); bytes.Compare(local, lower) < 0 || bytes.Compare(local, upper) >= 0 {
			t.Fatalf("%x is not in %x..%x", local, lower, upper)
		}
	})
}
