package txn

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kadm"
)

// Identity proves, with each commit, that a group member still owns its partitions. The
// caller takes it while it owns the partitions. A later identity of the same client may
// belong to a member that has lost its partitions and joined again. The broker would
// accept it for partitions that another member owns by then.
type Identity struct {
	MemberID   string
	Generation int32
	InstanceID string // group.instance.id of a static member, or ""
}

// valid refuses an identity that the broker would accept without any check: it takes an
// offset commit without member and generation for a consumer that manages its partitions
// itself.
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

// OffsetCommit is the position of one input partition. Offset is the next record to
// process.
type OffsetCommit struct {
	Topic       string
	TopicID     kadm.TopicID // only Commit needs it
	Partition   int32
	Offset      int64
	LeaderEpoch int32 // of the last processed record; -1 if unknown
	Metadata    string
}
