package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"github.com/millrace-streams/millrace/serde"
)

// ErrForeignRow is in the chain of errors about a changelog record that the store cannot
// have written.
var ErrForeignRow = errors.New("this store cannot have written the record: the changelog belongs to another store, or to an earlier version of this one with other keys")

// CheckKey returns an [ErrForeignRow] if the key of a changelog record cannot be one of
// the store, or if the key serde cannot read it. It decodes the key, so the runtime calls
// it for some records only: if a changelog belongs to another store, all its records do.
func (s *Spec) CheckKey(changelogKey []byte) error {
	key, err := s.Kind.logged(s, changelogKey)
	if err != nil || s.readable == nil {
		return err
	}
	return s.readable(key)
}

// readable returns an [ErrForeignRow] if the serde cannot read a key.
func readable[K any](keys serde.Serde[K], key []byte) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("%w: its key %q made %s panic: %v", ErrForeignRow, key, serde.Name(keys), v)
		}
	}()
	if _, err := keys.Decode(key); err != nil {
		return fmt.Errorf("%w: its key %q cannot be decoded by %s: %w", ErrForeignRow, key, serde.Name(keys), err)
	}
	return nil
}

// loggedRow is Kind.logged of the kinds whose changelog keys are the store's keys.
func loggedRow(_ *Spec, changelogKey []byte) ([]byte, error) { return changelogKey, nil }

// loggedWindow is Kind.logged of window stores. Where a window store has the sequence
// number, which is 0 unless the store keeps duplicates, the changelog keys of a key-value
// store have other bytes.
func loggedWindow(s *Spec, changelogKey []byte) ([]byte, error) {
	n := len(changelogKey) - windowSuffix
	if n < 0 {
		return nil, fmt.Errorf("%w: its key has %d bytes, fewer than the %d of a window's start and number", ErrForeignRow, len(changelogKey), windowSuffix)
	}
	start := int64(binary.BigEndian.Uint64(changelogKey[n:]))
	seq := binary.BigEndian.Uint32(changelogKey[n+windowStart:])
	switch {
	case start < 0:
		return nil, fmt.Errorf("%w: its key %q has the negative window start %d ms", ErrForeignRow, changelogKey, start)
	case seq > math.MaxInt32, seq != 0 && !s.Duplicates:
		return nil, fmt.Errorf("%w: its key %q has the unexpected sequence number %d", ErrForeignRow, changelogKey, seq)
	}
	return changelogKey[:n], nil
}
