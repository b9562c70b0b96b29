package conformance

import (
	"cmp"
	"fmt"
	"iter"
	"strings"

	"github.com/millrace-streams/millrace/internal/operator"
	stores "github.com/millrace-streams/millrace/internal/store"
	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/state"
	"github.com/millrace-streams/millrace/topology"
	"github.com/millrace-streams/millrace/topologytest"
)

// streamsJoin is a join of two streams of a case.
type streamsJoin struct {
	name   string // in Millrace
	kind   string
	window topology.JoinWindows
	size   int64 // of the window, in ms
	within bool  // records with equal timestamps are joined
	join   joiner
	values *dynamic
	opts   []topology.JoinWindowOption
}

// joinStreams joins two streams.
func (b *builder) joinStreams(o op, left, right stream, f joiner) error {
	if err := o.knows("with type joiner name window storeName storeType"); err != nil {
		return err
	}
	left = b.shared(o.text("from"), left, func() string { return b.topicOfSide(o, "-left") })
	right = b.shared(o.text("with"), right, func() string { return b.topicOfSide(o, "-right") })
	values, err := valuesOf(o, left)
	if err != nil {
		return err
	}
	j := streamsJoin{kind: o.text("type"), join: f, values: values}
	if err := j.readWindow(o.child("window")); err != nil {
		return err
	}
	switch o.text("storeType") {
	case "":
	case "in-memory":
		j.opts = append(j.opts, topology.InMemory())
	default:
		return notYet("joins with stores of type %q", o.text("storeType"))
	}
	b.nameJoin(o, &j, left, right)
	if left.isRekeyed() && j.kind == "inner" {
		left = left.countNullKeys(b.built.nullKeys)
	}
	if right.isRekeyed() && j.kind != "outer" {
		right = right.countNullKeys(b.built.nullKeys)
	}
	joined, readers, err := left.joinWindow(right, j)
	if err != nil {
		return err
	}
	b.streams[o.id()] = joined
	b.built.stores = append(b.built.stores, readers...)
	return nil
}

// readWindow reads the parameter window of a join.
func (j *streamsJoin) readWindow(w op) error {
	if err := w.only("window of a join", "diff before after grace"); err != nil {
		return err
	}
	before, after, grace := bounds(w)
	j.size, j.within = before+after, before >= 0 && after >= 0
	j.window = topology.Within(0).Before(duration(before)).After(duration(after)).Grace(duration(grace))
	return nil
}

// nameJoin chooses the name of a join, and notes what Kafka Streams calls its stores and
// its repartition topics.
func (b *builder) nameJoin(o op, j *streamsJoin, left, right stream) {
	this, other, shared := "this-join", "other-join", ""
	thisRole, otherRole := "KSTREAM-JOINTHIS", "KSTREAM-JOINOTHER"
	switch j.kind {
	case "left":
		other, otherRole, shared = "outer-other-join", "KSTREAM-OUTEROTHER", "left-shared-join"
	case "outer":
		this, other, shared = "outer-this-join", "outer-other-join", "outer-shared-join"
		thisRole, otherRole = "KSTREAM-OUTERTHIS", "KSTREAM-OUTEROTHER"
	}
	base := o.text("storeName")
	j.name = cmp.Or(base, o.text("name"), o.id()+"-joined")
	alias := func(role, part, ours string) {
		theirs := base + "-" + part
		if base == "" {
			theirs = b.names.next(role, o.id())
		}
		b.names.call(theirs+"-store", j.name+ours)
	}
	for _, side := range []struct {
		s    stream
		part string
	}{{left, "-left"}, {right, "-right"}} {
		if side.s.isRekeyed() {
			b.names.alias[internalTopic(b.topicOfSide(o, side.part), "repartition")] = internalTopic(j.name+side.part, "repartition")
		}
	}
	alias(thisRole, this, "-left")
	alias(otherRole, other, "-right")
	if shared != "" {
		alias("KSTREAM-OUTERSHARED", shared, "-unmatched")
	}
}

