package topics

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// List returns the names of the topics that exist and that the application may see.
// Kafka's own topics are left out. A topic that was just created may be missing.
func List(ctx context.Context, cl *kgo.Client) ([]string, error) {
	details, err := kadm.NewClient(cl).ListTopics(ctx)
	if err != nil {
		return nil, fmt.Errorf("listing topics: %w", err)
	}
	var names []string
	for name, d := range details {
		if d.Err == nil && !d.IsInternal && len(d.Partitions) > 0 {
			names = append(names, name)
		}
	}
	return names, nil
}
