package broker

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// FuzzLog: whatever the file contains, the last batch is inside the file.
func FuzzLog(f *testing.F) {
	b := kmsg.RecordBatch{Magic: 2, Attributes: 1 << 4, ProducerID: 7, ProducerEpoch: 3}
	b.Length = int32(len(b.AppendTo(nil)) - 12)
	whole := b.AppendTo(nil)
	f.Add(whole)
	f.Add(append(whole, whole[:20]...))
	f.Add([]byte("something else, long enough for the beginning of a batch, but it is none"))
	f.Fuzz(func(t *testing.T, data []byte) {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "0.dat"), data, 0o600); err != nil {
			t.Fatal(err)
		}
		l, err := openLog(dir)
		if err != nil {
			t.Fatal(err)
		}
		if l.at < 0 || l.size < 0 || l.at+l.size > int64(len(data)) {
			t.Errorf("the last batch is at %d+%d of %d bytes", l.at, l.size, len(data))
		}
		if _, err := l.endsWith(7, 3); err != nil {
			t.Log(err)
		}
	})
}

func TestTopicOf(t *testing.T) {
	t.Parallel()
	for dir, want := range map[string]struct {
		topic     string
		partition int32
	}{"/x/in-0": {"in", 0}, "/x/a-b-12": {"a-b", 12}, "/x/a%2Fb-3": {"a/b", 3}} {
		if topic, partition, err := topicOf(dir); err != nil || topic != want.topic || partition != want.partition {
			t.Errorf("%s is of %s, %d (%v)", dir, topic, partition, err)
		}
	}
	for _, dir := range []string{"/x/in", "/x/in-", "/x/in-x", "/x/12"} {
		if topic, partition, err := topicOf(dir); err == nil {
			t.Errorf("%s is of %s, %d", dir, topic, partition)
		}
	}
}

func TestEntry(t *testing.T) {
	t.Parallel()
	want := entry{producer: 1 << 62, epoch: 7, groups: 12345, pids: 678}
	b := want.encode()
	if got, ok := decode(b); !ok || got != want {
		t.Errorf("decoded is %+v (%v)", got, ok)
	}
	for i := range b {
		torn := append([]byte(nil), b[:i]...)
		if _, ok := decode(torn); ok {
			t.Errorf("%d bytes are an entry", i)
		}
		b[i] ^= 1
		if _, ok := decode(b); ok {
			t.Errorf("with another byte %d it is an entry", i)
		}
		b[i] ^= 1
	}
}
