package engine

// Env is what a store may use of its task.
type Env struct {
	Table  *Table  // the store's slice of the committed state
	Budget *Budget // counts the bytes that the store holds in memory

	// Now returns the timestamp (ms) that a write gets unless it says another: the
	// current record's, or the punctuation's.
	Now func() int64

	// Log sends one record to the changelog, within the open transaction. nil without a
	// changelog. key and value must not change afterwards. origin is the last record that
	// changed the row; the error names it if the changelog does not take the row.
	Log func(key, value []byte, timestamp int64, origin *Origin) error

	// EveryUpdate: log each update at once instead of once per dirty key at Flush.
	EveryUpdate bool

	// StreamTime returns the task's stream time in ms, -1 before the first record.
	StreamTime func() int64

	// Again asks for another commit soon after this one, even if no record comes: the
	// store has work that did not fit into this one.
	Again func()

	// Converted says that all rows of the store have the newest format of its values. It
	// is called when the last of them are committed, with the number of rows that were
	// converted since the store was opened, and now = true. With now = false, there are
	// no rows, or the last ones were committed before the store was opened. It may be
	// nil, as may Again.
	Converted func(rows int64, now bool)

	// Time is the cell of the store's own stream time (ms, -1 at first); it is committed
	// with the offsets.
	Time *int64

	// Kept is the cell of the smallest time that a row can have in a store whose rows
	// expire (ms, -1 at first). It is committed with the offsets. The store that is
	// opened next may keep rows for longer, and must know which ones are gone. It may be
	// nil.
	Kept *int64

	// TimesLost says that the times committed with the offsets are missing, or may be
	// older than the rows: a tool has set an offset. The rows then say how far time had
	// come.
	TimesLost bool
}

// AskAgain calls Again, if there is one.
func (e *Env) AskAgain() {
	if e.Again != nil {
		e.Again()
	}
}

// converted calls Converted.
func (e *Env) converted(rows int64, now bool) {
	if e.Converted != nil {
		e.Converted(rows, now)
	}
}

// Expirer is a store that deletes rows when they have expired.
type Expirer interface {
	// Expire sets Env.Kept to the smallest time that a row can have after the next Flush.
	// It is called before the times of the commit are collected, and before Flush.
	Expire()
}

// Store is a store's instance in a task, as the runtime sees it. It lives from one Open
// to the next abort or to the end of the task. Reads see what was written before,
// committed or not.
type Store interface {
	StoreName() string

	// Flush logs what has changed since the last Flush, one record per dirty key, and
	// adds it to b. The changes stay visible; they belong to the generation that is being
	// committed until Committed is called. New writes start the next generation. At most
	// one generation is being committed at a time.
	Flush(b *TableBatch) error

	// Committed says that b has been applied: entries of that generation may now be
	// evicted.
	Committed()

	// Trim lets go of what is only kept to be fast, if the process holds more than it may
	// and the task more than its part. It is for tasks that do nothing: others make room
	// as they go.
	Trim()

	Close() error
}
