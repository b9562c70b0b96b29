package batchsize

import (
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// The client's encoding of a record has the size that Of returns, and never more than
// Bound in any batch.
func TestSizes(t *testing.T) {
	t.Parallel()
	bytes := func(n int) []byte {
		if n < 0 {
			return nil
		}
		return make([]byte, n)
	}
	for _, n := range []int{-1, 0, 1, 40, 60, 63, 64, 200, 8191, 8192, 1 << 20} {
		for _, header := range []int{-1, 0, 63, 64, 10_000} {
			key, value := bytes(n%100), bytes(n)
			var headers []kgo.RecordHeader
			for i := range (header + 2) % 70 {
				headers = append(headers, kgo.RecordHeader{Key: strings.Repeat("h", i), Value: bytes(header)})
			}
			if got, want := Of(key, value, headers), Overhead+encoded(key, value, headers, 0, 0); got != want {
				t.Errorf("value of %d bytes, headers of %d: a batch of %d bytes, want %d", n, header, got, want)
			}
			if got, last := Bound(key, value, headers), encoded(key, value, headers, 1<<62, 1<<30); got < last {
				t.Errorf("value of %d bytes, headers of %d: %d bytes at most, but it has %d", n, header, got, last)
			}
		}
	}
}

// encoded returns the size of a record at a distance from the first record of its batch.
func encoded(key, value []byte, headers []kgo.RecordHeader, ms int64, offset int32) int {
	r := kmsg.Record{TimestampDelta64: ms, OffsetDelta: offset, Key: key, Value: value}
	for _, h := range headers {
		r.Headers = append(r.Headers, kmsg.Header{Key: h.Key, Value: h.Value})
	}
	r.Length = int32(len(r.AppendTo(nil)) - 1) // the length itself is one byte, being 0
	return len(r.AppendTo(nil))
}
