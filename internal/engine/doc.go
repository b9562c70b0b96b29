// Package engine keeps the state of a task: one database per task ([DB]), the tables of
// its stores in it ([Table]), the atomic commit ([Batch]), and the typed overlay of the
// changes since the last commit ([Cells]).
//
// # The way of a write
//
// A store's writes go to its Cells. At a commit, Store.Flush encodes each changed row
// once, passes it to the changelog, and adds it to the task's Batch. When Kafka has
// confirmed the transaction, the Batch is applied (DB.Apply) and Store.Committed is
// called. After an abort the stores are discarded and opened again. A table therefore has
// exactly the state of some confirmed commit: it may be old, but it is never ahead and
// never torn.
//
// A restore writes many rows. It collects them in a Batch that adds them to the database
// in the order of their keys ([DB.NewBulk]).
//
// # Formats of values
//
// A store whose values were migrated has rows of several formats. [Cells] converts a row
// when it reads it. Each Flush also writes some rows of earlier formats in the newest one
// (see sweep), until all have it.
//
// # Layout of the database
//
// Keys begin with a 4-byte big-endian table ID. If its highest bit is set, the row
// belongs to the past of the table ([Table.Past]): earlier versions of rows, or the index
// of a store whose rows have a time to live ([Lifetimes]). ID 0 holds the metadata:
//
//	'f'         the format
//	'n'+name    the table's ID
//	'p'+topic   the changelog position
//	'i'+topic   the topic's ID
//	't'+name    an operator time
//	's'         the wall-clock stamp of the last commit
//	'w'+name    the interval of a segmented table's segments in ms
//	'o'+name+segment
//	            an offset at or before the segment's first changelog record
//	'r'         the [Progress]
//	'm'+name    the format that all rows of a table have, or a later one
//
// Rows of stores are [8B timestamp][value]. If the value has a later format than format 0
// (see [Stored]), the highest bit of the timestamp is set, and the number of the format
// is between timestamp and value. The first such row raises the version of the database,
// so that earlier versions of the library refuse to open it.
//
// The keys of the rows are those of the kind of store: see package store.
package engine
