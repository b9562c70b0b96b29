// Package restore reads changelog partitions up to their end, so that a store is caught
// up before its task starts.
//
// The end is the high watermark at the call of Restore, after the partitions were
// assigned. The last stable offset would not do: if the last transaction of the previous
// owner has just been committed, the last stable offset may not have moved yet. Restore
// reads with read_committed up to the high watermark. Two things follow:
//
//   - Restore waits until an open transaction of the previous owner is decided.
//   - Restore never returns a record of an aborted transaction.
//
// A partition can also be read to an earlier offset (Partition.To). That may have to wait
// for a transaction behind it: if compaction has removed the last records before the
// offset, only a later record shows that there are none left.
//
// A position counts offsets, not records. Transaction markers count too, and so do
// offsets that compaction has removed. If a changelog ends in a marker, its end is after
// the marker.
//
// If a position does not fit the changelog, the caller decides what to do, because that
// depends on the kind of store. Restore reports the facts. It never skips or resets a
// position on its own.
package restore
