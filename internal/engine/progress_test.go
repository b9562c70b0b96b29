package engine

import (
	"reflect"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

var someProgress = Progress{
	Inputs: []InputProgress{
		{Topic: "in", Partition: 3, TopicID: [16]byte{1}, Offset: 42, Metadata: "AgAB"},
		{Topic: "other", Partition: 3, Offset: -1},
	},
	Changelogs: []ChangelogProgress{{Topic: "app-counts-changelog", TopicID: [16]byte{2}, Position: 7}},
}

// The progress is committed and dropped together with its batch.
func TestProgressIsOnDisk(t *testing.T) {
	t.Parallel()
	shared, fs := newShared(t), vfs.NewMem()
	d := openDB(t, shared, fs)
	tb := table(t, d, "counts", true)
	if _, ok, err := d.Progress(); ok || err != nil {
		t.Fatalf("a new database has a progress: %v, %v", ok, err)
	}
	b := d.NewBatch()
	check(t, b.Table(tb).Set([]byte("k"), 1, []byte("v")))
	b.SetProgress(&someProgress)
	if _, ok, _ := d.Progress(); ok {
		t.Fatal("the progress is there before the batch was applied")
	}
	check(t, d.Apply(b))
	check(t, d.Close())

	d = openDB(t, shared, fs)
	defer d.Close()
	table(t, d, "counts", true)
	got, ok, err := d.Progress()
	check(t, err)
	if !ok || !reflect.DeepEqual(got, someProgress) {
		t.Errorf("got %+v, %v", got, ok)
	}
}

// A task without tables on disk keeps nothing beyond the process, and so no offset
// either.
func TestProgressOfStateInMemory(t *testing.T) {
	t.Parallel()
	d := openDB(t, newShared(t), vfs.NewMem())
	defer d.Close()
	table(t, d, "counts", false)
	b := d.NewBatch()
	b.SetProgress(&someProgress)
	check(t, d.Apply(b))
	if _, ok, err := d.Progress(); ok || err != nil {
		t.Errorf("got %v, %v", ok, err)
	}
}

func FuzzProgress(f *testing.F) {
	f.Add(someProgress.append(nil))
	f.Add([]byte{progressVersion, 0, 0, 0, 0, 0, 0, 0, 0})
	f.Add([]byte{progressVersion, 0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, src []byte) {
		p, err := decodeProgress(src)
		if err != nil {
			return
		}
		if again := p.append(nil); string(again) != string(src) || len(again) != p.size() {
			t.Errorf("%x became %x", src, again)
		}
	})
}
