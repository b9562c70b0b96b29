package registry

import (
	"encoding/json"
	"errors"
	"slices"

	"github.com/millrace-streams/millrace/internal/registrytopic"
)

// FirstTopics are the topics that matched the pattern of a source when the application
// began to read by it. The application reads them from their end. All records of other
// topics came later, so these are read from their beginning.
type FirstTopics struct {
	Source  string
	Pattern string  // the regular expression
	Topics  []Input // in order of name

	// Newer says that a newer version of the library wrote the record. Only Source is
	// then set.
	Newer bool
}

// Has reports whether a partition existed when the application began to read by the
// pattern. A topic that was created again is another one.
func (f FirstTopics) Has(topic string, id TopicID, partition int32) bool {
	return slices.ContainsFunc(f.Topics, func(in Input) bool {
		same := in.ID == id || in.ID == TopicID{} || id == TopicID{}
		return in.Topic == topic && same && partition < in.Partitions
	})
}

// FirstTopics returns the record of a source.
func (v View) FirstTopics(source string) (f FirstTopics, found bool) {
	f, found = v.firsts[source]
	return f, found
}

// firstWire is the JSON of a value.
type firstWire struct {
	Version int         `json:"version"`
	Source  string      `json:"source"`
	Pattern string      `json:"pattern"`
	First   []wireInput `json:"first"`
}

func (f FirstTopics) key() string { return registrytopic.Pattern.Key(f.Source) }

func (f FirstTopics) encode() ([]byte, error) {
	w := firstWire{Version: registrytopic.Version, Source: f.Source, Pattern: f.Pattern, First: []wireInput{}}
	for _, in := range f.Topics {
		w.First = append(w.First, wireInput{Topic: in.Topic, ID: encodeID(in.ID), Partitions: in.Partitions})
	}
	return json.Marshal(w)
}

func decodeFirstTopics(source string, value []byte) (*FirstTopics, error) {
	var version struct {
		Version int `json:"version"`
	}
	if err := json.Unmarshal(value, &version); err != nil {
		return nil, err
	}
	switch {
	case version.Version < 1:
		return nil, errors.New("it has no version")
	case version.Version > newest:
		return &FirstTopics{Source: source, Newer: true}, nil
	}
	var w firstWire
	if err := json.Unmarshal(value, &w); err != nil {
		return nil, err
	}
	if source == "" || w.Source != source {
		return nil, errors.New("it is about another source")
	}
	f := &FirstTopics{Source: w.Source, Pattern: w.Pattern}
	for _, in := range w.First {
		id, err := decodeID(in.ID)
		if err != nil {
			return nil, err
		}
		f.Topics = append(f.Topics, Input{Topic: in.Topic, ID: id, Partitions: in.Partitions})
	}
	return f, nil
}
