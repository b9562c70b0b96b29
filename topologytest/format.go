package topologytest

import (
	"encoding/json"
	"fmt"
	"iter"
	"math"
	"reflect"
	"strings"
	"time"

	"github.com/millrace-streams/millrace/internal/store"
	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
)

// Format says how the records of a topic, or the rows of a store, are written in a
// [Script]. Text, Rows and Versions make one.
type Format struct {
	name  string
	topic *topicFormat
	rows  func(d *Driver) ([]string, error)
}

// topicFormat translates records.
type topicFormat struct {
	parse func(text string) (Record, error)
	text  func(r Record) (string, error)
	send  func(d *Driver, r Record)
}

// Text is the Format of a topic with these serdes.
func Text[K, V any](topic string, ks serde.Serde[K], vs serde.Serde[V]) Format {
	out := &OutputTopic[K, V]{keys: ks, vals: vs}
	return Format{name: topic, topic: &topicFormat{
		parse: func(text string) (Record, error) { return parseRecord(text, ks, vs) },
		text: func(raw Record) (string, error) {
			r, err := out.decode(raw)
			text := ""
			if !r.NoKey {
				text = textOf(r.Key)
			}
			if !r.NoValue {
				text += "=" + textOf(r.Value)
			}
			return text, err
		},
		send: func(d *Driver, r Record) {
			d.t.Helper()
			partition := int32(-1)
			if key, err := ks.Decode(r.Key); r.Key != nil && err == nil {
				hashed, _ := serde.AppendPartitionKey(nil, ks, key)
				partition = serde.Partition(hashed, d.logs.partitionsOf(topic))
			}
			d.Send(topic, partition, r.Key, r.Value, r.Timestamp)
		},
	}}
}

// Rows is the Format of a store. all returns the rows of a partition: the entries of the
// method All of the store that [Store] returns. An entry is written as its key, its
// window if it has one, its value and its timestamp.
func Rows[E any](store string, all func(d *Driver, partition int32) iter.Seq2[E, error]) Format {
	return rowsOf(store, func(d *Driver, partition int32) (rows []string, err error) {
		for entry, err := range all(d, partition) {
			if err != nil {
				return nil, err
			}
			rows = append(rows, entryText(reflect.ValueOf(entry)))
		}
		return rows, nil
	})
}

// Versions is the Format of a versioned store with keys of type K and values of type V,
// of a table or of a processor. It shows each version that a read as of some time finds,
// in order of the keys and then of time. The last part of a line is the time for which
// the version is valid, from the first time up to, but not including, the second, as in
// ann=Oslo @1s..5s. A version that has not ended has no second time: ann=Rome @5s..
func Versions[K, V any](name string) Format {
	return rowsOf(name, func(d *Driver, partition int32) (rows []string, err error) {
		instance, err := d.store(name, partition)
		if err != nil {
			return nil, err
		}
		s, ok := instance.(*store.Versions[K, V])
		if !ok {
			return nil, fmt.Errorf("store %q is not a versioned store with keys of type %s and values of type %s: give Versions the types of the store, "+
				"or use Rows for a store of another kind", name, reflect.TypeFor[K](), reflect.TypeFor[V]())
		}
		all, err := store.ListVersions(s)
		for _, v := range all {
			text := fmt.Sprintf("%s=%s @%s..", textOf(v.Key), textOf(v.Value), timeText(processor.Timestamp(v.From)))
			if v.End != store.NoEnd {
				text += timeText(processor.Timestamp(v.End))
			}
			rows = append(rows, text)
		}
		return rows, err
	})
}

// rowsOf is the Format of a store. text returns the rows of a partition as text.
func rowsOf(name string, text func(d *Driver, partition int32) ([]string, error)) Format {
	return Format{name: name, rows: func(d *Driver) (rows []string, err error) {
		if d.graph.Global(name) != nil {
			const whichever = 0 // all partitions of a global store are in one place
			return text(d, whichever)
		}
		sub, ok := d.subTopologyOf(name)
		if !ok {
			return nil, fmt.Errorf("the topology has no store %q", name)
		}
		for _, r := range d.tasks {
			if r.id.SubTopology != sub && !d.o.javaOrder {
				continue
			}
			more, err := text(d, r.id.Partition)
			if err != nil {
				return nil, err
			}
			rows = append(rows, more...)
		}
		return rows, nil
	}}
}

// entryText writes an entry of a store of any kind, by its fields.
func entryText(entry reflect.Value) string {
	text := textOf(entry.FieldByName("Key").Interface())
	if start := entry.FieldByName("Start"); start.IsValid() {
		text = fmt.Sprintf("[%s@%d/%d]", text, start.Int(), entry.FieldByName("End").Int())
	}
	text += "=" + textOf(entry.FieldByName("Value").Interface())
	if at, ok := entry.FieldByName("Timestamp").Interface().(processor.Timestamp); ok {
		text += " @" + timeText(at)
	}
	return text
}

// parseRecord parses KEY=VALUE, KEY or =VALUE.
func parseRecord[K, V any](text string, ks serde.Serde[K], vs serde.Serde[V]) (r Record, err error) {
	key, value, hasValue := strings.Cut(text, "=")
	if key != "" {
		if r.Key, err = parse(key, ks); err != nil {
			return r, fmt.Errorf("key %q: %w", key, err)
		}
	}
	if hasValue {
		if r.Value, err = parse(value, vs); err != nil {
			return r, fmt.Errorf("value %q: %w", value, err)
		}
	}
	return r, nil
}

// parse encodes what textOf has written.
func parse[T any](text string, s serde.Serde[T]) ([]byte, error) {
	var v T
	if p, ok := any(&v).(*string); ok {
		*p = text
	} else if err := json.Unmarshal([]byte(text), &v); err != nil {
		return nil, err
	}
	return s.Append([]byte{}, v)
}

func textOf(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case fmt.Stringer:
		return v.String()
	}
	data, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return string(data)
}

// timeText writes a timestamp as the duration since 1970.
func timeText(at processor.Timestamp) string {
	if at > math.MaxInt64/processor.Timestamp(time.Millisecond) { // no duration
		return fmt.Sprintf("%dms", at)
	}
	return (time.Duration(at) * time.Millisecond).String()
}
