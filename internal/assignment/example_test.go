package assignment_test

import (
	"fmt"

	"github.com/millrace-streams/millrace/internal/assignment"
	"github.com/millrace-streams/millrace/internal/taskid"
)

// A process joins with old state on its disk. It takes its share. Of all tasks, it takes
// those with the fewest records to restore.
func ExampleAssign() {
	topology := assignment.Topology{Fingerprint: "v1", SubTopologies: []assignment.SubTopology{{
		ID: 0, Stateful: true, Sources: []assignment.Source{{Topic: "tweets", Partitions: 4}},
	}}}
	plan := assignment.Assign(topology, []assignment.Member{
		{ID: "first", Fingerprint: "v1", Owned: topology.Tasks()},
		{ID: "second", Fingerprint: "v1", Lags: map[taskid.ID]int64{
			{SubTopology: 0, Partition: 2}: 40,
			{SubTopology: 0, Partition: 3}: 0,
		}},
	})
	fmt.Println(plan["first"].Active, plan["second"].Active)
	// Output: [0_0 0_1] [0_2 0_3]
}