// topicOfSide returns the name in Kafka Streams of the repartition topic of one side of a
// join.
func (b *builder) topicOfSide(o op, side string) string {
	if name := o.text("name"); name != "" {
		return name + side
	}
	return b.names.next("KSTREAM-KEY-SELECT", o.id())
}

func (s streamOf[K]) joinWindow(other stream, j streamsJoin) (stream, []storeReader, error) {
	right, ok := other.(streamOf[K])
	if !ok {
		return nil, nil, notYet("joins of plain and windowed keys")
	}
	out := serde.Serde[any](j.values)
	joins := map[string]func() topology.Stream[K, any]{
		"inner": func() topology.Stream[K, any] {
			return topology.TryJoinWindow(s.s, right.s, j.name, j.window, j.join, out, j.opts...)
		},
		"left": func() topology.Stream[K, any] {
			return topology.TryLeftJoinWindow(s.s, right.s, j.name, j.window, func(l, r any, _ bool) (any, error) { return j.join(l, r) }, out, j.opts...)
		},
		"outer": func() topology.Stream[K, any] {
			return topology.TryOuterJoinWindow(s.s, right.s, j.name, j.window, func(l any, _ bool, r any, _ bool) (any, error) { return j.join(l, r) }, out, j.opts...)
		},
	}[j.kind]
	if joins == nil {
		return nil, nil, notYet("joins of type %q", j.kind)
	}
	joined := s.with(joins()).(streamOf[K])
	joined.values, joined.rekeyed = j.values, false
	readers := []storeReader{joinReader[K](j.name+"-left", s.keys, s.values, j.size)}
	if s.s != right.s {
		readers = append(readers, joinReader[K](j.name+"-right", right.keys, right.values, j.size))
	}
	if ownPartner := s.s == right.s && j.within; j.kind != "inner" && !ownPartner {
		readers = append(readers, waitingReader[K](j.name+"-unmatched"))
	}
	return joined, readers, nil
}

// joinRows is a store of one side of a join.
type joinRows[K any] interface {
	processor.Store
	All() iter.Seq2[stores.JoinRow[K, any], error]
}

func joinReader[K any](name string, keys, values *dynamic, size int64) storeReader {
	return storeReader{name, keys, values, func(d *topologytest.Driver) (rows []row, err error) {
		for e, err := range topologytest.Store[joinRows[K]](d, name, 0).All() {
			if err != nil {
				return nil, err
			}
			rows = append(rows, row{key: e.Key, value: e.Value, at: e.At, windowed: true, start: int64(e.At), end: int64(e.At) + size})
		}
		return rows, nil
	}}
}

// waitingReader reads the records that wait in a join, as the texts that the corpus has
// for them.
func waitingReader[K any](name string) storeReader {
	type waiting = state.KeyValueStore[operator.WaitingKey[K], operator.Waiting[any, any]]
	text := basicSerdes["string"]
	return storeReader{name, text, text, func(d *topologytest.Driver) (rows []row, err error) {
		for e, err := range topologytest.Store[waiting](d, name, 0).All() {
			if err != nil {
				return nil, err
			}
			side, values := "left", e.Value.Left
			if e.Key.Right {
				side, values = "right", e.Value.Right
			}
			for _, v := range values {
				rows = append(rows, row{key: fmt.Sprintf("<%s,%s:%d>", side, javaText(e.Key.Key), int64(e.Key.At)), value: fmt.Sprintf("<%s,%s>", side, javaText(v))})
			}
		}
		return rows, nil
	}}
}

// joinsOnly reports whether a case has nothing but joins of streams.
func joinsOnly(c *testCase) bool {
	for _, o := range c.Topology {
		if !strings.Contains(" stream join to ", " "+o.text("op")+" ") {
			return false
		}
	}
	return true
}
