package topics

import (
	"context"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// IDs returns the IDs of the topics that exist and that the application may see. It asks
// a broker, and does not use the client's cached answer. Unlike [Describe], it needs no
// other permission, and a topic that the application may not see counts as missing.
func IDs(ctx context.Context, client *kgo.Client, names []string) (map[string]kadm.TopicID, error) {
	m, err := ask(ctx, client, names)
	if err != nil {
		return nil, err
	}
	ids := map[string]kadm.TopicID{}
	for name, t := range m.topics {
		switch err := kerr.ErrorForCode(t.ErrorCode); {
		case errors.Is(err, kerr.UnknownTopicOrPartition), errors.Is(err, kerr.TopicAuthorizationFailed):
		case err != nil && !errors.Is(err, kerr.LeaderNotAvailable):
			return nil, fmt.Errorf("topic %s: %w", name, err)
		default:
			ids[name] = t.TopicID
		}
	}
	return ids, nil
}
