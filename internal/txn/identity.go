package txn

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kadm"
)

// Identity is what a group member proves with each commit that it still owns its partitions. The caller takes it while
// the partitions are its own; a later value of the same client may belong to a member that has lost and rejoined, and
// would be accepted for partitions that somebody else owns by now.
type Identity struct {
	MemberID   string
	Generation int32
	InstanceID string // group.instance.id of a static member, or ""
}

// valid refuses what the broker would accept without any check: an offset commit with neither member nor generation is
// taken for a consumer that manages its partitions itself.
func (id Identity) valid() error {
	if id.MemberID == "" || id.Generation < 0 {
		return fmt.Errorf("%w: member %q, generation %d", ErrNoIdentity, id.MemberID, id.Generation)
	}
	return nil
}

func (id Identity) instance() *string {
	if id.InstanceID == "" {
		return nil
	}
	return &id.InstanceID
}

// OffsetCommit is one input partition's position: Offset is the next record to process.
type OffsetCommit struct {
	Topic       string
	TopicID     kadm.TopicID // only Commit needs it
	Partition   int32
	Offset      int64
	LeaderEpoch int32 // of the last processed record; -1 if unknown
	Metadata    string
}
