package conformance

import (
	"fmt"
	"slices"

	"github.com/millrace-streams/millrace/topology"
)

// notYetError names what a case needs that Millrace, or this interpreter, does not have.
type notYetError struct{ what string }

func (e *notYetError) Error() string { return e.what }

func notYet(format string, args ...any) error { return &notYetError{fmt.Sprintf(format, args...)} }

// built is the topology of a case.
type built struct {
	t     *topology.Topology
	names *names

	stores []storeReader

	// buffers are the changelogs of the buffers of suppress. In Kafka Streams their
	// records have no timestamps, and no order within a step.
	buffers map[string]bool

	// ownChangelogs are the tables whose topic is their changelog in Kafka Streams, and
	// not in Millrace.
	ownChangelogs map[string]bool

	// grouped is the serde of the values of the last grouped table.
	grouped *dynamic

	// nullKeys is the number of records without a key that reached a repartition. Kafka
	// Streams drops them without counting them.
	nullKeys *int64

	// punctuations is the number of calls of punctuators.
	punctuations *int
}

// builder builds the topology of a case, operation by operation.
type builder struct {
	c      *testCase
	b      *topology.Builder
	names  *names
	cached bool

	streams  map[string]stream
	groups   map[string]windowed
	cogroups map[string]cogroup
	tables   map[string]table
	globals  map[string]topology.Global[any, any] // by ID, or by the name of the store

	groupedTables map[string]*tableGroup
	repartitioned map[string]stream // see byKey
	stores        map[string]*store

	built *built
}

// build interprets the topology of a case. The error is a *notYetError, or the error of
// Build.
func build(c *testCase) (*built, error) {
	b := &builder{
		c: c, b: topology.New(), names: namesOf(c), cached: cacheBytes(c) > 0,
		streams: map[string]stream{}, groups: map[string]windowed{}, cogroups: map[string]cogroup{}, tables: map[string]table{}, groupedTables: map[string]*tableGroup{}, repartitioned: map[string]stream{}, globals: map[string]topology.Global[any, any]{}, stores: map[string]*store{},
	}
	b.built = &built{names: b.names, buffers: map[string]bool{}, ownChangelogs: map[string]bool{}, nullKeys: new(int64), punctuations: new(int)}
	interpret := b.dsl
	if isProcessorAPI(c) {
		interpret = b.processorAPI
	}
	if err := interpret(); err != nil {
		return b.built, err
	}
	b.addUnused()
	var err error
	b.built.t, err = b.b.Build()
	return b.built, err
}

// isProcessorAPI reports whether the operations are those of the Processor API. The DSL
// has no operation called source.
func isProcessorAPI(c *testCase) bool {
	return c.API == "processor" || slices.ContainsFunc(c.Topology, func(o op) bool { return o.text("op") == "source" })
}

// operations are the operations of the DSL.
var operations = map[string]func(*builder, op) error{
	"stream":          (*builder).stream,
	"table":           (*builder).table,
	"globalTable":     (*builder).globalTable,
	"globalStore":     (*builder).globalStore,
	"toTable":         (*builder).toTable,
	"addStore":        (*builder).addStore,
	"filter":          (*builder).filter,
	"filterNot":       (*builder).filter,
	"map":             (*builder).flatMap,
	"flatMap":         (*builder).flatMap,
	"mapValues":       (*builder).mapValues,
	"flatMapValues":   (*builder).flatMapValues,
	"transformValues": (*builder).mapTable,
	"selectKey":       (*builder).selectKey,
	"peek":            (*builder).peek,
	"foreach":         (*builder).forEach,
	"merge":           (*builder).merge,
	"split":           (*builder).split,
	"repartition":     (*builder).repartition,
	"toStream":        (*builder).toStream,
	"groupByKey":      (*builder).groupBy,
	"groupBy":         (*builder).groupBy,
	"cogroup":         (*builder).cogroup,
	"windowedBy":      (*builder).windowedBy,
	"count":           (*builder).aggregate,
	"reduce":          (*builder).aggregate,
	"aggregate":       (*builder).aggregate,
	"suppress":        (*builder).suppress,
	"join":            (*builder).join,
	"process":         (*builder).process,
	"processValues":   (*builder).process,
	"to":              (*builder).to,
}

func (b *builder) dsl() error {
	for _, o := range b.c.Topology {
		f := operations[o.text("op")]
		if f == nil {
			return notYet("operation %s", o.text("op"))
		}
		if err := f(b, o); err != nil {
			return err
		}
	}
	return nil
}

func (o op) id() string { return o.text("id") }

// named returns the option of an operation's name.
func (o op) named() []topology.Option {
	if name := o.text("name"); name != "" {
		return []topology.Option{topology.Named(name)}
	}
	return nil
}

// from returns the stream that an operation reads. If it reads a table, Millrace does not
// have the operation.
func (b *builder) from(o op, params string) (stream, error) {
	if err := o.knows(params); err != nil {
		return nil, err
	}
	s := b.streams[o.text("from")]
	if s == nil {
		return nil, notYet("%s of a table", o.text("op"))
	}
	return s, nil
}

// keysOf and valuesOf return the serde that an operation gives, or else the serde of the
// stream.
func keysOf(o op, s stream) (*dynamic, error)   { return serdeOr(o.text("key"), s.keySerde()) }
func valuesOf(o op, s stream) (*dynamic, error) { return serdeOr(o.text("value"), s.valueSerde()) }
