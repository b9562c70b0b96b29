package operator

import (
	"encoding/hex"
	"testing"

	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
)

// Kafka Streams 4.3.1 writes these bytes to the changelog of a join's buffer.
func TestWaitingRecordsAreAsInKafkaStreams(t *testing.T) {
	t.Parallel()
	key, err := BufferedKeys(serde.String).Append(nil, BufferedKey[string]{At: 5, Key: "k", Seq: 1})
	if got, want := hex.EncodeToString(key), "0000000000000000056b00000001"; got != want || err != nil {
		t.Errorf("key %s, want %s, %v", got, want, err)
	}
	value, err := BufferedValues(serde.String).Append(nil, Buffered{
		Timestamp: 5, Topic: "s", Headers: processor.Headers{{Key: "h", Value: []byte("1")}}, New: Version{"a", true},
	})
	const want = "000000000000000500000000000000000000000173000000000000000100000001680000000131ffffffffffffffff00000001610000000000000000"
	if got := hex.EncodeToString(value); got != want || err != nil {
		t.Errorf("value %s, want %s, %v", got, want, err)
	}
}

func FuzzBufferedKeys(f *testing.F) {
	f.Add([]byte{0, 0, 0, 0, 0, 0, 0, 0, 5, 'k', 0, 0, 0, 1})
	keys := BufferedKeys(serde.String)
	f.Fuzz(func(t *testing.T, data []byte) {
		key, err := keys.Decode(data)
		if err != nil {
			return
		}
		if again, err := keys.Append(nil, key); err != nil || string(again) != string(data) {
			t.Errorf("%x was decoded as %+v, and encoded as %x, %v", data, key, again, err)
		}
	})
}
