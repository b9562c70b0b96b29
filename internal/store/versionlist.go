package store

import (
	"bytes"
	"cmp"
	"slices"

	"github.com/millrace-streams/millrace/internal/engine"
)

// ListedVersion is a version in the list of [ListVersions].
type ListedVersion[K, V any] struct {
	Key       K
	Value     V
	From, End int64 // End is NoEnd for a version that has not ended
}

// ListVersions returns all versions of a store that a read as of some time finds, in
// order of the encoded keys and then of time. It reads the whole store: it is for tests.
func ListVersions[K, V any](s *Versions[K, V]) (all []ListedVersion[K, V], err error) {
	var found []rawVersion
	err = s.past.each(func(key []byte, v version) {
		// A row without a duration only says that the key was deleted. A version that has
		// ended before the history begins is not found, although its row may still exist.
		if v.from != v.end && v.end > s.Live() {
			found = append(found, rawVersion{bytes.Clone(key), v})
		}
	})
	if err != nil {
		return nil, err
	}
	for row, err := range s.core.cells.Range(nil, nil, false) {
		if err != nil {
			return nil, err
		}
		value, err := s.encode(row.Value, engine.Origin{})
		if err != nil {
			return nil, err
		}
		found = append(found, rawVersion{bytes.Clone(row.KeyBytes), version{row.Timestamp, NoEnd, value}})
	}
	slices.SortFunc(found, func(a, b rawVersion) int {
		return cmp.Or(bytes.Compare(a.key, b.key), cmp.Compare(a.from, b.from))
	})
	for _, f := range found {
		listed := ListedVersion[K, V]{From: f.from, End: f.end}
		if listed.Key, err = s.core.Decode(f.key); err != nil {
			return nil, err
		}
		if listed.Value, err = s.value(f.key, f.version); err != nil {
			return nil, err
		}
		all = append(all, listed)
	}
	return all, nil
}

// rawVersion is a version with the encoding of its key.
type rawVersion struct {
	key []byte
	version
}

func (h *history) each(f func(key []byte, v version)) error {
	for row, err := range h.rows.Range(nil, nil, false) {
		if err != nil {
			return err
		}
		if key, end, ok := SplitPast(row.KeyBytes); ok {
			f(key, version{row.Timestamp, end, row.Value})
		}
	}
	return nil
}
