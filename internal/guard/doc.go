// Package guard refuses a topology that would lose or misread the existing state of an
// application, and records what the state means.
//
// # What counts
//
// Two sources say what the state means: the registry in Kafka and, for state from before
// there was a registry, the state directory. If the registry has a record of a store,
// that record decides. A store counts only if it holds something:
//
//   - A store with a changelog holds something if the changelog has a committed record. A
//     high watermark is not enough, because an aborted transaction moves it too.
//   - A store without a changelog holds something if a database on this disk has a row of
//     it.
//
// # Two steps
//
// [Guard.Check] compares before the process joins the group. It writes nothing.
// [Guard.Enrol] compares again and writes, after the group has given the process a task.
// The group's leader then has the same topology. During a rolling upgrade the leader may
// still have the old topology. A new process then has no tasks, and does not change the
// registry for the old ones.
//
// # Versions that come and go
//
//   - Store added, rolled back, rolled forward: while the store is empty, both versions
//     start. Once it holds something, the old version is refused until the store is
//     removed by name. The removal is recorded, so later starts need not name the store.
//     After rolling forward again, the store starts empty.
//   - Store renamed: one store is removed and one is added. The new store starts empty.
//   - Store removed, rolled back: the store starts empty.
package guard
