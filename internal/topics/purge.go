package topics

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Purge deletes the records of repartition topics below the given offsets, which the application has committed. It is
// best effort: a partition that fails is purged with the next commit.
func Purge(ctx context.Context, cl *kgo.Client, below map[string]map[int32]int64) error {
	var offsets kadm.Offsets
	for topic, partitions := range below {
		for partition, offset := range partitions {
			if offset > 0 {
				offsets.AddOffset(topic, partition, offset, -1)
			}
		}
	}
	if len(offsets) == 0 {
		return nil
	}
	responses, err := kadm.NewClient(cl).DeleteRecords(ctx, offsets)
	if err == nil {
		err = responses.Error()
	}
	if err != nil {
		return fmt.Errorf("purging repartition topics: %w", err)
	}
	return nil
}
