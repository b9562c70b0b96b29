package operator

import (
	"github.com/millrace-streams/millrace/internal/engine"
	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
)

// A table whose rows have a time to live (TTL) deletes each row when stream time reaches
// the row's timestamp plus the TTL.
//
// The operator never sees a row that has expired: enter deletes the row of a record
// before the record is handled. Results do therefore not depend on the times of commits.
// Other rows are deleted at the commit or, if every update is sent, with the next record
// of the table. A deletion has the time at which its row has expired as its timestamp,
// and no headers.

// keepLifetimes prepares the rows for a TTL, if the store has one. Call it before
// start, once they do not move any more.
func (t *rows[K, R, A]) keepLifetimes(keys serde.Serde[K]) {
	if t.lives = t.cells.Lifetimes(); t.lives == nil {
		return
	}
	t.lives.TakeOver()
	t.deletable()
	t.expireOne = t.expireRow
	t.decode = func(data []byte) (K, error) { return decodeKey(keys, data) }
}

// enter is called for each record of a table. If handled is true, the record changes
// nothing: its own life is over, or failure says that the task has failed.
func (t *rows[K, R, A]) enter(row []byte, key K, at processor.Timestamp) (handled bool, failure error) {
	if t.lives == nil {
		return false, nil
	}
	return t.enterMortal(row, key, at)
}

// enterMortal is enter of rows with a TTL.
func (t *rows[K, R, A]) enterMortal(row []byte, key K, at processor.Timestamp) (handled bool, failure error) {
	if t.lives.Expired(int64(at)) {
		t.drop(expiredRow)
		return true, nil
	}
	if t.everyUpdate {
		if failure := t.expire(); failure != nil {
			return true, failure
		}
	}
	cell, err := t.cells.Load(row, key)
	switch {
	case err != nil:
		return true, t.broken(err)
	case cell.Present && t.lives.Expired(cell.Timestamp):
		failure := t.expireRow(cell)
		return failure != nil, failure
	}
	return false, nil
}

// expire deletes rows that have expired.
func (t *rows[K, R, A]) expire() error {
	failure, err := t.cells.Expire(t.decode, t.expireOne)
	if err != nil {
		return t.broken(err)
	}
	return failure
}

// expireRow deletes a row that has expired.
func (t *rows[K, R, A]) expireRow(cell *engine.Cell[K, A]) error {
	var none A
	at := processor.Timestamp(t.lives.End(cell.Timestamp))
	if err := t.set(cell, none, false, at, cause{timestamp: at}); err != nil {
		return t.broken(err)
	}
	return t.emit()
}

// flushExpired is flush of rows with a TTL.
func (t *rows[K, R, A]) flushExpired() error {
	if err := t.expire(); err != nil || t.everyUpdate {
		return err
	}
	return t.flush()
}
