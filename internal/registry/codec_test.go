package registry

import (
	"encoding/json"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/millrace-streams/millrace/internal/registrytopic"
)

func full() Record {
	return Record{
		Store: "counts", Application: "tweets", SubTopology: "in", Kind: Window, Duplicates: true,
		Windows: Windows{Size: time.Minute, Advance: 5 * time.Second}, KeyFormat: "string", ValueFormat: "nullable json",
		Changelog: "tweets-counts-changelog", ChangelogID: TopicID{1, 2, 255}, Partitions: 4,
		Inputs:   []Input{{Topic: "in", ID: TopicID{3}, Partitions: 4}, {Topic: "tweets-by-key-repartition", Partitions: 4, Internal: true}},
		Patterns: []string{"in-.*"},
		Absent:   true,
		Removed:  time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
	}
}

func TestRecordsAreReadAsWritten(t *testing.T) {
	t.Parallel()
	endless := full()
	endless.Windows = Windows{Size: math.MaxInt64, Start: 1000}
	for _, r := range []Record{full(), endless, {Store: "s", Application: "a"}, {Store: "s", Application: "a", Kind: "a later kind"}} {
		value, err := r.encode()
		if err != nil {
			t.Fatal(err)
		}
		e, err := decode([]byte(registrytopic.Store.Key(r.Store)), value)
		if err != nil || !reflect.DeepEqual(*e.store, r) {
			t.Errorf("%s: got %+v, %v", value, e.store, err)
		}
	}
	p := Repartition{Topic: "a-by-key-repartition", Application: "a", Partitions: 3, KeyFormat: "string", ValueFormat: "int64"}
	value, err := p.encode()
	if err != nil {
		t.Fatal(err)
	}
	if e, err := decode([]byte(registrytopic.Repartition.Key(p.Topic)), value); err != nil || *e.repartition != p {
		t.Errorf("got %+v, %v", e.repartition, err)
	}
	for _, f := range []FirstTopics{
		{Source: "ins", Pattern: "in-.*"},
		{Source: "a/b", Pattern: `"`, Topics: []Input{{Topic: "in-1", ID: TopicID{3}, Partitions: 4}, {Topic: "in-2", Partitions: 1}}},
	} {
		value, err := f.encode()
		if err != nil {
			t.Fatal(err)
		}
		if e, err := decode([]byte(f.key()), value); err != nil || !reflect.DeepEqual(*e.first, f) {
			t.Errorf("%s: got %+v, %v", value, e.first, err)
		}
	}
}

// Additions of a later version are ignored. Its changes are refused, and never misread.
func TestLaterVersions(t *testing.T) {
	t.Parallel()
	e, err := decode([]byte("store/s"), []byte(`{"version":1,"application":"a","store":"s","kind":"window","colour":{"is":"new"}}`))
	if err != nil || e.store == nil || e.store.Kind != Window || e.store.Newer {
		t.Errorf("an unknown field: %+v, %v", e.store, err)
	}
	e, err = decode([]byte("store/s"), []byte(`{"version":4,"application":"a","store":"s","changelog":"a-s-changelog","window_ms":"as text"}`))
	if err != nil || !e.store.Newer || e.store.Changelog != "a-s-changelog" {
		t.Errorf("a newer version: %+v, %v", e.store, err)
	}
	e, err = decode([]byte("pattern/s"), []byte(`{"version":4,"source":{"now":"an object"}}`))
	if err != nil || !reflect.DeepEqual(e.first, &FirstTopics{Source: "s", Newer: true}) {
		t.Errorf("a newer version: %+v, %v", e.first, err)
	}
	e, err = decode([]byte("offset/s"), []byte("\x00"))
	if err != nil || e.store != nil || e.repartition != nil {
		t.Errorf("an unknown key: %+v, %v", e, err)
	}
}

func TestDamagedRecords(t *testing.T) {
	t.Parallel()
	for value, says := range map[string]string{
		`x`:                         "invalid character",
		`{}`:                        "no version",
		`[1]`:                       "cannot unmarshal",
		`{"version":1,"store":"s"}`: "no application",
		`{"version":1,"application":"a","store":"t"}`:                                           `store "t"`,
		`{"version":1,"application":"a","store":"s","changelog_id":"x"}`:                        "not a topic ID",
		`{"version":1,"application":"a","store":"s","window_ms":-7}`:                            "windows of -7 ms",
		`{"version":1,"application":"a","store":"s","window_ms":9223372036854775807}`:           "windows of 9223372036854775807 ms",
		`{"version":1,"application":"a","store":"s","removed":"yesterday"}`:                     "yesterday",
		`{"version":1,"application":"a","store":"s","inputs":[{"topic":"in","topic_id":"AA"}]}`: "not a topic ID",
	} {
		if e, err := decode([]byte("store/s"), []byte(value)); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %+v, %v, want %q", value, e.store, err, says)
		}
	}
	if _, err := decode([]byte("repartition/t"), []byte(`{"version":1,"application":"a","topic":"u"}`)); err == nil {
		t.Error("a record about another topic was accepted")
	}
	for _, value := range []string{`x`, `{}`, `{"version":1,"source":"t"}`, `{"version":1,"source":"s","first":[{"topic":"in","topic_id":"AA"}]}`} {
		if _, err := decode([]byte("pattern/s"), []byte(value)); err == nil {
			t.Errorf("%s was accepted", value)
		}
	}
}

// Every value that can be read can be written, and is then read as the same value.
func FuzzDecode(f *testing.F) {
	value, err := full().encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte("store/counts"), value)
	f.Add([]byte("store/s"), []byte(`{"version":9,"application":"a","store":"s"}`))
	f.Add([]byte("store/s"), []byte(`{"version":3,"application":"a","store":"s","value":"float64","earlier_values":["","int64"]}`))
	f.Add([]byte("repartition/t"), []byte(`{"version":1,"application":"a","topic":"t","partitions":2}`))
	f.Add([]byte("swept/s/2"), []byte(`{"version":1,"changelog_id":"","format":2}`))
	f.Add([]byte("pattern/s"), []byte(`{"version":1,"source":"s","pattern":"in-.*","first":[{"topic":"in-1","topic_id":"","partitions":2}]}`))
	f.Fuzz(func(t *testing.T, key, value []byte) {
		e, err := decode(key, value)
		if err == nil && e.first != nil && !e.first.Newer {
			again, err := e.first.encode()
			if err != nil {
				t.Fatal(err)
			}
			if twice, err := decode(key, again); err != nil || !reflect.DeepEqual(twice.first, e.first) {
				t.Fatalf("%s became %s", value, again)
			}
		}
		if err == nil && e.swept != nil {
			_, again, err := e.swept.encode()
			if err != nil {
				t.Fatal(err)
			}
			if twice, err := decode(key, again); err != nil || *twice.swept != *e.swept {
				t.Fatalf("%s became %s", value, again)
			}
		}
		if err != nil || e.store == nil {
			return
		}
		again, err := e.store.encode()
		if err != nil {
			t.Fatal(err)
		}
		twice, err := decode(key, again)
		if err != nil {
			t.Fatalf("%s: %v", again, err)
		}
		if e.store.Newer {
			return // such a value is written as this version's
		}
		if !e.store.equal(*twice.store) || !json.Valid(again) {
			t.Fatalf("%s became %s", value, again)
		}
	})
}
