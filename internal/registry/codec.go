package registry

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/millrace-streams/millrace/internal/registrytopic"
	"github.com/millrace-streams/millrace/internal/topicid"
)

// wire is the JSON of a value. The first group of fields is in every version.
type wire struct {
	Version     int    `json:"version"`
	Application string `json:"application"`
	Store       string `json:"store,omitempty"`
	Changelog   string `json:"changelog,omitempty"`
	ChangelogID string `json:"changelog_id,omitempty"`
	Topic       string `json:"topic,omitempty"`
	Removed     string `json:"removed,omitempty"`

	SubTopology   string      `json:"sub_topology,omitempty"`
	Kind          Kind        `json:"kind,omitempty"`
	WindowMs      int64       `json:"window_ms,omitempty"` // endless without end
	AdvanceMs     int64       `json:"advance_ms,omitempty"`
	WindowStartMs int64       `json:"window_start_ms,omitempty"`
	Duplicates    bool        `json:"duplicates,omitempty"`
	Key           string      `json:"key,omitempty"`
	Value         string      `json:"value,omitempty"`
	EarlierValues []string    `json:"earlier_values,omitempty"`
	Partitions    int32       `json:"partitions,omitempty"`
	Inputs        []wireInput `json:"inputs,omitempty"`
	Patterns      []string    `json:"patterns,omitempty"`
	Absent        bool        `json:"absent,omitempty"`
	Fed           []string    `json:"fed,omitempty"`
	FromTopic     string      `json:"from_topic,omitempty"`
}

// fromTopicVersion is the version of records with FromTopic. A reader that ignored the
// field would take the store for one that has no rows in Kafka.
const fromTopicVersion = 2

// migratedVersion is the version of records with EarlierValues. Versions of the library
// that know no formats refuse the store.
const migratedVersion = 3

// newest is the newest version that this version of the library reads.
const newest = migratedVersion

type wireInput struct {
	Topic      string `json:"topic"`
	ID         string `json:"topic_id,omitempty"`
	Partitions int32  `json:"partitions"`
	Internal   bool   `json:"internal,omitempty"`
}

const endless = -1

// entry is a decoded record of the topic: a store, a repartition topic, a conversion, or
// the first topics of a source. If all are nil, this version does not know the record.
type entry struct {
	key         string
	store       *Record
	repartition *Repartition
	swept       *Swept
	first       *FirstTopics
}

func (r Record) encode() ([]byte, error) { return json.Marshal(r.wire()) }

func (r Repartition) encode() ([]byte, error) {
	return json.Marshal(wire{Version: registrytopic.Version, Application: r.Application, Topic: r.Topic, Partitions: r.Partitions, Key: r.KeyFormat, Value: r.ValueFormat})
}

func (r Record) wire() wire {
	w := wire{
		Version: registrytopic.Version, Application: r.Application, Store: r.Store, Changelog: r.Changelog, ChangelogID: encodeID(r.ChangelogID),
		SubTopology: r.SubTopology, Kind: r.Kind, Duplicates: r.Duplicates, Key: r.KeyFormat, Value: r.ValueFormat, Partitions: r.Partitions,
		WindowMs: r.Windows.Size.Milliseconds(), AdvanceMs: r.Windows.Advance.Milliseconds(), WindowStartMs: r.Windows.Start,
		Patterns: r.Patterns, Absent: r.Absent, Fed: r.Fed, FromTopic: r.FromTopic, EarlierValues: r.EarlierValues,
	}
	switch {
	case len(r.EarlierValues) > 0:
		w.Version = migratedVersion
	case r.FromTopic != "":
		w.Version = fromTopicVersion
	}
	if r.Windows.Size == math.MaxInt64 {
		w.WindowMs = endless
	}
	if !r.Removed.IsZero() {
		w.Removed = r.Removed.UTC().Format(time.RFC3339)
	}
	for _, in := range r.Inputs {
		w.Inputs = append(w.Inputs, wireInput{in.Topic, encodeID(in.ID), in.Partitions, in.Internal})
	}
	return w
}

