package registry

import (
	"reflect"
	"slices"
	"strings"

	"github.com/millrace-streams/millrace/internal/graph"
)

// Topics returns the ID and the number of partitions of a topic by its full name. Unknown
// values are zero.
type Topics func(name string) (TopicID, int32)

// Describe returns the records of the stores and repartition topics of a topology.
func Describe(application string, g *graph.Graph, topics Topics) (stores []Record, repartitions []Repartition) {
	for _, sub := range g.SubTopologies {
		inputs := inputsOf(application, sub, topics)
		for _, store := range sub.Stores {
			r := describe(application, sub, store, inputs, topics)
			r.Fed = g.Feeding(store)
			stores = append(stores, r)
		}
	}
	for _, p := range g.Repartitions {
		name := p.Topic.In(application)
		_, partitions := topics(name)
		repartitions = append(repartitions, Repartition{Topic: name, Application: application, Partitions: partitions, KeyFormat: p.Key, ValueFormat: p.Value})
	}
	return stores, repartitions
}

func describe(application string, sub *graph.SubTopology, store *graph.Store, inputs []Input, topics Topics) Record {
	rows := store.Rows
	r := Record{
		Store: store.Name, Application: application, SubTopology: sub.Name, Kind: Kind(rows.Kind),
		Windows:    Windows{Size: rows.Size, Advance: rows.Advance, Start: rows.Start},
		Duplicates: rows.Duplicates, KeyFormat: rows.Key, ValueFormat: rows.Value, EarlierValues: rows.Earlier, Inputs: inputs,
	}
	for _, p := range sub.Patterns {
		r.Patterns = append(r.Patterns, p.Text)
	}
	slices.Sort(r.Patterns)
	if store.Spec.Logged() {
		r.Changelog = store.Spec.ChangelogTopic(application)
		r.ChangelogID, r.Partitions = topics(r.Changelog)
	}
	if store.FromTopic != nil {
		r.FromTopic = store.FromTopic.Topic
	}
	return r
}

func inputsOf(application string, sub *graph.SubTopology, topics Topics) []Input {
	var inputs []Input
	for _, t := range sub.Sources {
		in := Input{Topic: t.In(application), Internal: t.Internal}
		in.ID, in.Partitions = topics(in.Topic)
		inputs = append(inputs, in)
	}
	slices.SortFunc(inputs, func(a, b Input) int { return strings.Compare(a.Topic, b.Topic) })
	return inputs
}

// equal reports whether two records are written alike.
func (r Record) equal(other Record) bool { return reflect.DeepEqual(r.wire(), other.wire()) }
