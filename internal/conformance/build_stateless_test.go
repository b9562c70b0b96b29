package conformance

import (
	"strconv"
	"strings"

	"github.com/millrace-streams/millrace/topology"
)

func (b *builder) filter(o op) error {
	p, err := predicateOf(o.text("fn"))
	if err != nil {
		return err
	}
	if o.text("op") == "filterNot" {
		is := p
		p = func(k, v any) (bool, error) {
			yes, err := is(k, v)
			return !yes, err
		}
	}
	if t := b.tables[o.text("from")]; t != nil {
		return b.filterTable(o, t, p)
	}
	s, err := b.from(o, "fn name")
	if err != nil {
		return err
	}
	b.streams[o.id()] = s.filter(p, o.named())
	return nil
}

func (b *builder) flatMap(o op) error {
	s, err := b.from(o, "fn key value name")
	if err != nil {
		return err
	}
	find := flatPairsOf
	if o.text("op") == "map" {
		find = pairMapperOf
	}
	f, err := find(o.text("fn"))
	if err != nil {
		return err
	}
	keys, err := keysOf(o, s)
	if err != nil {
		return err
	}
	values, err := valuesOf(o, s)
	b.streams[o.id()] = s.flatMap(f, keys, values, o.named())
	return err
}

func (b *builder) mapValues(o op) error {
	if b.tables[o.text("from")] != nil {
		return b.mapTable(o)
	}
	s, err := b.from(o, "fn value name")
	if err != nil {
		return err
	}
	f, err := valueMapperOf(o.text("fn"))
	if err != nil {
		return err
	}
	values, err := valuesOf(o, s)
	b.streams[o.id()] = s.mapValues(f, usesKey(o.text("fn")), values, o.named())
	return err
}

func (b *builder) flatMapValues(o op) error {
	s, err := b.from(o, "fn value name")
	if err != nil {
		return err
	}
	f, err := flatOf(o.text("fn"))
	if err != nil {
		return err
	}
	values, err := valuesOf(o, s)
	b.streams[o.id()] = s.flatMapValues(f, usesKey(o.text("fn")), values, o.named())
	return err
}

func (b *builder) selectKey(o op) error {
	s, err := b.from(o, "fn key name")
	if err != nil {
		return err
	}
	f, err := keyMapperOf(o.text("fn"))
	if err != nil {
		return err
	}
	keys, err := keysOf(o, s)
	b.streams[o.id()] = s.selectKey(f, keys, o.named())
	return err
}

func (b *builder) peek(o op) error {
	s, err := b.from(o, "fn name")
	if err == nil {
		b.streams[o.id()] = s.peek(o.named())
	}
	return err
}

func (b *builder) forEach(o op) error {
	s, err := b.from(o, "fn name")
	if err == nil {
		s.forEach(o.named())
	}
	return err
}

func (b *builder) merge(o op) error {
	s, err := b.from(o, "with name")
	if err != nil {
		return err
	}
	other := b.streams[o.text("with")]
	if other == nil {
		return notYet("merge with a table")
	}
	b.streams[o.id()], err = s.merge(other)
	return err
}

// split names branches as the case does. A branch without a name is called by its number,
// the default branch 0.
func (b *builder) split(o op) error {
	s, err := b.from(o, "name branches default")
	if err != nil {
		return err
	}
	var cases []branchCase
	for i, branch := range o.children("branches") {
		if err := branch.only("a branch", "fn name"); err != nil {
			return err
		}
		when, err := predicateOf(branch.text("fn"))
		if err != nil {
			return err
		}
		name := branch.text("name")
		if name == "" {
			name = strconv.Itoa(i + 1)
		}
		cases = append(cases, branchCase{name, when})
	}
	if name := o.text("default"); name != "" {
		cases = append(cases, branchCase{name: name})
	} else if o.flag("default") {
		cases = append(cases, branchCase{name: "0"})
	}
	// In Kafka Streams the name is a prefix, and usually ends in a hyphen.
	name := strings.TrimSuffix(o.text("name"), "-")
	if name == "" {
		name = "split-" + o.id()
	}
	for i, branch := range s.branch(name, cases) {
		b.streams[o.id()+"/"+cases[i].name] = branch
	}
	return nil
}

func (b *builder) repartition(o op) error {
	s, err := b.from(o, "name partitions")
	if err != nil {
		return err
	}
	name := o.text("name")
	if name == "" {
		name = b.names.next("KSTREAM-REPARTITION", o.id())
	}
	var opts []topology.RepartitionOption
	if n, ok := o.number("partitions"); ok {
		opts = append(opts, topology.Partitions(int32(n)))
	}
	b.streams[o.id()] = s.countNullKeys(b.built.nullKeys).repartition(name, opts)
	return nil
}

func (b *builder) toStream(o op) error {
	if err := o.knows("fn key name"); err != nil {
		return err
	}
	t := b.tables[o.text("from")]
	if t == nil {
		return notYet("toStream of a table that Millrace does not have")
	}
	if !o.has("fn") {
		b.streams[o.id()] = t.toStream(o.named())
		return nil
	}
	f, err := keyMapperOf(o.text("fn"))
	if err != nil {
		return err
	}
	s := t.toStream(nil)
	keys, err := keysOf(o, s)
	b.streams[o.id()] = s.selectKey(f, keys, o.named())
	return err
}

func (b *builder) to(o op) error {
	s, err := b.from(o, "topic topicFn name")
	if err != nil {
		return err
	}
	var opts []topology.SinkOption
	if name := o.text("name"); name != "" {
		opts = append(opts, topology.Named(name))
	}
	if o.has("topic") {
		s.to(o.text("topic"), opts)
		return nil
	}
	f, err := keyMapperOf(o.text("topicFn"))
	if err != nil {
		return err
	}
	s.toTopic(f, opts)
	return nil
}
