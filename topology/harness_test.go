package topology

import (
	"fmt"
	"testing"

	"github.com/millrace-streams/millrace/internal/graph/graphtest"
	"github.com/millrace-streams/millrace/serde"
)

// run builds the topology and starts it without a task around it.
func run(tb testing.TB, b *Builder, opts ...graphtest.Option) *graphtest.Task {
	tb.Helper()
	topo, err := b.Build()
	if err != nil {
		tb.Fatal(err)
	}
	return graphtest.Start(tb, topo.g, opts...)
}

// text is a serde that shows what it writes.
type text[T any] struct{}

func (text[T]) Append(dst []byte, v T) ([]byte, error) { return fmt.Append(dst, v), nil }
func (text[T]) Decode(data []byte) (v T, err error) {
	_, err = fmt.Sscan(string(data), &v)
	return v, err
}

var _ serde.Serde[int64] = text[int64]{}
