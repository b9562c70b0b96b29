package topology

import (
	"fmt"
	"slices"
	"strings"

	"github.com/millrace-streams/millrace/internal/graph"
	"github.com/millrace-streams/millrace/internal/operator"
	"github.com/millrace-streams/millrace/serde"
)

// Source reads a topic. A second call for the same topic, with the same serdes and
// options, returns the same stream.
func Source[K, V any](b *Builder, topic string, ks serde.Serde[K], vs serde.Serde[V], opts ...SourceOption) Stream[K, V] {
	return Sources(b, []string{topic}, ks, vs, opts...)
}

// Sources reads several topics as one stream. There is no order between records of
// different topics, except the choice by timestamp (see "Order" in the package
// documentation).
func Sources[K, V any](b *Builder, topics []string, ks serde.Serde[K], vs serde.Serde[V], opts ...SourceOption) Stream[K, V] {
	var o sourceOptions
	for _, opt := range withoutNil(opts) {
		opt.applySource(&o)
	}
	return sources(b, topics, ks, vs, o)
}

func sources[K, V any](b *Builder, topics []string, ks serde.Serde[K], vs serde.Serde[V], o sourceOptions) Stream[K, V] {
	b.begin()
	s := &sourceNode{topics: topics, keys: ks, values: vs, opts: o}
	if first := b.sameSource(s); first != nil {
		return Stream[K, V]{flow[K, V]{b: b, n: first.node, keys: ks, values: vs}}
	}
	n := &node{base: strings.Join(topics, "+")}
	for _, topic := range topics {
		n.topics = append(n.topics, graph.Topic{Name: topic})
	}
	s.node = b.addSource(n, o.name)
	b.checkSource(s)
	return decoded(b, n, ks, vs, o)
}

// decoded makes an added node a source that decodes its records.
func decoded[K, V any](b *Builder, n *node, ks serde.Serde[K], vs serde.Serde[V], o sourceOptions) Stream[K, V] {
	extract, typed := o.extractor.(operator.Extractor[K, V])
	n.sourceOpts = o.SourceOptions
	source := operator.Source[K, V]{Keys: ks, Values: vs, KeepKey: canonical(ks), Timestamps: o.timestamps}
	n.make = source.New
	b.needSerde(n, "key", ks, "which it decodes (serde.Bytes decodes nothing)")
	b.needSerde(n, "value", vs, "which it decodes (serde.Bytes decodes nothing)")
	if o.timestamps == operator.Extracted {
		n.make = operator.ExtractedSource[K, V]{Source: source, Extract: extract}.New
		b.needFunc(n, o.extractor)
		if !typed {
			b.problem("%v: the function of TimestampFrom is a %T, but the source needs a %T", n, o.extractor, extract)
		}
	}
	return Stream[K, V]{flow[K, V]{b: b, n: n, keys: ks, values: vs}}
}

// sourceNode is a source with the arguments that it was made with.
type sourceNode struct {
	node         *node
	topics       []string
	pattern      string // of SourcePattern, which has no topics
	keys, values any
	opts         sourceOptions
}

// addSource adds a source. Unless the user named it, its name consists of its topics. The
// derived names of operators below it begin with the topics alone.
func (b *Builder) addSource(n *node, name string) *node {
	n.kind, n.op = graph.Source, "source"
	base := n.base
	if b.add(n, name); n.auto {
		b.names.release(n.name)
		n.base, n.name = base, b.names.derive(base+"-source")
	}
	return n
}

// sameSource returns the source that already reads the same topics in the same way, or
// nil.
func (b *Builder) sameSource(s *sourceNode) *sourceNode {
	if b == nil || len(s.topics) == 0 {
		return nil
	}
	first := b.sources[s.topics[0]]
	if first == nil || !sameTopics(first.topics, s.topics) || first.difference(s) != "" {
		return nil
	}
	return first
}

func sameTopics(a, b []string) bool {
	return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}

// difference names the first difference between two sources of the same topics. "" means
// that there is none.
func (s *sourceNode) difference(t *sourceNode) string {
	switch {
	case !graph.SameSerde(s.keys, t.keys):
		return fmt.Sprintf("their key serdes (%s and %s)", serde.Name(s.keys), serde.Name(t.keys))
	case !graph.SameSerde(s.values, t.values):
		return fmt.Sprintf("their value serdes (%s and %s)", serde.Name(s.values), serde.Name(t.values))
	case s.opts.extractor != nil || t.opts.extractor != nil:
		return "TimestampFrom (functions cannot be compared)"
	case s.opts.timestamps != t.opts.timestamps:
		return "what they do about invalid timestamps"
	case s.opts.SourceOptions != t.opts.SourceOptions:
		return "where they start to read"
	case t.opts.name != "" && t.opts.name != s.opts.name:
		return "their names"
	}
	return ""
}

// checkSource reports illegal topics, and topics that another source already reads.
func (b *Builder) checkSource(s *sourceNode) {
	if len(s.topics) == 0 {
		b.problem("%v: has no topics", s.node)
	}
	for i, topic := range s.topics {
		if err := checkTopicName(topic); err != nil {
			b.problem("%v: bad topic name %q: %v", s.node, topic, err)
		}
		if slices.Contains(s.topics[:i], topic) {
			b.problem("%v: reads topic %q twice", s.node, topic)
		}
		if first := b.sources[topic]; first != nil && first != s {
			what := "the topics that they read"
			if sameTopics(first.topics, s.topics) {
				what = first.difference(s)
			}
			b.problem("topic %q is read by two sources, which differ in %s: use the stream of the first one twice", topic, what)
			continue
		}
		b.sources[topic] = s
	}
}
