package topics

import (
	"context"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// IDs returns the IDs of the topics that exist and that the application may see. It asks
// a broker, and does not use the client's cached answer. Unlike [Describe], it needs no
// other permission, and a topic that the application may not see counts as missing.
func IDs(ctx context.Context, client *kgo.Client, names []string) (map[string]kadm.TopicID, error) {
	req := kmsg.NewPtrMetadataRequest()
	for _, name := range names {
		topic := kmsg.NewMetadataRequestTopic()
		topic.Topic = kmsg.StringPtr(name)
		req.Topics = append(req.Topics, topic)
	}
	resp, err := req.RequestWith(ctx, client)
	if err != nil {
		return nil, err
	}
	ids := map[string]kadm.TopicID{}
	for _, t := range resp.Topics {
		switch err := kerr.ErrorForCode(t.ErrorCode); {
		case t.Topic == nil, errors.Is(err, kerr.UnknownTopicOrPartition), errors.Is(err, kerr.TopicAuthorizationFailed):
		case err != nil && !errors.Is(err, kerr.LeaderNotAvailable):
			return nil, fmt.Errorf("topic %s: %w", *t.Topic, err)
		default:
			ids[*t.Topic] = t.TopicID
		}
	}
	return ids, nil
}
