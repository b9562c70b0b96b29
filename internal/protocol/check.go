package protocol

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"
)

// within is how long Check waits for a broker that does not answer. After that, the other
// brokers decide.
const within = 3 * time.Second

// OldError says that a broker is too old.
type OldError struct {
	Who     string // the broker, or the option that limits the client
	Missing []Need
	Have    []int16 // in the order of Missing; -1 if the request is unknown
	Exactly bool
}

// Error names the versions.
func (e *OldError) Error() string {
	var b strings.Builder
	guarantee, oldest := "at-least-once", "2.4"
	if e.Exactly {
		guarantee, oldest = "exactly-once", "2.5"
	}
	fmt.Fprintf(&b, "%s is too old for %s: Kafka %s or later is needed", e.Who, guarantee, oldest)
	for i, n := range e.Missing {
		has := "does not know the request"
		if e.Have[i] >= 0 {
			has = fmt.Sprintf("has version %d", e.Have[i])
		}
		fmt.Fprintf(&b, "\n%s needs version %d (Kafka %s), so that %s; it %s", n.Key.Name(), n.Version, n.Kafka, n.Why, has)
	}
	return b.String()
}

// Report has further facts about the brokers.
type Report struct {
	// NoTopicIDs: some broker does not report topic IDs. A topic that was deleted and
	// created again can then not be distinguished from the earlier one.
	NoTopicIDs bool
}

// Check asks all brokers of the cluster for their versions of requests. The error joins
// an *OldError for each broker that is too old for the guarantee, and one for the client
// if its options limit it to such versions. A broker that does not answer is skipped,
// unless none answers.
func Check(ctx context.Context, cl *kgo.Client, exactly bool) (Report, error) {
	limit, _ := cl.OptValue(kgo.MaxVersions).(*kversion.Versions)
	if old := judge("kgo.MaxVersions in Config.ClientOptions", limit, exactly); limit != nil && old != nil {
		return Report{}, old
	}
	report := Report{NoTopicIDs: limit != nil && has(limit, kmsg.Metadata) < topicIDs}
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	brokers, err := kadm.NewClient(cl).BrokerMetadata(ctx)
	if err != nil {
		return report, err
	}
	answers := make([]answer, len(brokers.Brokers))
	done := make(chan struct{})
	for i, b := range brokers.Brokers {
		go func() {
			answers[i] = ask(ctx, cl, b)
			done <- struct{}{}
		}()
	}
	for range brokers.Brokers {
		<-done
	}
	return report.sum(answers, exactly)
}

// answer is the answer of one broker.
type answer struct {
	who      string
	versions *kversion.Versions
	err      error
}

func ask(ctx context.Context, cl *kgo.Client, b kgo.BrokerMetadata) answer {
	a := answer{who: fmt.Sprintf("broker %d (%s:%d)", b.NodeID, b.Host, b.Port)}
	req := kmsg.NewPtrApiVersionsRequest()
	req.ClientSoftwareName, req.ClientSoftwareVersion = "millrace", "v1"
	resp, err := req.RequestWith(ctx, cl.Broker(int(b.NodeID)))
	if err == nil {
		err = kerr.ErrorForCode(resp.ErrorCode)
	}
	if err != nil {
		a.err = fmt.Errorf("%s: %w", a.who, err)
		return a
	}
	a.versions = kversion.FromApiVersionsResponse(resp)
	return a
}

func (r Report) sum(answers []answer, exactly bool) (Report, error) {
	var old, silent []error
	for _, a := range answers {
		if a.err != nil {
			silent = append(silent, a.err)
			continue
		}
		if e := judge(a.who, a.versions, exactly); e != nil {
			old = append(old, e)
		}
		if has(a.versions, kmsg.Metadata) < topicIDs {
			r.NoTopicIDs = true
		}
	}
	if len(silent) == len(answers) {
		return r, errors.Join(silent...)
	}
	return r, errors.Join(old...)
}

// judge returns an error if the versions are too old.
func judge(who string, versions *kversion.Versions, exactly bool) *OldError {
	if versions == nil {
		return nil
	}
	e := &OldError{Who: who, Exactly: exactly}
	for _, n := range Needs(exactly) {
		if v := has(versions, n.Key); v < n.Version {
			e.Missing, e.Have = append(e.Missing, n), append(e.Have, v)
		}
	}
	if len(e.Missing) == 0 {
		return nil
	}
	return e
}

// has returns the latest version of a request, or -1 if the request is unknown.
func has(versions *kversion.Versions, key kmsg.Key) int16 {
	v, ok := versions.LookupMaxKeyVersion(int16(key))
	if !ok {
		return -1
	}
	return v
}
