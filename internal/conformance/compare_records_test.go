package conformance

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/topologytest"
)

// wanted is an expected record, as encoded.
type wanted struct {
	key, value []byte
	at         *int64 // nil: any
	headers    processor.Headers
	letter     bool // a dead letter
}

func (c *comparison) wantOut(topic string, records []outRecord) (out []wanted) {
	letter := topic == deadLetterTopic(c.c)
	serdes := topicSerdes{basicSerdes["bytes"], basicSerdes["bytes"]}
	if !letter {
		var err error
		if serdes, err = serdesOf(c.c, topic); err != nil {
			c.differs(inOut, "topic %s: %v", topic, err)
			return nil
		}
	}
	for _, r := range records {
		w := wanted{at: r.TS, letter: letter, headers: c.headers(r.Headers)}
		w.key, w.value = c.bytes(serdes.key, r.Key), c.bytes(serdes.value, r.Value)
		if r.RawKey != "" && hex.EncodeToString(w.key) != r.RawKey {
			c.differs(inOut, "topic %s: key %s is %x in bytes, captured: %s", topic, r.Key, w.key, r.RawKey)
		}
		out = append(out, w)
	}
	return out
}

func (c *comparison) bytes(s *dynamic, text json.RawMessage) []byte {
	data, err := s.encodeJSON(text)
	if err != nil {
		c.differs(inOut, "%v", err)
	}
	return data
}

func (c *comparison) wantInternal(records []internalRecord) (out []wanted) {
	for _, r := range records {
		out = append(out, wanted{key: unhex(r.Key), value: unhex(r.Value), at: r.TS, headers: c.headers(r.Headers)})
	}
	return out
}

func unhex(text *string) []byte {
	if text == nil {
		return nil
	}
	data, err := hex.AppendDecode([]byte{}, []byte(*text))
	if err != nil {
		panic(err) // a mistake in the corpus
	}
	return data
}

// headers reads headers in the form of the corpus: a value is a text, {"hex": ..} or
// null.
func (c *comparison) headers(list [][]any) (out processor.Headers) {
	for _, h := range list {
		header := processor.Header{Key: h[0].(string)}
		switch v := h[1].(type) {
		case string:
			header.Value = []byte(v)
		case map[string]any:
			text := v["hex"].(string)
			header.Value = unhex(&text)
		}
		out = append(out, header)
	}
	return out
}

func (c *comparison) records(a aspect, topic string, want []wanted, got []topologytest.Record) {
	if c.o.built.buffers[topic] {
		got = sortedByKey(got)
	}
	if !slices.EqualFunc(want, got, sameRecord) {
		d := c.differs(a, "topic %s:\n   got %s\n  want %s", topic, showGot(got), showWanted(want))
		d.topic, d.want, d.got = topic, want, got
		return
	}
	for i := range want {
		if !sameHeaders(want[i], got[i].Headers) {
			c.differs(inHeaders, "topic %s, record %d: headers %s, want %s", topic, i+1, showHeaders(got[i].Headers), showHeaders(want[i].headers)).topic = topic
		}
	}
}

func sameRecord(want wanted, got topologytest.Record) bool {
	return equalBytes(want.key, got.Key) && sameValue(want.value, got.Value) && (want.at == nil || *want.at == int64(got.Timestamp))
}

// sameValue compares values. If a store command failed, the text of its result is only
// informative and is not compared.
func sameValue(want, got []byte) bool {
	return equalBytes(want, got) || bytes.HasPrefix(got, []byte(commandError)) && javaError.Match(want)
}

var javaError = regexp.MustCompile(`^error \w+: `)

// sortedByKey sorts records as the corpus does where Kafka Streams has no order.
func sortedByKey(records []topologytest.Record) []topologytest.Record {
	return slices.SortedStableFunc(slices.Values(records), func(a, b topologytest.Record) int { return bytes.Compare(a.Key, b.Key) })
}

// sameSet reports whether the records are the same in any order.
func sameSet(want []wanted, got []topologytest.Record) bool {
	left := slices.Clone(got)
	for _, w := range want {
		i := slices.IndexFunc(left, func(r topologytest.Record) bool { return sameRecord(w, r) })
		if i < 0 {
			return false
		}
		left = slices.Delete(left, i, i+1)
	}
	return len(left) == 0
}

// isPart reports whether got is want without some of its records.
func isPart(want []wanted, got []topologytest.Record) bool {
	for _, r := range got {
		i := slices.IndexFunc(want, func(w wanted) bool { return sameRecord(w, r) })
		if i < 0 {
			return false
		}
		want = want[i+1:]
	}
	return true
}

// equalBytes distinguishes nil, which is null, from empty.
func equalBytes(a, b []byte) bool { return (a == nil) == (b == nil) && bytes.Equal(a, b) }

// letterHeaders maps the headers of Kafka Streams' dead letters to Millrace's headers
// with the same meaning. The class and the stack trace of the exception have no
// counterpart.
var letterHeaders = map[string]string{
	"__streams.errors.topic":     processor.DeadLetterTopic,
	"__streams.errors.partition": processor.DeadLetterPartition,
	"__streams.errors.offset":    processor.DeadLetterOffset,
}

// sameHeaders compares headers. The headers that Millrace adds to a dead letter have
// other names, and come after the original ones.
func sameHeaders(want wanted, got processor.Headers) bool {
	original := want.headers
	if want.letter {
		original = slices.DeleteFunc(slices.Clone(original), func(h processor.Header) bool {
			return strings.HasPrefix(h.Key, "__streams.errors.")
		})
		for theirs, ours := range letterHeaders {
			w, ok := want.headers.Get(theirs)
			if g, has := got.Get(ours); ok && (!has || !bytes.Equal(w, g)) {
				return false
			}
		}
		if text, ok := got.Get(processor.DeadLetterError); !ok || len(text) == 0 {
			return false
		}
		got = got[:min(len(got), len(original))]
	}
	return slices.EqualFunc(original, got, func(a, b processor.Header) bool {
		return a.Key == b.Key && equalBytes(a.Value, b.Value)
	})
}

func showGot(records []topologytest.Record) string {
	var out []string
	for _, r := range records {
		out = append(out, fmt.Sprintf("%s=%s@%d", show(r.Key), show(r.Value), int64(r.Timestamp)))
	}
	return strings.Join(out, ", ")
}

func showWanted(records []wanted) string {
	var out []string
	for _, r := range records {
		at := "?"
		if r.at != nil {
			at = fmt.Sprint(*r.at)
		}
		out = append(out, fmt.Sprintf("%s=%s@%s", show(r.key), show(r.value), at))
	}
	return strings.Join(out, ", ")
}

// show returns text as text, and anything else in hexadecimal.
func show(data []byte) string {
	switch {
	case data == nil:
		return "null"
	case bytes.ContainsFunc(data, func(r rune) bool { return r < ' ' || r == '�' }):
		return fmt.Sprintf("0x%x", data)
	}
	return fmt.Sprintf("%q", data)
}

func showHeaders(headers processor.Headers) string {
	var out []string
	for _, h := range headers {
		out = append(out, h.Key+"="+show(h.Value))
	}
	return "[" + strings.Join(out, " ") + "]"
}
