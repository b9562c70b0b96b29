// Package runtime runs an application. It joins the group, holds the tasks that the group
// assigns to this process, restores their state, and passes them to workers.
//
// The root package makes a [Run] from a [Config] and runs it once. The Run reports to the
// root through [Events]. The root turns the reports into the state of the App and into
// calls of hooks.
//
// # The parts
//
// Each part is a type in a file of the same name. Run makes the parts and gives each its
// dependencies (assemble.go). No part knows Run. An arrow means "calls":
//
//	Kafka's group                               workers
//	     │ Assigned, Revoked, Lost                 │ Restore, Dropped, Commit
//	     ▼                                         ▼
//	   group ───────────┐            ┌─────────── host
//	     │              ▼            ▼             │
//	     │            starter (prepares tasks)     │
//	     │              │  │  │                    │
//	     │   stateGuard ◄  │  ► restoring          │
//	     │                 ▼       (targets)       │
//	     │              locator                    │
//	     ▼                 ▼                       ▼
//	   stops             tasks ◄───────────────────┘
//	                       ▼
//	                   databases
//
// Each part owns:
//
//   - life: the contexts, the background goroutines, the failure that ends the run.
//   - clients: the options of all Kafka clients.
//   - matching: the topics that match the patterns of the topology, and the end of the
//     run when another one does.
//   - plan: the topology with the numbers of partitions. It is immutable.
//   - layout: the names of the tasks' directories, and what they were used with before.
//   - catalogue: the known facts about topics. topicSetup fills it at the start.
//     topicWatch compares it with Kafka while the application runs.
//   - stateGuard: the comparison of the topology with the existing state.
//   - databases: the databases on this disk, before and after their tasks have them.
//   - tasks: the tasks that the process holds, with role and stage.
//   - starter: the goroutines that prepare tasks.
//   - locator: where tasks start to read. A locating is one try.
//   - restoring: reading changelogs into targets. A restoreJob is one client's share.
//   - group: the membership, and the reaction to a rebalance. member has the identity.
//   - stops: the records of where tasks were stopped.
//   - host: the reports of workers, and the counters.
//   - globals: the global stores. A globalStore is one of them, with its goroutine, its
//     reader of the topic and its writer. letters sends its dead letters.
//   - producers: transactional IDs, fencing, the workers' producers.
//   - reads: the fetcher, and partitions that it cannot read.
//   - reach, phase: what is out of reach, and the State that follows from it and the
//     tasks.
//   - purger: the deletion of processed records.
//   - watchdog: the search for user code that is stuck.
//
// # A task's way
//
// A task has these stages:
//
//   - fresh: the group has assigned the task, and the starter has it. The starter records
//     what the stores mean (stateGuard), finds the offsets (locator), opens the database
//     (databases) and restores it (restoring).
//   - running: tasks.adopt has given the task to its worker.
//   - interrupted: the worker no longer had the state of the last commit, so it has
//     returned the task to the starter.
//
// When the group revokes the task, or the run closes, the task's role becomes closing.
// The present owner of the task then finishes it, in any stage.
//
// The offsets are read before the ends of the changelogs. All changelog records that
// belong to the offsets therefore lie below those ends.
//
// A target of restoring says what happens when it is ready. This leaves room for
// standbys: a standby can be a role whose target is read further and never passed to a
// worker.
//
// # Topics that appear
//
// If the topology has patterns, matching replaces them by topics before the plan is made,
// and watches for other topics. When one appears, the run closes as at its end, but stays
// in the group, and [Run.Next] continues with the new topic.
//
// # Global stores
//
// A global store does not belong to a task of the group, and restoring does not fill it:
// its records go through serdes, an error policy and perhaps a processor. start reads the
// topics of all global stores to their ends before the workers start and the group is
// joined. The goroutines of the stores go on until the run begins to close. Their
// databases stay open until the workers have ended, because tasks read them.
//
// # Who waits for whom
//
//   - The group's goroutine waits for workers when partitions are revoked.
//   - Workers wait for Kafka only.
//   - The fetcher waits for nobody.
//
// Code that a worker or the fetcher calls must therefore never wait for a worker: host
// and reads start goroutines instead.
package runtime