// decode reads a record of the topic. The value is not empty.
func decode(key, value []byte) (entry, error) {
	e := entry{key: string(key)}
	name, isStore := registrytopic.Store.Name(key)
	topic, isRepartition := registrytopic.Repartition.Name(key)
	if _, isSwept := parseSweptKey(key); isSwept {
		swept, err := decodeSwept(key, value)
		e.swept = swept
		return e, err
	}
	if source, isPattern := registrytopic.Pattern.Name(key); isPattern {
		first, err := decodeFirstTopics(source, value)
		e.first = first
		return e, err
	}
	if !isStore && !isRepartition {
		return e, nil
	}
	w, err := parse(value)
	if err != nil {
		return e, err
	}
	switch {
	case w.Application == "":
		err = errors.New("it names no application")
	case isStore && (name == "" || w.Store != name):
		err = fmt.Errorf("it is about store %q", w.Store)
	case isStore:
		e.store, err = w.record()
	case topic == "" || w.Topic != topic:
		err = fmt.Errorf("it is about topic %q", w.Topic)
	default:
		e.repartition = &Repartition{Application: w.Application, Topic: w.Topic, Partitions: w.Partitions, KeyFormat: w.Key, ValueFormat: w.Value}
	}
	return e, err
}

// parse reads a value. If a newer version wrote it, only the fields that every version
// has are read.
func parse(value []byte) (wire, error) {
	var common struct {
		Version     int    `json:"version"`
		Application string `json:"application"`
		Store       string `json:"store"`
		Changelog   string `json:"changelog"`
		ChangelogID string `json:"changelog_id"`
		Topic       string `json:"topic"`
		Removed     string `json:"removed"`
	}
	if err := json.Unmarshal(value, &common); err != nil {
		return wire{}, err
	}
	if common.Version < 1 {
		return wire{}, errors.New("it has no version")
	}
	if common.Version > newest {
		return wire{
			Version: common.Version, Application: common.Application, Store: common.Store, Changelog: common.Changelog,
			ChangelogID: common.ChangelogID, Topic: common.Topic, Removed: common.Removed,
		}, nil
	}
	var w wire
	return w, json.Unmarshal(value, &w)
}

func (w wire) record() (*Record, error) {
	r := &Record{
		Store: w.Store, Application: w.Application, SubTopology: w.SubTopology, Kind: w.Kind, Duplicates: w.Duplicates,
		KeyFormat: w.Key, ValueFormat: w.Value, Changelog: w.Changelog, Partitions: w.Partitions, Newer: w.Version > newest,
		Patterns: w.Patterns, Absent: w.Absent, Fed: w.Fed, FromTopic: w.FromTopic,
	}
	if len(w.EarlierValues) > 0 {
		r.EarlierValues = w.EarlierValues
	}
	var err error
	if r.ChangelogID, err = decodeID(w.ChangelogID); err != nil {
		return nil, err
	}
	if r.Windows, err = w.windows(); err != nil {
		return nil, err
	}
	if w.Removed != "" {
		if r.Removed, err = time.Parse(time.RFC3339, w.Removed); err != nil {
			return nil, err
		}
	}
	for _, in := range w.Inputs {
		id, err := decodeID(in.ID)
		if err != nil {
			return nil, err
		}
		r.Inputs = append(r.Inputs, Input{in.Topic, id, in.Partitions, in.Internal})
	}
	return r, nil
}

func (w wire) windows() (Windows, error) {
	const most = math.MaxInt64 / int64(time.Millisecond)
	if w.WindowMs < endless || w.WindowMs > most || w.AdvanceMs < 0 || w.AdvanceMs > most {
		return Windows{}, fmt.Errorf("it has windows of %d ms every %d ms", w.WindowMs, w.AdvanceMs)
	}
	out := Windows{
		Size: time.Duration(w.WindowMs) * time.Millisecond, Advance: time.Duration(w.AdvanceMs) * time.Millisecond, Start: w.WindowStartMs,
	}
	if w.WindowMs == endless {
		out.Size = math.MaxInt64
	}
	return out, nil
}

// encodeID returns "" for an unknown topic ID.
func encodeID(id TopicID) string {
	if id == (TopicID{}) {
		return ""
	}
	return topicid.Format(id)
}

func decodeID(text string) (TopicID, error) {
	if text == "" {
		return TopicID{}, nil
	}
	return topicid.Parse(text)
}
