package engine

import (
	"bytes"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// A row that can be split is the one that put writes.
func FuzzSplitRow(f *testing.F) {
	f.Add([]byte("row"))
	f.Add([]byte("\x00\x00\x00\x00\x00\x00\x00\x01value"))
	f.Add([]byte("\x80\x00\x00\x00\x00\x00\x00\x01\x01value"))
	f.Add([]byte("\x80\x00\x00\x00\x00\x00\x00\x01"))
	f.Fuzz(func(t *testing.T, row []byte) {
		s, err := splitRow(row)
		marked := len(row) > 0 && row[0]&0x80 != 0
		if valid := len(row) >= 8 && (!marked || len(row) > 8 && row[8] != 0); (err == nil) != valid {
			t.Fatalf("%x: %+v, %v", row, s, err)
		}
		if err != nil {
			return
		}
		again := make([]byte, s.size())
		s.put(again)
		if !bytes.Equal(again, row) || s.Timestamp < 0 || (s.Format != 0) != marked {
			t.Fatalf("%x: %+v, %x", row, s, again)
		}
	})
}

// Versions of the library that know no formats refuse a database with a format, and open
// every other one.
func TestVersionOfFormats(t *testing.T) {
	t.Parallel()
	for format, want := range map[uint8]uint64{0: formatVersion, 3: formattedVersion} {
		fs := vfs.NewMem()
		for reopened := range 2 {
			d, err := Open(Options{Dir: "state", FS: fs, Shared: newShared(t)})
			check(t, err)
			table, err := d.Table("t", true)
			check(t, err)
			if reopened == 0 {
				b := d.NewBatch()
				check(t, b.Table(table).Put([]byte("k"), Stored{Value: []byte("v"), Timestamp: 5, Format: format}))
				check(t, d.Apply(b))
			}
			got, ok, err := table.Get([]byte("k"))
			if d.version != want || string(got.Value) != "v" || got.Timestamp != 5 || got.Format != format || !ok || err != nil {
				t.Errorf("format %d: version %d, row %+v, %v, %v", format, d.version, got, ok, err)
			}
			check(t, d.Close())
		}
	}
}

func TestPrefixEnd(t *testing.T) {
	t.Parallel()
	for prefix, want := range map[string]string{"a": "b", "a\xff": "b", "a\xffb": "a\xffc", "\xff\xff": "", "": ""} {
		if got := PrefixEnd([]byte(prefix)); string(got) != want || want == "" && got != nil {
			t.Errorf("PrefixEnd(%q) = %q, want %q", prefix, got, want)
		}
	}
}
