package topics

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/millrace-streams/millrace/internal/backoff"
	"github.com/millrace-streams/millrace/internal/transient"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// TopicID distinguishes a topic from an earlier one with the same name.
type TopicID = kadm.TopicID

// Topic as it exists in the cluster.
type Topic struct {
	ID         TopicID
	Cluster    string // the ID of the cluster that has it
	Partitions int32
	Missing    bool              // it does not exist; the other fields are zero
	Configs    map[string]string // nil if they may not be read

	// Warnings are the settings of an internal topic that differ from what the
	// application needs, but do not stop it. Command fixes those that can be fixed. See
	// Ensure.
	Warnings []Finding
	Command  string
}

// retries are the pauses while the brokers do not yet agree about topics.
var retries = backoff.Backoff{First: 10 * time.Millisecond, Last: time.Second}

// ready bounds how long the brokers may take to agree about topics: to create them, to
// elect their leaders, to describe them. After that, the caller gets a transient error
// that names what is missing, and tries again.
const ready = 15 * time.Second

// Ensure creates missing topics, checks existing ones, and returns all of them when every
// partition has a leader. Several processes may call it at once. The error joins all
// problems: a *MismatchError for each topic that does not fit. Problems that do not stop
// the application are in Topic.Warnings, for the caller to log.
func Ensure(ctx context.Context, cl *kgo.Client, specs []Spec) (map[string]Topic, error) {
	if len(specs) == 0 {
		return map[string]Topic{}, nil
	}
	names := make([]string, len(specs))
	for i, s := range specs {
		names[i] = s.Name
	}
	found, err := Describe(ctx, cl, names)
	if err != nil {
		return nil, err
	}
	var missing []Spec
	for _, s := range specs {
		if found[s.Name].Missing {
			missing = append(missing, s)
		}
	}
	leftOut, err := create(ctx, cl, missing)
	if err != nil {
		return nil, err
	}
	// Wait even if none was missing: another process may have created one a moment ago.
	if found, err = awaitLeaders(ctx, cl, names); err != nil {
		return nil, err
	}
	return found, check(found, specs, leftOut, seeds(cl))
}

// check judges the topics, and adds warnings to them.
func check(found map[string]Topic, specs []Spec, leftOut map[string][]Finding, brokers []string) error {
	var errs []error
	for _, s := range specs {
		t := found[s.Name]
		refused, warned := s.judge(t.Configs)
		for _, f := range leftOut[s.Name] {
			if _, known := t.Configs[f.Setting]; !known { // otherwise it has been judged
				warned = append(warned, f)
			}
		}
		t.Warnings = warned
		t.Command = Command(brokers, s.Name, slices.Concat(refused, warned))
		found[s.Name] = t
		if t.Partitions < s.Partitions || t.Partitions > s.Partitions && !s.OrMore || len(refused) > 0 {
			errs = append(errs, &MismatchError{Topic: s.Name, Kind: s.Kind, Found: t.Partitions, Want: s.Partitions, Configs: refused, Command: t.Command})
		}
	}
	return errors.Join(errs...)
}

// seeds returns the client's seed addresses.
func seeds(cl *kgo.Client) []string {
	brokers, _ := cl.OptValue(kgo.SeedBrokers).([]string)
	return brokers
}

// awaitLeaders describes topics until all of them exist and every partition has a leader.
func awaitLeaders(ctx context.Context, cl *kgo.Client, names []string) (map[string]Topic, error) {
	ctx, cancel := context.WithTimeout(ctx, ready)
	defer cancel()
	for failures := 1; ; failures++ {
		waiting := ""
		m, err := ask(ctx, cl, names)
		if err == nil {
			waiting, err = m.unusable(names)
		}
		if err == nil && waiting == "" {
			var found map[string]Topic
			found, err = describe(ctx, cl, names, m)
			// The next request may reach a broker that does not know a new topic yet.
			if err == nil && !anyMissing(found) {
				return found, nil
			}
		}
		if err != nil && !transient.Is(err) {
			return nil, fmt.Errorf("waiting for internal topics to become ready: %w", err)
		}
		if retries.Sleep(ctx, failures) != nil {
			return nil, fmt.Errorf("waiting for internal topics to become ready (%q): %w", waiting, errors.Join(ctx.Err(), err))
		}
	}
}

// Describe returns each named topic. A missing topic has Missing set. A topic whose
// configuration may not be read is returned without it.
func Describe(ctx context.Context, cl *kgo.Client, names []string) (map[string]Topic, error) {
	if len(names) == 0 {
		return map[string]Topic{}, nil
	}
	m, err := settled(ctx, cl, names)
	if err != nil {
		return nil, err
	}
	return describe(ctx, cl, names, m)
}

// describe is Describe of topics whose metadata is known.
func describe(ctx context.Context, cl *kgo.Client, names []string, m metadata) (map[string]Topic, error) {
	described := make(map[string]Topic, len(names))
	var existing []string
	for _, name := range names {
		t, known := m.topics[name]
		switch err := kerr.ErrorForCode(t.ErrorCode); {
		case !known, errors.Is(err, kerr.UnknownTopicOrPartition):
			described[name] = Topic{Missing: true}
			continue
		case err != nil:
			return nil, fmt.Errorf("describing topic %q: %w", name, err)
		}
		described[name] = Topic{ID: t.TopicID, Cluster: m.cluster, Partitions: int32(len(t.Partitions))}
		existing = append(existing, name)
	}
	if len(existing) == 0 {
		return described, nil
	}
	if err := addConfigs(ctx, cl, existing, described); err != nil {
		return nil, fmt.Errorf("describing the configuration of topics: %w", err)
	}
	return described, nil
}

// settled is ask, but repeats the request while the brokers do not yet agree about a new
// topic.
func settled(ctx context.Context, cl *kgo.Client, names []string) (metadata, error) {
	ctx, cancel := context.WithTimeout(ctx, ready)
	defer cancel()
	for failures := 1; ; failures++ {
		m, err := ask(ctx, cl, names)
		if err != nil {
			return m, fmt.Errorf("describing topics: %w", err)
		}
		unsettled := m.unsettled()
		if unsettled == nil {
			return m, nil
		}
		if err := retries.Sleep(ctx, failures); err != nil {
			return m, fmt.Errorf("describing topics: %w", errors.Join(err, unsettled))
		}
	}
}
