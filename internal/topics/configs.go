package topics

import (
	"context"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-streams/millrace/internal/transient"
)

// addConfigs reads the configurations of the named topics into described. A topic whose
// configuration may not be read stays without one, and the others get theirs. (The
// function of package kadm ends at the first topic that is refused.) A topic that the
// asked broker does not know, yet or any more, becomes a missing one.
func addConfigs(ctx context.Context, cl *kgo.Client, names []string, described map[string]Topic) error {
	req := kmsg.NewPtrDescribeConfigsRequest()
	for _, name := range names {
		resource := kmsg.NewDescribeConfigsRequestResource()
		resource.ResourceType, resource.ResourceName = kmsg.ConfigResourceTypeTopic, name
		req.Resources = append(req.Resources, resource)
	}
	resp, err := req.RequestWith(ctx, cl)
	if err != nil {
		return err
	}
	for _, r := range resp.Resources {
		switch err := kerr.ErrorForCode(r.ErrorCode); {
		case err == nil:
			t := described[r.ResourceName]
			t.Configs = make(map[string]string, len(r.Configs))
			for _, c := range r.Configs {
				t.Configs[c.Name] = deref(c.Value)
			}
			described[r.ResourceName] = t
		case errors.Is(err, kerr.UnknownTopicOrPartition):
			described[r.ResourceName] = Topic{Missing: true}
		case transient.Is(err):
			return fmt.Errorf("topic %q: %w", r.ResourceName, err)
		}
	}
	return nil
}

func deref(value *string) string {
	if value == nil {
		return ""
	}
	return *value
}
