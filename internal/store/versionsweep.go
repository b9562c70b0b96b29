package store

import (
	"github.com/millrace-streams/millrace/internal/engine"
)

// A versioned store converts the versions in its history, some in each commit, and then
// the newest versions, as all stores do: see engine.Cells. A converted version is logged,
// and the newest version of its key once more after it.
//
// While the history is swept, no row of an earlier format comes to it: a version that
// leaves the newest ones is encoded and logged again, and one that gives a part of its
// time to another is converted. One pass is therefore enough.

// beginSweep begins to convert versions of earlier formats, if there may be some.
func (s *Versions[K, V]) beginSweep() {
	switch m := s.core.spec.Migrations; {
	case !m.Converts():
	case s.core.env.Table.Swept() >= m.Newest():
		s.core.cells.BeginSweep(0)
	default:
		s.sweeps = true
		s.core.env.AskAgain()
	}
}

// sweep converts the next versions of the history. swept says that these were the last
// ones.
func (s *Versions[K, V]) sweep(b *engine.TableBatch) (swept bool, err error) {
	if !s.sweeps {
		return false, nil
	}
	done, err := s.past.sweep(b.SweepPart(), s.core.spec.Migrations.Newest(), func(key []byte, v version) error {
		cell, err := s.cell(key)
		if err == nil {
			_, err = s.convert(cell, v)
		}
		return err
	})
	if err != nil {
		return false, err
	}
	s.sweeps = !done
	if !done {
		s.core.env.AskAgain()
	}
	return done, nil
}

// converts reports whether there may be versions of earlier formats.
func (s *Versions[K, V]) converts() bool { return s.sweeps || s.core.cells.Sweeps() }

// cell returns the cell of the newest version of a key.
func (s *Versions[K, V]) cell(keyBytes []byte) (*engine.Cell[K, V], error) {
	key, err := s.core.Decode(keyBytes)
	if err != nil {
		return nil, err
	}
	return s.core.cells.Load(keyBytes, key)
}

// convert writes a version of the history in the newest format, and logs it, if it has an
// earlier one. It returns the version. cell is that of its key.
func (s *Versions[K, V]) convert(cell *engine.Cell[K, V], v version) (version, error) {
	now, err := s.current(cell.KeyBytes(), v)
	if err != nil || now.value.Format == v.value.Format {
		return now, err
	}
	s.swept++
	logged := loggedVersion{key: string(cell.KeyBytes()), value: now.value, at: now.from}
	if err := s.past.set(logged.key, now); err != nil {
		return now, err
	}
	return now, s.logEarlier(cell, logged)
}

// writeRepeats writes the newest versions that were logged once more, in the format in
// which they were logged. A process that restores the log finds nothing to convert in
// them, so it does not log them again. A disk that has read the log so far must therefore
// have them in that format too.
func (s *Versions[K, V]) writeRepeats(b *engine.TableBatch) error {
	for _, key := range s.repeats {
		cell, err := s.cell([]byte(key))
		if err != nil {
			return err
		}
		if cell.Changed() || !cell.Present { // the flush of the cells writes it
			continue
		}
		value, err := s.encode(cell.Value, engine.Origin{})
		if err != nil {
			return err
		}
		if err := b.Put([]byte(key), engine.Stored{Value: value.Data, Timestamp: cell.Timestamp, Format: value.Format}); err != nil {
			return err
		}
	}
	s.repeats = s.repeats[:0]
	return nil
}

// current returns a version with its value in the newest format, unless the store is that
// of a replay.
func (s *Versions[K, V]) current(key []byte, v version) (version, error) {
	spec := s.core.spec
	if s.replays || v.value.Format == spec.Migrations.Newest() {
		return v, nil
	}
	data, err := spec.Current(key, engine.Stored{Value: v.value.Data, Timestamp: v.from, Format: v.value.Format})
	v.value = engine.Undecoded{Data: data, Format: spec.Migrations.Newest()}
	return v, err
}

// value returns the value of a version.
func (s *Versions[K, V]) value(key []byte, v version) (value V, err error) {
	if v, err = s.current(key, v); err != nil {
		return value, err
	}
	return s.core.DecodeValue(v.value.Data)
}
