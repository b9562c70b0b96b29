package conformance

import (
	"cmp"
	"strconv"
	"strings"

	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/topology"
)

func (b *builder) stream(o op) error {
	if err := o.knows("topic topics pattern patternTopics key value extractor name"); err != nil {
		return err
	}
	return b.source(o, append(o.texts("topic"), o.texts("topics")...))
}

// sourceOf adds the source of an operation. A pattern needs a name, which Kafka Streams
// makes up.
func (b *builder) sourceOf(o op, topics []string, keys, values serde.Serde[any], opts []topology.SourceOption) topology.Stream[any, any] {
	pattern, name := o.text("pattern"), o.text("name")
	if pattern == "" {
		if name != "" {
			opts = append(opts, topology.Named(name))
		}
		return topology.Sources[any, any](b.b, topics, keys, values, opts...)
	}
	return topology.SourcePattern[any, any](b.b, cmp.Or(name, o.id()), pattern, keys, values, opts...)
}

func (b *builder) source(o op, topics []string) error {
	keys, values, err := keyAndValue(o.text("key"), o.text("value"))
	if err != nil {
		return err
	}
	opts, err := extractor(o.text("extractor"))
	if err != nil {
		return err
	}
	id := o.id()
	if id == "" {
		id = o.text("name")
	}
	b.streams[id] = streamOf[any]{b.sourceOf(o, topics, keys, values, opts), keys, values, false}
	return nil
}

// extractor returns the options of a timestamp extractor.
func extractor(name string) ([]topology.SourceOption, error) {
	from := func(f func(processor.Record[any, any], processor.Timestamp) (processor.Timestamp, error)) []topology.SourceOption {
		return []topology.SourceOption{topology.TimestampFrom(f)}
	}
	switch name {
	case "", "fail-on-invalid":
		return nil, nil
	case "log-and-skip":
		return []topology.SourceOption{topology.SkipInvalidTimestamps()}, nil
	case "use-partition-time":
		return []topology.SourceOption{topology.PartitionTimeForInvalid()}, nil
	case "raw":
		return from(func(r processor.Record[any, any], _ processor.Timestamp) (processor.Timestamp, error) {
			return r.Timestamp, nil
		}), nil
	case "from-value":
		return from(timestampInValue), nil
	}
	return nil, notYet("extractor %q", name)
}

// timestampInValue takes the timestamp from a value t=<ms>.
func timestampInValue(r processor.Record[any, any], partitionTime processor.Timestamp) (processor.Timestamp, error) {
	word, _, _ := strings.Cut(javaText(r.Value), " ")
	if ms, ok := strings.CutPrefix(word, "t="); ok {
		n, err := strconv.ParseInt(ms, 10, 64)
		return processor.Timestamp(n), err
	}
	return partitionTime, nil
}
