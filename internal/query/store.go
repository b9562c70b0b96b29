package query

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"

	"github.com/millrace-streams/millrace/internal/engine"
	"github.com/millrace-streams/millrace/internal/store"
	"github.com/millrace-streams/millrace/serde"
)

// ErrNotHere is in the chain of errors about partitions that this process does not hold,
// or has not restored yet.
var ErrNotHere = errors.New("not held by this process")

// Held are the partitions of a store that this process holds. Any goroutine may call the
// methods.
type Held interface {
	// Readable returns the partitions that can be read, in ascending order.
	Readable() []int32
	// Snapshot returns the committed state of a partition, which the caller closes. If
	// the partition cannot be read, [ErrNotHere] is in the error's chain.
	Snapshot(partition int32) (*engine.Snapshot, error)
}

// Store is a store with all its partitions.
type Store struct {
	Spec       *store.Spec
	Partitions int32
	// ByKey says that each row is in the partition where Kafka's default partitioner puts
	// its key. Otherwise any partition may have it.
	ByKey bool
	Held  Held
}

// Row is a row of a store. Key is as queries write it: with the window start, if the
// store has windows.
type Row struct {
	Key, Value []byte
	Timestamp  int64 // of the last write, in ms
	Partition  int32
}

// Get returns the row with a key, and whether there is one. hashed are the bytes that the
// default partitioner hashes for it. The row belongs to the caller.
//
// If several partitions have the key, that is an error. If none of those that this
// process holds has it and others might, the error is [ErrNotHere].
func (s *Store) Get(ctx context.Context, hashed, key []byte) (Row, bool, error) {
	return s.find(hashed, func(p int32) (Row, bool, error) {
		return s.in(ctx, p, func(q *reading) (Row, bool, error) { return q.get(key) })
	})
}

// find returns the row that get finds in one of the partitions that may have it.
func (s *Store) find(hashed []byte, get func(partition int32) (Row, bool, error)) (Row, bool, error) {
	var found *Row
	var missing error
	for _, p := range s.candidates(hashed) {
		row, ok, err := get(p)
		switch {
		case errors.Is(err, ErrNotHere):
			missing = err
		case err != nil:
			return Row{}, false, err
		case ok && found != nil:
			return Row{}, false, fmt.Errorf("partitions %d and %d both have the key: read both rows with Range or Windows", found.Partition, p)
		case ok:
			found = &row
		}
	}
	if found == nil {
		return Row{}, false, missing
	}
	return *found, true, nil
}

// in reads a row in one partition.
func (s *Store) in(ctx context.Context, partition int32, get func(*reading) (Row, bool, error)) (Row, bool, error) {
	if err := ctx.Err(); err != nil {
		return Row{}, false, err
	}
	snapshot, err := s.Held.Snapshot(partition)
	if err != nil {
		return Row{}, false, notHere(partition, err)
	}
	defer snapshot.Close()
	r := &reading{ctx: ctx, snapshot: snapshot, spec: s.Spec, partition: partition}
	row, ok, err := get(r)
	return row, ok, notHere(partition, err)
}

// Rows yields the rows of a range, in the order that the package describes. A row is
// valid until the next one. An error ends the loop; so does the end of ctx, with its
// error.
//
//   - Windows of one key are read where [Store.Get] looks for the key. If a partition
//     that might have some is not held here, the loop ends with [ErrNotHere], after the
//     rows of the others.
//   - Other ranges cover the partitions that this process holds when the loop begins.
func (s *Store) Rows(ctx context.Context, r Range) iter.Seq2[Row, error] {
	return func(yield func(Row, error) bool) {
		if err := r.check(s.Spec); err != nil {
			yield(Row{}, err)
			return
		}
		partitions, missing := s.partitions(&r)
		n := 0
		for _, p := range partitions {
			for row, err := range s.rowsIn(ctx, p, &r) {
				if n++; !yield(row, err) || err != nil || n == r.Limit {
					return
				}
			}
		}
		if missing != nil {
			yield(Row{}, missing)
		}
	}
}

// rowsIn yields the rows of a range in one partition.
func (s *Store) rowsIn(ctx context.Context, partition int32, r *Range) iter.Seq2[Row, error] {
	return func(yield func(Row, error) bool) {
		snapshot, err := s.Held.Snapshot(partition)
		if err != nil {
			yield(Row{}, notHere(partition, err))
			return
		}
		defer snapshot.Close()
		read := &reading{ctx: ctx, snapshot: snapshot, spec: s.Spec, partition: partition, reverse: r.Reverse}
		for row, err := range read.rows(r) {
			if !yield(row, notHere(partition, err)) {
				return
			}
		}
	}
}

// partitions returns the partitions to read for a range, in order. missing is the error
// about one that might have rows of the range and is not among them; nil if there is
// none.
func (s *Store) partitions(r *Range) (partitions []int32, missing error) {
	switch {
	case r.Windows == nil || r.Windows.Key == nil:
		partitions = s.Held.Readable()
	case s.ByKey:
		return s.candidates(r.Windows.Key), nil
	default:
		if partitions = s.Held.Readable(); int32(len(partitions)) < s.Partitions {
			missing = fmt.Errorf("%d of %d partitions: %w", s.Partitions-int32(len(partitions)), s.Partitions, ErrNotHere)
		}
	}
	if r.Reverse {
		slices.Reverse(partitions)
	}
	return partitions, missing
}

// candidates returns the partitions that may have a row, in order.
func (s *Store) candidates(hashed []byte) []int32 {
	if s.ByKey {
		return []int32{serde.Partition(hashed, s.Partitions)}
	}
	partitions := make([]int32, s.Partitions)
	for i := range partitions {
		partitions[i] = int32(i)
	}
	return partitions
}

// notHere is the error about a partition whose database was closed during the query.
func notHere(partition int32, err error) error {
	if errors.Is(err, engine.ErrClosed) {
		return fmt.Errorf("partition %d has just moved away: %w", partition, ErrNotHere)
	}
	return err
}
