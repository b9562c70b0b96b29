package engine

import (
	"encoding/binary"
	"errors"
)

// HoldsUnlogged reports whether the database in o.Dir has a row of a store that never had
// the changelog. Such a row has no other copy. The database must not be open. If the
// directory is empty or missing, nothing is created.
func HoldsUnlogged(o Options, store, changelog string) (holds bool, err error) {
	d, err := Open(o)
	if err != nil {
		return false, err
	}
	if files, err := d.o.FS.List(o.Dir); err != nil || len(files) == 0 {
		return false, nil
	}
	defer func() { err = errors.Join(err, d.close(false)) }()
	if err := d.openPebble(); err != nil {
		return false, err
	}
	id, known := d.ids[store]
	if _, logged := d.positions[changelog]; !known || logged {
		return false, nil
	}
	rows, err := pebbleIterator(store, database(d), binary.BigEndian.AppendUint32(nil, id), nil, nil)
	if err != nil {
		return false, err
	}
	holds = rows.Next()
	return holds, rows.Close()
}
