// Package assignment decides which process of an application runs which task.
//
// [Assign] is a pure function. It makes a plan from a topology and the members of the
// group. [Balancer] carries the plan through Kafka's classic group protocol:
//
//  1. Every process sends the group's leader a [Subscription]: its identity, and the
//     state on its disk.
//  2. The leader plans.
//  3. Every process gets its tasks in an [Assignment].
//
// # What a plan promises
//
// A member's share of n tasks is n times its capacity, divided by the capacity of all
// members that may run tasks. Then:
//
//   - Every task is assigned to exactly one member.
//   - Of the tasks of each sub-topology, of all stateful tasks, and of all tasks, each
//     member has its share, rounded down or up.
//   - Among all plans with these two properties, the plan takes the fewest tasks away
//     from members that run them.
//   - Among those, the plan has the least state to restore, counted in changelog records.
//   - The plan depends on nothing else. In particular, it does not depend on the order in
//     which the members are listed.
//
// In plain words: a balanced group is never disturbed, a joining member takes only its
// share, and a task that must move goes to the member that has its state. Do not assume
// that the plans for two different groups are alike, or that the partitions of a task say
// anything about where it runs.
//
// # Two rounds
//
// A task never runs in two processes at once. If a task moves, the first round withholds
// it with all its partitions, until its former owner has given it up and joined again.
// The second round then assigns it. The second plan is as good as the first one: it does
// not give a task back to the member that the first round took it from, because then the
// first round could have moved one task less. Two rounds are therefore enough.
//
// # Processes with another topology
//
// The topology of the group's leader decides. A member with another fingerprint gets no
// tasks, and an assignment with [OtherTopology] and an explanation. It stays a member and
// is considered again at the next rebalance.
//
// While a new topology is rolled out, all tasks therefore run in the processes that agree
// with the leader. They move to the others once the leader itself has been replaced.
//
// The alternatives are worse. If the group refused to balance, one wrong process would
// stop all others. If tasks were assigned by number to a process in which the number
// means another task, state would be mixed up.
package assignment
