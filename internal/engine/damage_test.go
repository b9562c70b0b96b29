package engine

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// A damaged file never ends the process. A read finds the rows that were written, or
// returns an error that names the file and says what to do.
func TestDamagedFile(t *testing.T) {
	t.Parallel()
	shared := newShared(t)
	whole := vfs.NewMem()
	d := openDB(t, shared, whole)
	tb := table(t, d, "counts", true)
	b := d.NewBatch()
	for i := range 2000 {
		check(t, b.Table(tb).Set(fmt.Appendf(nil, "key-%d", i*7919), 1, []byte("value")))
	}
	check(t, d.Apply(b))
	want := rows(t, tb)
	b.Close()
	check(t, d.Close())

	name := tableFile(t, whole, d.o.Dir)
	content := readFile(t, whole, name)
	refused := 0
	const places = 40
	for i := range places {
		fs := vfs.NewMem()
		if ok, err := vfs.Clone(whole, fs, d.o.Dir, d.o.Dir); !ok || err != nil {
			t.Fatal(ok, err)
		}
		changed := slices.Clone(content)
		at := i * len(content) / places
		changed[at] ^= 0x55
		writeFile(t, fs, name, changed)
		got, err := readRows(t, shared, fs)
		switch {
		case err == nil && maps.Equal(got, want):
		case err == nil:
			t.Errorf("byte %d: other rows, and no error", at)
		case !strings.Contains(err.Error(), d.o.Dir) || !strings.Contains(err.Error(), "remove"):
			t.Errorf("byte %d: %v", at, err)
		default:
			refused++
		}
	}
	if refused == 0 {
		t.Error("no damage was found")
	}
}

// readRows opens a database and reads its only table.
func readRows(t *testing.T, shared *Shared, fs vfs.FS) (map[string]string, error) {
	d := openDB(t, shared, fs)
	defer d.Abandon()
	tb, err := d.Table("counts", true)
	if err != nil {
		return nil, err
	}
	it, err := tb.Scan(nil, nil)
	if err != nil {
		return nil, err
	}
	got := map[string]string{}
	for it.Next() {
		got[string(it.Key())] = fmt.Sprintf("%s@%d", it.Value(), it.Timestamp())
	}
	return got, it.Close()
}

// tableFile returns the name of the only table in a directory.
func tableFile(t *testing.T, fs vfs.FS, dir string) string {
	names, err := fs.List(dir)
	check(t, err)
	for _, name := range names {
		if strings.HasSuffix(name, ".sst") {
			return fs.PathJoin(dir, name)
		}
	}
	t.Fatalf("no table in %v", names)
	return ""
}

func readFile(t *testing.T, fs vfs.FS, name string) []byte {
	f, err := fs.Open(name)
	check(t, err)
	defer f.Close()
	content, err := io.ReadAll(f)
	check(t, err)
	return content
}

func writeFile(t *testing.T, fs vfs.FS, name string, content []byte) {
	f, err := fs.Create(name, vfs.WriteCategoryUnspecified)
	check(t, err)
	_, err = f.Write(content)
	check(t, err)
	check(t, f.Close())
}
