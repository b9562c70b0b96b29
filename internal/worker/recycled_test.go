package worker

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
)

func TestRecycled(t *testing.T) {
	t.Parallel()
	r := recycled[int64]{most: 100 * 8}
	first := r.take(60)
	r.give(append(first, 1))
	if again := r.take(50); len(again) != 0 || cap(again) != 60 {
		t.Errorf("len %d and cap %d, want the slice with room for 60", len(again), cap(again))
	}
	r.give(make([]int64, 60))
	r.give(make([]int64, 60)) // beyond the bound
	if len(r.free) != 1 || r.bytes != 60*8 {
		t.Errorf("%d slices with %d bytes are kept, want 1 with 480", len(r.free), r.bytes)
	}
	if s := r.take(61); cap(s) < 61 {
		t.Errorf("cap %d for 61 elements", cap(s))
	}
	if r.bytes != 0 || len(r.free) != 0 {
		t.Errorf("%d bytes are counted in %d slices after all were taken", r.bytes, len(r.free))
	}
}

// The records of a fetch are copied before the client gets them back.
func TestBatchOutlivesTheFetch(t *testing.T) {
	t.Parallel()
	f := &Fetcher{}
	records := []*kgo.Record{{Key: []byte("k"), Value: []byte("v"), Offset: 7, Headers: []kgo.RecordHeader{{Key: "h", Value: []byte("w")}}}}
	b := batchOf(&Feed{fetcher: f}, records, 8)
	*records[0] = kgo.Record{}
	in := b.inputs[0]
	if string(in.Key) != "k" || string(in.Value) != "v" || in.Offset != 7 || in.Headers[0].Key != "h" || string(in.Headers[0].Value) != "w" {
		t.Errorf("the input is %+v after the fetch was cleared", in)
	}
}
