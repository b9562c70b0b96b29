package rows

import "github.com/millrace-streams/millrace/batch/internal/wire"

// Consumer takes the rows that one counting task has of a batch, in order of the bytes of
// their keys.
type Consumer[K, V any] struct {
	Begin func()
	Row   func(b wire.Span, r *Lazy[K, V]) error
	End   func(b wire.Span) error
}

// Scan says how a consumer takes its rows.
type Scan int

const (
	// Sending sends each row on. After a crash, the scan continues where it was.
	Sending Scan = iota
	// Selecting selects rows in memory, and sends them at the end. After a crash, the
	// scan starts again.
	Selecting
)

// Source is a place where the rows of a result can be had in the counting tasks.
type Source[K, V any] struct {
	children []func(how Scan, ctx wire.Context) *Consumer[K, V]
}

// Add adds a consumer. child makes it for a task, or returns nil if it takes no rows in
// scans of this kind.
func (s *Source[K, V]) Add(child func(how Scan, ctx wire.Context) *Consumer[K, V]) {
	s.children = append(s.children, child)
}

// Instance returns the consumers for one kind of scan as one consumer, nil if there are
// none.
func (s *Source[K, V]) Instance(how Scan, ctx wire.Context) *Consumer[K, V] {
	var all []*Consumer[K, V]
	for _, child := range s.children {
		if c := child(how, ctx); c != nil {
			all = append(all, c)
		}
	}
	if len(all) < 2 {
		return append(all, nil)[0]
	}
	return together(all)
}

func together[K, V any](all []*Consumer[K, V]) *Consumer[K, V] {
	return &Consumer[K, V]{
		Begin: func() {
			for _, c := range all {
				c.Begin()
			}
		},
		Row: func(b wire.Span, r *Lazy[K, V]) error {
			for _, c := range all {
				if err := c.Row(b, r); err != nil {
					return err
				}
			}
			return nil
		},
		End: func(b wire.Span) error {
			for _, c := range all {
				if err := c.End(b); err != nil {
					return err
				}
			}
			return nil
		},
	}
}

// Convert returns the rows that f makes of the rows of s. A row keeps its key. f returns
// the new value, and whether to keep the row.
func Convert[K, V, V2 any](s *Source[K, V], f func(Row[K, V]) (V2, bool)) *Source[K, V2] {
	behind := &Source[K, V2]{}
	s.Add(func(how Scan, ctx wire.Context) *Consumer[K, V] {
		next := behind.Instance(how, ctx)
		if next == nil {
			return nil
		}
		var out Lazy[K, V2] // used again for each row
		return &Consumer[K, V]{Begin: next.Begin, End: next.End, Row: func(b wire.Span, r *Lazy[K, V]) error {
			seen, err := r.Get()
			if err != nil {
				return err
			}
			value, ok := f(seen)
			if !ok {
				return nil
			}
			out = Lazy[K, V2]{KeyBytes: r.KeyBytes, Value: value, keys: r.keys, key: r.key, decoded: true}
			return next.Row(b, &out)
		}}
	})
	return behind
}
