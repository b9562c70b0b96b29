// Package runtime runs an application: it joins the group, holds the tasks that the group
// gives to this process, brings their state up to date, and hands them to workers.
//
// The root package makes a [Run] from a [Config] and runs it once. The Run reports to the
// root through [Events]; the root turns the reports into the state of the App and into
// calls of hooks.
//
// # The parts
//
// Each part is a type in a file of its own name. Run makes the parts and gives each what
// it needs (assemble.go). No part knows Run. An arrow means "calls":
//
//	Kafka's group                               workers
//	     │ Assigned, Revoked, Lost                 │ Restore, Dropped, Commit
//	     ▼                                         ▼
//	   group ───────────┐            ┌─────────── host
//	     │              ▼            ▼             │
//	     │            starter (gets tasks ready)   │
//	     │              │  │  │                    │
//	     │   stateGuard ◄  │  ► restoring          │
//	     │                 ▼       (targets)       │
//	     │              locator                    │
//	     ▼                 ▼                       ▼
//	   stops             tasks ◄───────────────────┘
//	                       ▼
//	                   databases
//
// What each part owns:
//
//   - life: the contexts, the background goroutines, the failure that ends the run.
//   - clients: the options of all Kafka clients.
//   - plan: the topology with the numbers of partitions. It is immutable.
//   - layout: the names of the tasks' directories, and what they were used with before.
//   - catalogue: what is known about topics. topicSetup fills it at the start, topicWatch
//     compares it with Kafka while the application runs.
//   - stateGuard: the comparison of the topology with the state that is there.
//   - databases: the databases on this disk, before and after their tasks have them.
//   - tasks: which tasks the process holds, in which role and stage.
//   - starter: the goroutines that get tasks ready.
//   - locator: where tasks begin to read. A locating is one try.
//   - restoring: reading changelogs into targets. A restoreJob is one client's share.
//   - group: the membership, and what happens at a rebalance. member has the identity.
//   - stops: the records of where tasks were stopped.
//   - host: what workers report; the counters.
//   - producers: transactional IDs, fencing, the workers' producers.
//   - reads: the fetcher, and partitions that it cannot read.
//   - reach, phase: what is out of reach; the State that follows from it and the tasks.
//   - purger, watchdog: deleting what is processed; naming user code that is stuck.
//
// # A task's way
//
// The stages of a task:
//
//   - fresh: the group has assigned the task, and the starter has it. It records what the
//     stores mean (stateGuard), finds the offsets (locator), opens the database
//     (databases) and restores it (restoring).
//   - running: tasks.adopt has given the task to its worker.
//   - interrupted: the worker's state was not that of the last commit any more, so the
//     worker has given the task back to the starter.
//
// When the group takes the task away, or the run closes, the task's role is closing.
// Whoever has it then finishes it, in any stage.
//
// The offsets are read before the ends of the changelogs. All that belongs to the offsets
// lies below those ends.
//
// A target of restoring says what happens when it is ready. So a standby can become a
// role whose target is read on, and not handed to a worker. A global table is no task: it
// can be a target without a held task.
//
// # Who waits for whom
//
// The group's goroutine waits for workers, when partitions are taken away. Workers wait
// for Kafka only. The fetcher waits for nobody. So nothing that a worker or the fetcher
// calls here may wait for a worker: host and reads start goroutines instead.
package runtime
