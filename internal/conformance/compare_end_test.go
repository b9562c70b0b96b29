package conformance

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/millrace-streams/millrace/topologytest"
)

// digests compares the hash of all internal records of a random case.
func (c *comparison) digests() {
	if len(c.c.InternalDigest) == 0 {
		return
	}
	want := map[string]digest{}
	for name, d := range c.c.InternalDigest {
		want[c.o.built.names.here(name)] = d
	}
	for topic, records := range c.o.topics {
		if _, ok := want[topic]; !ok && c.aspectOf(topic) == inInternal {
			c.differs(inInternal, "topic %s has %d records, Kafka Streams has no such topic", topic, len(records))
		}
	}
	for topic, d := range want {
		records := c.o.topics[topic]
		if c.o.built.buffers[topic] {
			records = c.o.bufferLog(topic)
		}
		if got := digestOf(records); got != d {
			c.differs(inInternal, "topic %s has %d records with digest %s, want %d with %s", topic, got.Count, got.SHA256, d.Count, d.SHA256).topic = topic
		}
	}
}

// bufferLog returns the records of the changelog of a suppress as the corpus has them.
func (o *observed) bufferLog(topic string) (out []topologytest.Record) {
	for _, s := range o.steps {
		for _, r := range sortedByKey(s.topics[topic]) {
			r.Timestamp = -1
			out = append(out, r)
		}
	}
	return out
}

// digestOf hashes records in the same way as the corpus.
func digestOf(records []topologytest.Record) digest {
	var b []byte
	field := func(data []byte) {
		if data == nil {
			b = binary.BigEndian.AppendUint32(b, math.MaxUint32)
			return
		}
		b = binary.BigEndian.AppendUint32(b, uint32(len(data)))
		b = append(b, data...)
	}
	for _, r := range records {
		field(r.Key)
		field(r.Value)
		b = binary.BigEndian.AppendUint64(b, uint64(r.Timestamp))
	}
	sum := sha256.Sum256(b)
	return digest{len(records), hex.EncodeToString(sum[:])}
}

// stores compares the content of the stores at the end.
func (c *comparison) stores() {
	for _, name := range slices.Sorted(maps.Keys(c.c.Stores)) {
		rows, ok := c.o.stores[c.o.built.names.here(name)]
		if !ok {
			c.differs(inStores, "there is no store %s", name).store = c.o.built.names.here(name)
			continue
		}
		r := c.o.readers[c.o.built.names.here(name)]
		want, got := c.wantRows(r, c.c.Stores[name]), c.gotRows(r, rows, c.c.Stores[name].Type)
		if isWindow(c.c.Stores[name].Type) {
			// The order of all rows depends on the layout of the store. It differs
			// between kinds of stores in Kafka Streams too.
			slices.Sort(want)
			slices.Sort(got)
		}
		if !slices.Equal(want, got) {
			d := c.differs(inStores, "store %s:\n   got %s\n  want %s", name, strings.Join(got, ", "), strings.Join(want, ", "))
			d.store, d.wantRows, d.gotRows = r.name, want, got
		}
	}
}

func isWindow(kind string) bool { return strings.HasSuffix(kind, "window") || kind == "session" }

// wantRows formats rows as gotRows does. Only timestamped stores have timestamps.
func (c *comparison) wantRows(r storeReader, content storeContent) (out []string) {
	for _, e := range content.Entries {
		key, at := e.Key, ""
		if isWindow(content.Type) {
			var w struct {
				Key        json.RawMessage
				Start, End int64
			}
			if err := json.Unmarshal(e.Key, &w); err != nil {
				c.differs(inStores, "store %s: %v", r.name, err)
				return nil
			}
			key, at = w.Key, fmt.Sprintf("[%d-", w.Start)
			if w.End != math.MaxInt64 {
				at += fmt.Sprint(w.End)
			}
		}
		if strings.HasPrefix(content.Type, "timestamped") {
			at += fmt.Sprintf("@%d", e.TS)
		}
		out = append(out, show(c.bytes(r.keys, textOf(key)))+at+"="+show(c.bytes(r.values, textOf(e.Value))))
	}
	return out
}

// textOf returns the text of a row that the corpus gives as a text, for information.
func textOf(data json.RawMessage) json.RawMessage {
	var one struct{ JoinKey, Text json.RawMessage }
	if json.Unmarshal(data, &one) != nil {
		return data
	}
	switch {
	case one.JoinKey != nil:
		return one.JoinKey
	case one.Text != nil:
		return one.Text
	}
	return data
}

func (c *comparison) gotRows(r storeReader, rows []row, kind string) (out []string) {
	for _, row := range rows {
		at := ""
		if isWindow(kind) {
			at = fmt.Sprintf("[%d-", row.start)
			if row.end < math.MaxInt64/2 && row.end >= 0 {
				at += fmt.Sprint(row.end)
			}
		}
		if strings.HasPrefix(kind, "timestamped") {
			at += fmt.Sprintf("@%d", int64(row.at))
		}
		out = append(out, show(must(r.keys.Append([]byte{}, row.key)))+at+"="+show(must(r.values.Append([]byte{}, row.value))))
	}
	return out
}

func (c *comparison) dropped() {
	if want := c.c.DroppedRecords; want != nil && *want != c.o.dropped {
		c.differs(inDropped, "%d records were dropped (%v), want %d", c.o.dropped, c.o.reasons, *want)
	}
}
