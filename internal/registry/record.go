package registry

import (
	"maps"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/millrace-streams/millrace/internal/store"
)

// TopicID distinguishes a topic from an earlier one with the same name. The zero value is
// unknown.
type TopicID = kadm.TopicID

// Kind is the kind of a store. A reader keeps unknown kinds.
type Kind string

var (
	// KeyValue is a store from keys to values.
	KeyValue = Kind(store.KeyValue.Name)
	// Window is a store from keys and window starts to values.
	Window = Kind(store.Window.Name)
	// Times holds the operator times of a sub-topology. The runtime makes it.
	Times = Kind(store.Times.Name)
)

// Record says what the rows of one store mean and where they come from. An empty field is
// unknown, and is not compared.
type Record struct {
	Store       string
	Application string // owner of the store and of its changelog
	SubTopology string // name of the part of the topology that has the store
	Kind        Kind
	Windows     Windows // zero without windows
	Duplicates  bool    // a window store that keeps all values of a key and a window

	// KeyFormat and ValueFormat name the formats of the serdes, as serde.FormatName does.
	// "?" is unknown. They are not Go types.
	KeyFormat, ValueFormat string
	// EarlierValues are the formats that values had before, by number. "" is one that no
	// row had any more when the store was first recorded.
	EarlierValues []string

	// Changelog is the topic that holds the rows. If the store has none, Changelog is "",
	// and ChangelogID and Partitions are zero.
	Changelog   string
	ChangelogID TopicID
	Partitions  int32

	// FromTopic is the topic of a table from which the store is restored instead of a
	// changelog, which it then does not have. It is "" for other stores.
	FromTopic string

	// Inputs are all topics that the store's tasks read, sorted by name.
	Inputs []Input
	// Patterns are those by which the tasks read some of the topics, sorted.
	Patterns []string

	// Fed are the topics of other applications whose records have reached the store,
	// sorted: see graph.Graph.Feeding. A record of an earlier version of the library has
	// none, which means that they are unknown. A topic that the topology does not read
	// any more stays: its records are not processed meanwhile, so the store will not lack
	// any if the topic comes back.
	Fed []string

	// Removed is the time at which the store was removed by name. It is zero while the
	// store exists. The other fields of a removed store keep their last values.
	Removed time.Time

	// Absent says that the application has since run without the store, which was empty.
	// It is not set in the record that is written when the store is back.
	Absent bool

	// Newer says that a newer version of the library wrote the record. Only Store,
	// Application, Changelog, ChangelogID and Removed are then set.
	Newer bool
}

// Windows are the windows of a store. Stores with different Windows get different rows
// from the same records.
type Windows struct {
	Size time.Duration // math.MaxInt64 without end
	// Between two starts; 0 if there is one window, or if it is unknown.
	Advance time.Duration
	Start   int64 // of the one window that has no end, in ms since 1970
}

// Input is a topic that the tasks of a store read.
type Input struct {
	// Full name: that of a repartition topic has the application ID in front.
	Topic      string
	ID         TopicID
	Partitions int32
	Internal   bool // a repartition topic of the application
}

// Repartition is a repartition topic of an application.
type Repartition struct {
	Topic       string // full name
	Application string // that writes and reads it
	Partitions  int32

	// The formats of the records. Records of earlier versions of the library have none.
	KeyFormat, ValueFormat string
}

// View is the content of the registry at one moment. It is immutable. The zero View is
// empty.
type View struct {
	// TopicID is the ID of the registry's topic, zero if there was no topic.
	TopicID TopicID

	stores       map[string]Record
	repartitions map[string]Repartition // by full name
	swept        map[sweptKey]Swept
	firsts       map[string]FirstTopics // by source
}

// Store returns the record of a store. found is true for a removed store, and false for
// one that was never recorded.
func (v View) Store(name string) (r Record, found bool) {
	r, found = v.stores[name]
	return r, found
}

// Stores returns all records, in order of name.
func (v View) Stores() []Record {
	out := make([]Record, 0, len(v.stores))
	for _, name := range slices.Sorted(maps.Keys(v.stores)) {
		out = append(out, v.stores[name])
	}
	return out
}

// Empty reports whether the registry holds nothing.
func (v View) Empty() bool { return len(v.stores)+len(v.repartitions)+len(v.firsts) == 0 }
