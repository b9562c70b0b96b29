package conformance

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/topologytest"
)

// observed is what a case did.
type observed struct {
	built    *built
	buildErr error
	steps    []observedStep
	stores   map[string][]row
	readers  map[string]storeReader
	dropped  int64
	reasons  map[string]int64
	topics   map[string][]topologytest.Record // all records, at the end
}

// observedStep is what one step did.
type observedStep struct {
	topics       map[string][]topologytest.Record
	punctuations int // calls of punctuators
	err          error
}

// cacheBytes returns the size of the record cache.
func cacheBytes(c *testCase) int64 { return op(c.Config).ms("statestore.cache.max.bytes") }

// deadLetterTopic returns the topic of dead letters, or "".
func deadLetterTopic(c *testCase) string { return op(c.Config).text(deadLetterConfig) }

const deadLetterConfig = "errors.dead.letter.queue.topic.name"

// ignoredConfig lists configuration without a counterpart in Millrace. It does not affect
// Millrace.
var ignoredConfig = map[string]string{
	"statestore.cache.max.bytes":                                    "see options",
	"__emit.interval.ms.kstreams.outer.join.spurious.results.fix__": "Millrace does not throttle",
	"__emit.interval.ms.kstreams.windowed.aggregation__":            "Millrace does not throttle",
	explicitNaming: "see names",
	optimization:   "see optimizes",
	upgradeFrom:    "see changesInOneMessage",
	storeFormat:    "rows without headers give the same results",
}

// storeFormat is the configuration with which Kafka Streams keeps headers in its stores.
const storeFormat = "dsl.store.format"

// options returns the driver's options for a case.
func options(c *testCase) ([]topologytest.Option, error) {
	opts := []topologytest.Option{
		topologytest.ApplicationID(applicationID), topologytest.JavaOrder(), topologytest.Start(time.UnixMilli(c.WallClockStart)),
	}
	if cacheBytes(c) == 0 {
		opts = append(opts, topologytest.EveryUpdate())
	}
	for _, o := range c.Topology {
		opts = append(opts, topologytest.Topics(o.texts("patternTopics")...))
	}
	policy := processor.ErrorPolicy{DeadLetterTopic: deadLetterTopic(c)}
	for key, v := range c.Config {
		action := processor.Skip
		if policy.DeadLetterTopic != "" {
			action = processor.DeadLetter
		}
		switch {
		case ignoredConfig[key] != "" || key == deadLetterConfig:
		case v != "continue":
			return nil, notYet("config %s=%v", key, v)
		case key == "deserialization.exception.handler":
			policy.Decode = action
		case key == "processing.exception.handler":
			// If a value has another type than the sink's serde, Kafka Streams reports an
			// error of the sink's node.
			policy.Process, policy.Produce = action, action
		case key == "production.exception.handler":
			policy.Produce = action
		default:
			return nil, notYet("config %s", key)
		}
	}
	return append(opts, topologytest.ErrorPolicy(policy)), nil
}

// run builds and runs a case. The error is a *notYetError, or describes what broke the
// driver.
func run(t *testing.T, c *testCase, more ...topologytest.Option) (o *observed, err error) {
	opts, err := options(c)
	if err != nil {
		return nil, err
	}
	o = &observed{stores: map[string][]row{}, readers: map[string]storeReader{}, topics: map[string][]topologytest.Record{}}
	if o.built, err = build(c); err != nil {
		var missing *notYetError
		if errors.As(err, &missing) {
			return nil, err
		}
		o.buildErr = err
		return o, nil
	}
	d, err := start(t, o.built, append(opts, more...))
	if err != nil {
		o.buildErr = err
		return o, nil
	}
	return o, o.play(d, c)
}

// start returns the driver after it has initialized its processors, or the error of that.
// In Kafka Streams' test driver, this is a part of building.
func start(t *testing.T, b *built, opts []topologytest.Option) (d *topologytest.Driver, err error) {
	r := &recorder{TB: t}
	defer stop(&err)
	return topologytest.New(r, b.t, opts...), nil
}

func (o *observed) play(d *topologytest.Driver, c *testCase) (err error) {
	defer stop(&err)
	read := map[string]int{}
	for i := range c.Steps {
		s := observedStep{topics: map[string][]topologytest.Record{}}
		if c.Steps[i].Pipe != "" {
			// The case's results do not include the records that the test sends.
			read[c.Steps[i].Pipe]++
		}
		send, err := sender(d, c, &c.Steps[i])
		if err != nil {
			return fmt.Errorf("step %d: %w", i+1, err)
		}
		before := *o.built.punctuations
		s.err = d.Try(send)
		s.punctuations = *o.built.punctuations - before
		for _, topic := range d.Topics() {
			all := d.Topic(topic)
			if fresh := all[read[topic]:]; len(fresh) > 0 {
				s.topics[topic] = fresh
				read[topic] = len(all)
			}
		}
		o.steps = append(o.steps, s)
		if s.err != nil {
			break
		}
	}
	return o.finish(d)
}

// sender returns a function that executes a step.
func sender(d *topologytest.Driver, c *testCase, s *step) (func(), error) {
	if s.AdvanceWallClock != nil {
		return func() { d.Advance(duration(*s.AdvanceWallClock)) }, nil
	}
	if s.Pipe == "" {
		return nil, notYet("a step that neither pipes nor advances the clock")
	}
	serdes, err := serdesOf(c, s.Pipe)
	if err != nil {
		return nil, err
	}
	key, err := serdes.key.encodeJSON(s.Key)
	if err != nil {
		return nil, err
	}
	value, err := serdes.value.encodeJSON(s.Value)
	if err != nil {
		return nil, err
	}
	var headers []processor.Header
	for _, h := range s.Headers {
		header := processor.Header{Key: *h[0]}
		if h[1] != nil {
			header.Value = []byte(*h[1])
		}
		headers = append(headers, header)
	}
	return func() { d.Send(s.Pipe, 0, key, value, processor.Timestamp(s.TS), headers...) }, nil
}

type topicSerdes struct{ key, value *dynamic }

func serdesOf(c *testCase, topic string) (s topicSerdes, err error) {
	t := c.Topics[topic]
	s.key, s.value, err = keyAndValue(t.Key, t.Value)
	return s, err
}

// finish reads the final state.
func (o *observed) finish(d *topologytest.Driver) error {
	o.dropped, o.reasons = d.Dropped(), d.DropReasons()
	for _, topic := range d.Topics() {
		o.topics[topic] = d.Topic(topic)
	}
	if n := len(o.steps); n > 0 && o.steps[n-1].err != nil {
		return nil // the stores are gone
	}
	for _, reader := range o.built.stores {
		rows, err := reader.read(d)
		if err != nil {
			return fmt.Errorf("store %s: %w", reader.name, err)
		}
		o.stores[reader.name], o.readers[reader.name] = rows, reader
	}
	return nil
}

// recorder is the testing.TB of a driver. Its failures are results of the case. They do
// not fail the test on their own.
type recorder struct {
	testing.TB
}

// driverFailed is the value with which Fatalf panics, because Fatalf must not return.
type driverFailed struct{ err error }

func (r *recorder) Helper() {}

func (r *recorder) Fatalf(format string, args ...any) {
	panic(driverFailed{fmt.Errorf(format, args...)})
}

// Errorf is called by the driver only when it stops.
func (r *recorder) Errorf(format string, args ...any) { r.TB.Errorf(format, args...) }

// stop converts a Fatalf into an error.
func stop(err *error) {
	if v := recover(); v != nil {
		failed, ok := v.(driverFailed)
		if !ok {
			panic(v)
		}
		*err = failed.err
	}
}
