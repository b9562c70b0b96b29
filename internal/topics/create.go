package topics

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// creation is a topic to create, with the settings that its brokers accept.
type creation struct {
	Spec
	configs map[string]string
	leftOut []Finding
	probed  bool // settings that the brokers do not accept are left out
}

// create creates topics. It is no error if another process was faster. It returns the
// settings that the brokers do not accept, by topic.
func create(ctx context.Context, cl *kgo.Client, specs []Spec) (map[string][]Finding, error) {
	var missing []*creation
	for _, s := range specs {
		missing = append(missing, &creation{Spec: s, configs: s.configs()})
	}
	leftOut := map[string][]Finding{}
	ctx, cancel := context.WithTimeout(ctx, ready)
	defer cancel()
	for failures := 1; len(missing) > 0; failures++ {
		refusals, err := submit(ctx, cl, missing, false)
		if err != nil {
			return nil, fmt.Errorf("creating internal topics: %w", err)
		}
		var again []*creation
		var failed, busy error
		for _, c := range missing {
			refusal := refusals[c.Name]
			retry, err := c.refused(ctx, cl, refusal)
			switch {
			case err != nil:
				failed = errors.Join(failed, err)
			case retry:
				again = append(again, c)
				busy = errors.Join(busy, refusal.reason())
			case len(c.leftOut) > 0:
				leftOut[c.Name] = c.leftOut
			}
		}
		if failed != nil {
			return nil, failed
		}
		if missing = again; len(missing) > 0 {
			if err := retries.Sleep(ctx, failures); err != nil {
				return nil, fmt.Errorf("creating internal topic %q: %w", missing[0].Name, errors.Join(err, busy))
			}
		}
	}
	return leftOut, nil
}

// refusal is the reason why a topic was not created, or nil.
type refusal struct {
	err    error
	detail string // in the broker's words
}

func (r *refusal) reason() error {
	if r == nil {
		return nil
	}
	return r.err
}

func (r *refusal) isConfig() bool {
	return errors.Is(r.err, kerr.InvalidConfig) || errors.Is(r.err, kerr.PolicyViolation)
}

// refused reports whether to request the topic again.
func (c *creation) refused(ctx context.Context, cl *kgo.Client, r *refusal) (again bool, err error) {
	switch {
	case r == nil, errors.Is(r.err, kerr.TopicAlreadyExists):
		return false, nil
	case kerr.IsRetriable(r.err):
		return true, nil
	case r.isConfig() && !c.probed:
		c.probed = true
		if found, err := c.probe(ctx, cl); err != nil || found {
			return found, err
		}
	}
	return false, fmt.Errorf("creating internal topic %q: %w%s%s", c.Name, r.err, r.detail, advice(r.err))
}

// probe asks the broker about each setting alone, and leaves out those that it does not
// accept. Older versions do not know all settings, and a cluster's policy may forbid
// some. It reports whether it has found any. A topic is never created without its cleanup
// policy or without a setting that the user chose.
func (c *creation) probe(ctx context.Context, cl *kgo.Client) (found bool, err error) {
	for _, set := range settings {
		if _, chosen := c.Configs[set.name]; chosen || c.configs[set.name] == "" || set.legacy {
			continue
		}
		refusal, err := c.validate(ctx, cl, set.name)
		if err != nil {
			return false, err
		}
		if refusal == nil || !refusal.isConfig() {
			continue
		}
		found = true
		delete(c.configs, set.name)
		if set.older != "" && errors.Is(refusal.err, kerr.InvalidConfig) {
			c.configs[set.older] = set.value
		}
		c.leftOut = append(c.leftOut, Finding{Setting: set.name, Want: set.value, Reason: set.reason, LeftOut: true})
	}
	return found, nil
}

// validate asks whether a topic with only one of the settings could be created. Nothing
// is created.
func (c *creation) validate(ctx context.Context, cl *kgo.Client, setting string) (*refusal, error) {
	alone := &creation{Spec: c.Spec, configs: map[string]string{cleanupPolicy: c.configs[cleanupPolicy], setting: c.configs[setting]}}
	for failures := 1; ; failures++ {
		refusals, err := submit(ctx, cl, []*creation{alone}, true)
		if err != nil {
			return nil, fmt.Errorf("asking whether internal topic %q can have %s: %w", c.Name, setting, err)
		}
		r := refusals[c.Name]
		if r == nil || !kerr.IsRetriable(r.err) {
			return r, nil
		}
		if err := retries.Sleep(ctx, failures); err != nil {
			return nil, fmt.Errorf("asking whether internal topic %q can have %s: %w", c.Name, setting, errors.Join(err, r.err))
		}
	}
}

// submit sends one request for all the topics, and returns the refusals.
func submit(ctx context.Context, cl *kgo.Client, missing []*creation, validateOnly bool) (map[string]*refusal, error) {
	req := kmsg.NewPtrCreateTopicsRequest()
	req.TimeoutMillis = int32(ready / time.Millisecond)
	req.ValidateOnly = validateOnly
	for _, c := range missing {
		req.Topics = append(req.Topics, c.request())
	}
	resp, err := req.RequestWith(ctx, cl)
	if err != nil {
		return nil, err
	}
	refusals := map[string]*refusal{}
	for _, t := range resp.Topics {
		if err := kerr.ErrorForCode(t.ErrorCode); err != nil {
			refusals[t.Topic] = &refusal{err, detail(t.ErrorMessage)}
		}
	}
	return refusals, nil
}

func (c *creation) request() kmsg.CreateTopicsRequestTopic {
	t := kmsg.NewCreateTopicsRequestTopic()
	t.Topic, t.NumPartitions, t.ReplicationFactor = c.Name, c.Partitions, c.ReplicationFactor
	if t.ReplicationFactor == 0 {
		t.ReplicationFactor = -1
	}
	for _, name := range slices.Sorted(maps.Keys(c.configs)) {
		config := kmsg.NewCreateTopicsRequestTopicConfig()
		config.Name, config.Value = name, kmsg.StringPtr(c.configs[name])
		t.Configs = append(t.Configs, config)
	}
	return t
}

func detail(message *string) string {
	if message == nil || *message == "" {
		return ""
	}
	return ": " + *message
}

// advice returns advice for errors that users meet.
func advice(err error) string {
	switch {
	case errors.Is(err, kerr.TopicAuthorizationFailed), errors.Is(err, kerr.ClusterAuthorizationFailed):
		return ": allow the application to create topics with its prefix, or create the topic by hand"
	case errors.Is(err, kerr.InvalidReplicationFactor):
		return ": set a replication factor that the number of brokers allows"
	case errors.Is(err, kerr.PolicyViolation):
		return ": the cluster's policy forbids it: create the topic by hand or change its configuration"
	}
	return ""
}
