package topics

import (
	"context"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// metadata is what a broker knows about topics.
type metadata struct {
	cluster string
	topics  map[string]kmsg.MetadataResponseTopic
}

// ask asks a broker about topics. Unlike the functions of kadm, it does not use the
// client's cached answer. A topic that has just been created would be missing in it.
func ask(ctx context.Context, cl *kgo.Client, names []string) (metadata, error) {
	req := kmsg.NewPtrMetadataRequest()
	for _, name := range names {
		topic := kmsg.NewMetadataRequestTopic()
		topic.Topic = kmsg.StringPtr(name)
		req.Topics = append(req.Topics, topic)
	}
	resp, err := req.RequestWith(ctx, cl)
	if err != nil {
		return metadata{}, err
	}
	m := metadata{topics: make(map[string]kmsg.MetadataResponseTopic, len(resp.Topics))}
	if resp.ClusterID != nil {
		m.cluster = *resp.ClusterID
	}
	for _, t := range resp.Topics {
		if t.Topic != nil {
			m.topics[*t.Topic] = t
		}
	}
	return m, nil
}

// unusable returns the first of the topics that cannot be used yet, or "". It returns an
// error if waiting is no use.
func (m metadata) unusable(names []string) (string, error) {
	for _, name := range names {
		t, known := m.topics[name]
		if err := kerr.ErrorForCode(t.ErrorCode); err != nil && !kerr.IsRetriable(err) {
			return name, fmt.Errorf("topic %q: %w", name, err)
		}
		if !known || t.ErrorCode != 0 || len(t.Partitions) == 0 {
			return name, nil
		}
		for _, p := range t.Partitions {
			if p.ErrorCode != 0 || p.Leader < 0 {
				return name, nil
			}
		}
	}
	return "", nil
}

// unsettled returns an error about a topic of which the brokers do not yet agree, or nil.
// A topic that does not exist is settled.
func (m metadata) unsettled() error {
	for name, t := range m.topics {
		err := kerr.ErrorForCode(t.ErrorCode)
		if err != nil && kerr.IsRetriable(err) && !errors.Is(err, kerr.UnknownTopicOrPartition) {
			return fmt.Errorf("topic %q: %w", name, err)
		}
	}
	return nil
}
