package worker

import (
	"sync"
	"unsafe"

	"github.com/twmb/franz-go/pkg/kgo"
)

// recycled keeps slices whose elements are no longer used, up to a number of bytes. The
// slices of fetched records take as much memory as the records themselves. Used again,
// they are neither cleared by the allocator nor counted as garbage. Several goroutines
// may use it.
//
// A sync.Pool would keep all slices that are idle until the garbage collector has run
// twice, and so double the memory of the input.
type recycled[T any] struct {
	most int64 // bytes

	mu    sync.Mutex
	free  [][]T
	bytes int64
}

// take returns an empty slice with room for n elements. A slice that is too small is left
// to the garbage collector, so that the sizes follow those of the fetches.
func (r *recycled[T]) take(n int) []T {
	r.mu.Lock()
	defer r.mu.Unlock()
	if last := len(r.free) - 1; last >= 0 {
		s := r.free[last]
		r.free[last] = nil
		r.free = r.free[:last]
		r.bytes -= sliceBytes(s)
		if cap(s) >= n {
			return s
		}
	}
	return make([]T, 0, n)
}

// give takes a slice back. Its elements must be zero, because they would keep in memory
// what they point to.
func (r *recycled[T]) give(s []T) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if n := sliceBytes(s); r.bytes+n <= r.most {
		r.free = append(r.free, s[:0])
		r.bytes += n
	}
}

func sliceBytes[T any](s []T) int64 {
	var element T
	return int64(cap(s)) * int64(unsafe.Sizeof(element))
}

// recordPool is a [kgo.PoolRecords]. The client takes a slice for each batch that it
// reads, and gives it back when all of its records have been recycled.
type recordPool struct{ recycled[kgo.Record] }

// GetRecords implements kgo.PoolRecords.
func (p *recordPool) GetRecords(n int) []kgo.Record { return p.take(n) }

// PutRecords implements kgo.PoolRecords. The client has cleared the records.
func (p *recordPool) PutRecords(records []kgo.Record) { p.give(records) }
