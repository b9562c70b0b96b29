// Package assignment says which process of an application runs which task.
//
// [Assign] is a pure function from a topology and the members of the group to a plan. [Balancer] carries it through Kafka's classic
// group protocol: every process tells the group's leader who it is and what state is on its disk (a [Subscription]), the leader
// plans, and every process gets its tasks (an [Assignment]).
//
// # What a plan promises
//
// Let a member's share of n tasks be n times its capacity, divided by the capacity of all members that may run tasks. Then:
//
//   - every task is with exactly one member;
//   - of the tasks of each sub-topology, of all stateful tasks, and of all tasks, each member has its share, rounded down or up;
//   - among all plans with these two properties, this one takes the fewest tasks away from members that run them;
//   - among those, it is the one with the least state to restore, counted in changelog records;
//   - it depends on nothing else, and not on the order in which the members are listed.
//
// In plain words: a balanced group is never disturbed, a joining member takes just what it needs, and what has to move goes to where
// its state is. Do not assume that two plans for different groups are alike, nor that the partitions of a task say anything
// about where it runs.
//
// # Two rounds
//
// A task never runs in two processes at once, so a task that moves is withheld, with all its partitions, until its former owner has given
// it up and joined again. The plan of that second round is as good as the first one's: a task that the first round
// took from a member is not given back to it, because then the first round could have moved one task less. So two rounds are enough.
//
// # Processes with another topology
//
// The topology of the group's leader decides. A member with another fingerprint gets no tasks and an assignment with
// [OtherTopology] and an explanation; it stays a member and is asked again at the next rebalance. While a change is rolled out, all tasks
// therefore run in the processes that agree with the leader, and move to the others once the leader itself has been replaced. The
// alternatives are worse: a group that refuses to balance stops every process for one that is wrong, and giving
// tasks by number to a process that means something else by that number mixes up state.
package assignment
