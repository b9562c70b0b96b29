// Package guard refuses a topology that would lose or misread the state that an
// application has, and records what the state means.
//
// # What binds
//
// Two things say what the state means: the registry in Kafka and, for an application of
// before there was one, the state directory. The registry decides where it has a record.
// A store binds the topology only if it holds something:
//
//   - A store with a changelog does if the changelog holds a committed record. A high
//     watermark proves nothing, since an aborted transaction leaves one.
//   - A store without a changelog does if a database on this disk holds a row of it.
//
// # Two steps
//
// [Guard.Check] compares before the process joins the group. It writes nothing.
// [Guard.Enrol] compares again and writes, after the group has given the process a task:
// the group's leader has the same topology then. During a rolling upgrade the leader may
// still have the old topology; a new process has no tasks then, and does not spoil the
// registry for the old ones.
//
// # Versions that come and go
//
//   - Store added, rolled back, rolled forward: while the store holds nothing, both
//     versions start. Once it holds something, the old version is refused until the store
//     is removed by name. The removal is recorded, so that later starts need not name the
//     store. Rolled forward again, the store begins empty.
//   - Store renamed: that is one store removed and one added. The new store begins empty.
//   - Store removed, rolled back: the store begins empty.
package guard
